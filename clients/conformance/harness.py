"""Runs the conformance suite in every language against real daemons, and prints a table."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization

import pictures
from faults import FAULTS
from gate import METHODS, Gate

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
LANGUAGES = ["python", "typescript", "go", "java", "rust"]
TOKEN = "a token of the conformance suite"
#: Status of a runner whose language is not there.
NO_TOOLS = 69
#: Longest time for one runner, seconds.
RUNNER_SECONDS = 900
#: Languages at a time.
RUNNERS = 2
#: The share of the command line's rate that a client has to reach in the bench.
RATE_SHARE = 0.8


class Daemon:
    """A daemon in a folder of its own, at one address through restarts."""

    def __init__(self, binary: Path, folder: Path, allowed: Path, *settings: str) -> None:
        self.command = [
            str(binary), "serve", "--json", "--data", str(folder), "--allowed-root", str(allowed),
            "--image-mib-max", "1", "--durability", "process", "--drain-seconds-max", "2",
            "--backup-folder", str(folder.with_name(folder.name + "-backups")), *settings, "--listen",
        ]  # fmt: skip
        self.log = (folder.parent / "daemon.log").open("ab")
        self.address = self.start("127.0.0.1:0")

    def start(self, listen: str) -> str:
        """Starts it; answers HOST:PORT once it serves."""
        for _ in range(50):
            self.process = subprocess.Popen([*self.command, listen], stdout=subprocess.PIPE, stderr=self.log)
            assert self.process.stdout is not None
            for line in self.process.stdout:
                if line.startswith(b"{"):
                    return str(json.loads(line)["address"]).partition("://")[2]
            # The address may be held for a moment by what was killed.
            self.process.wait()
            time.sleep(0.1)
        raise RuntimeError(f"the daemon does not start: see {self.log.name}")

    def stop(self, *, kill: bool) -> None:
        """Ends it, at once or once it has written everything."""
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait()

    def restart(self, kill: bool) -> None:
        """Ends it and starts it again."""
        self.stop(kill=kill)
        self.start(self.address)


class Stand:
    """A daemon, the gate before it, and what a runner is told of them."""

    def __init__(self, binary: Path, pictures_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="culld-conformance-"))
        self.pictures = pictures_folder
        self.daemon = Daemon(binary, self.folder / "data", pictures_folder)
        authority = trustme.CA()
        server = authority.issue_cert("localhost", "127.0.0.1")
        self.ca = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
        keys = server.private_key_pem.bytes(), chain
        self.gate = Gate(self.daemon.address, TOKEN, keys, self.daemon.restart)
        self.secure(binary, keys, authority.issue_cert("somebody@culld.example"))

    def secure(self, binary: Path, server: tuple[bytes, bytes], caller: trustme.LeafCert) -> None:
        """Starts a daemon of its own that wants a certificate and a token."""
        made = subprocess.run(
            [binary, "token", "new", "a judge", "--role", "judge", "--role", "add", "--at", "default", "--json"],
            capture_output=True,
            check=True,
        )
        token = json.loads(made.stdout)
        self.secured_token: str = token["token"]
        files = {
            name: self.folder / name for name in ("server.pem", "server.key", "caller.pem", "caller.key", "tokens")
        }
        files["server.key"].write_bytes(server[0])
        files["server.pem"].write_bytes(server[1])
        files["caller.key"].write_bytes(pkcs8(caller.private_key_pem.bytes()))
        files["caller.pem"].write_bytes(b"".join(blob.bytes() for blob in caller.cert_chain_pems))
        files["tokens"].touch(mode=0o600)
        files["tokens"].write_text(token["entry"])
        self.caller = files["caller.pem"], files["caller.key"]
        self.secured = Daemon(
            binary, self.folder / "secured", self.pictures,
            "--tls-cert", str(files["server.pem"]), "--tls-key", str(files["server.key"]),
            "--tls-client-ca", str(self.ca), "--tokens", str(files["tokens"]),
        )  # fmt: skip

    def flags(self, *, behind_gate: bool = False) -> list[str]:
        """What a runner is told."""
        gate = f"http://127.0.0.1:{self.gate.port}"
        control = f"http://127.0.0.1:{self.gate.control.server_port}"
        return [
            "--scenarios", str(HERE / "scenarios"), "--pictures", str(self.pictures),
            "--address", gate if behind_gate else f"http://{self.daemon.address}", "--gate", gate,
            "--tls", f"https://localhost:{self.gate.tls_port}", "--ca", str(self.ca), "--token", TOKEN,
            "--secured", f"https://{self.secured.address}", "--secured-token", self.secured_token,
            "--cert", str(self.caller[0]), "--key", str(self.caller[1]), "--control", control,
        ]  # fmt: skip

    def close(self) -> None:
        """Ends everything."""
        self.gate.stop()
        self.daemon.stop(kill=True)
        self.secured.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def pkcs8(key: bytes) -> bytes:
    """A private key in the one form that every language reads."""
    form, open_key = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    read = serialization.load_pem_private_key(key, password=None)
    return read.private_bytes(serialization.Encoding.PEM, form, open_key)


def runner(language: str) -> Path:
    """The program of one language."""
    return PROJECT / "clients" / language / "conformance.sh"


def run(language: str, flags: list[str]) -> tuple[int, list[dict[str, Any]], str]:
    """One runner's status, what it said of each scenario, and what it complained of."""
    try:
        done = subprocess.run(
            [runner(language), *flags], capture_output=True, timeout=RUNNER_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return 1, [], f"longer than {RUNNER_SECONDS} s"
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    return done.returncode, lines, done.stderr.decode(errors="replace")[-4000:]


def covered() -> list[str]:
    """Calls of the API that no scenario makes."""
    steps = [
        step for path in (HERE / "scenarios").glob("*.json") for step in json.loads(path.read_text("utf-8"))["steps"]
    ]
    called = {step["call"] for step in steps if "call" in step}
    if any(step.get("do") == "add" for step in steps):
        called.add("ImageService/AddImages")
    if any(step.get("do") == "transfer" for step in steps):
        called |= {"CollectionService/ExportCollection", "CollectionService/ImportCollection"}
    return sorted(path.removeprefix("/culld.v1.") for path in METHODS if path.removeprefix("/culld.v1.") not in called)


def prepare(languages: list[str]) -> list[str]:
    """Builds the runners; answers the languages that can be run."""
    ready = []
    for language in languages:
        started = time.monotonic()
        if not runner(language).exists():
            reason, status = "there is no runner", NO_TOOLS
        else:
            built = subprocess.run([runner(language), "--prepare"], capture_output=True, stdin=subprocess.DEVNULL)
            reason, status = (built.stderr + built.stdout).decode(errors="replace")[-3000:].strip(), built.returncode
        if status == NO_TOOLS and "CI" not in os.environ:
            print(f"{language}: skipped: {reason}")
        elif status != 0:
            sys.exit(f"{language}: can't be built: {reason}")
        else:
            print(f"{language}: built in {time.monotonic() - started:.0f} s", flush=True)
            ready.append(language)
    return ready


def table(rows: list[str], columns: list[str], cell: dict[tuple[str, str], str]) -> None:
    """Prints it."""
    wide = max(map(len, rows))
    print(" " * wide, *(f"{column:>11}" for column in columns))
    for row in rows:
        print(f"{row:<{wide}}", *(f"{cell.get((row, column), '-'):>11}" for column in columns))


def suite(binary: Path, folder: Path, languages: list[str], only: str | None) -> bool:
    """Every scenario in every language."""
    scenarios = sorted(path.stem for path in (HERE / "scenarios").glob("*.json"))
    scenarios = [name for name in scenarios if only is None or name in only.split(",")]
    cells: dict[tuple[str, str], str] = {}
    problems = []

    def one(language: str) -> None:
        stand = Stand(binary, folder)
        try:
            status, lines, stderr = run(language, stand.flags() + (["--only", only] if only else []))
        finally:
            stand.close()
        for line in lines:
            ok = line.get("ok")
            cells[line["scenario"], language] = (
                f"{line['seconds']:.1f} s" if ok else "skipped" if ok is None else "FAILED"
            )
            if not ok:
                problems.append(f"{language}, {line['scenario']}: {line.get('error') or line.get('skipped')}")
        if silent := set(scenarios) - {line["scenario"] for line in lines}:
            problems.append(f"{language} said nothing of {', '.join(sorted(silent))}: {stderr}")
        elif status and not any(line.get("ok") is False for line in lines):
            problems.append(f"{language} ended with {status}: {stderr}")

    with ThreadPoolExecutor(RUNNERS) as pool:
        list(pool.map(one, languages))
    table(scenarios, languages, cells)
    print(*problems, sep="\n")
    return not problems


def faults(binary: Path, folder: Path, languages: list[str], only: str | None) -> bool:
    """The suite has to fail behind a gate that lies, in every language; and to pass behind one that does not."""
    cells: dict[tuple[str, str], str] = {}
    names = [name for name in FAULTS if only is None or name in only.split(",")]
    touched = sorted({scenario for name in names for scenario in FAULTS[name][1]})

    def one(language: str) -> None:
        stand = Stand(binary, folder)
        try:
            for name in ["(none)", *names]:
                stand.gate.begin("" if name == "(none)" else name)
                wanted = touched if name == "(none)" else sorted(FAULTS[name][1])
                _, lines, stderr = run(language, [*stand.flags(behind_gate=True), "--only", ",".join(wanted)])
                failed = sorted(line["scenario"] for line in lines if line.get("ok") is False)
                passed = sorted(line["scenario"] for line in lines if line.get("ok"))
                good = passed == wanted if name == "(none)" else failed == wanted
                cells[name, language] = ("passes" if name == "(none)" else "caught") if good else "MISSED"
                if not good:
                    print(f"{language}, {name}: failed {failed}, passed {passed} of {wanted}", lines, stderr)
        finally:
            stand.close()

    with ThreadPoolExecutor(RUNNERS) as pool:
        list(pool.map(one, languages))
    table(["(none)", *names], languages, cells)
    return "MISSED" not in cells.values()


def bench(binary: Path, languages: list[str], count: int, share: float | None) -> bool:
    """How fast each client adds so many small images, against the command line."""
    folder = Path(tempfile.mkdtemp(prefix="culld-bench-"))
    images = folder / "images"
    images.mkdir()
    for name, data in pictures.many(count).items():
        (images / name).write_bytes(data)
    good, base = True, 0.0
    print(f"adding {count} images of 16 × 16 pixels")
    try:
        for language in ["command line", *languages]:
            stand = Stand(binary, folder)
            address = f"http://{stand.daemon.address}"
            started = time.monotonic()
            try:
                if language == "command line":
                    command = [str(binary), "--server", address, "--json", "add", str(images)]
                    out = subprocess.run(command, capture_output=True, check=True).stdout
                    added, seconds, peak = json.loads(out.splitlines()[-1])["added"], time.monotonic() - started, None
                else:
                    status, lines, stderr = run(language, [*stand.flags(), "--bench", str(images)])
                    if status or not lines:
                        print(f"{language}: {stderr}")
                        good = False
                        continue
                    added, seconds, peak = lines[0]["images"], lines[0]["seconds"], lines[0]["peak_mib"]
            finally:
                stand.close()
            rate = added / seconds
            base = base or rate
            memory = "" if peak is None else f", at most {peak:.0f} MiB"
            print(
                f"{language:<12} {added} added in {seconds:6.1f} s: {rate:6.0f}/s, {rate / base:4.0%}{memory}",
                flush=True,
            )
            good &= added == count and (share is None or rate >= share * base)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return good


def main() -> int:
    """The command line of `run`."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--languages", default=",".join(LANGUAGES), help="which, with commas between")
    flags.add_argument("--only", help="scenarios (with --faults: faults), with commas between")
    flags.add_argument("--binary", type=Path, default=PROJECT / "target/release/culld", help="the daemon")
    flags.add_argument("--faults", action="store_true", help="run behind a gate that lies")
    flags.add_argument("--bench", type=int, metavar="N", help="add N images through each client")
    flags.add_argument(
        "--assert-rate", action="store_true", help=f"with --bench: ask for {RATE_SHARE:.0%} of the command line"
    )
    given = flags.parse_args()
    if missing := covered():
        print("no scenario calls", *missing)
        return 1
    languages = prepare(given.languages.split(","))
    if given.bench:
        good = bench(given.binary, languages, given.bench, RATE_SHARE if given.assert_rate else None)
    else:
        folder = Path(tempfile.mkdtemp(prefix="culld-pictures-"))
        try:
            pictures.make(folder)
            check = faults if given.faults else suite
            good = check(given.binary, folder, languages, given.only)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
