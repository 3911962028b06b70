"""Fetches the photographs of `culld demo`:  python3 - DEST < fetch_demo.py

They come out of Debian's package gcompris-qt-data: 253 photographs of animals, fish, monuments, mills and other
sources of energy, musicians, tools and household things, each public domain, CC0, CC BY or CC BY-SA, with its
author named in the package. DEST receives `<kind>-<name>.webp` and CREDITS.txt, the package's own notes on them.
Only Python's standard library is used and no code of the package is run. A complete DEST is left as it is.
"""

import hashlib
import importlib.util
import io
import pathlib
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zlib

PACKAGE, VERSION = "gcompris-qt-data", "3.1-2"
DEB = f"{PACKAGE}_{VERSION}_all.deb"
DEB_BYTES = 44_196_292
DEB_SHA256 = "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f"
# The second is where Debian moves a release when its support ends.
POOLS = ["https://deb.debian.org/debian", "https://archive.debian.org/debian"]
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 20

# Activity, folder inside it, kind. Folders that hold drawings, pieces of a jigsaw or cut-outs are left out.
FOLDERS = [
    ("categorization", "images/fishes", "fish"),
    ("categorization", "images/monuments", "monument"),
    ("categorization", "images/others", "thing"),
    ("categorization", "images/renewable", "energy"),
    ("categorization", "images/tools", "tool"),
    ("erase", "", "animal"),
    ("explore_farm_animals", "animals", "animal"),
    ("explore_monuments", "", "monument"),
    ("explore_world_animals", "animals", "animal"),
    ("explore_world_music", "music", "music"),
]
# One is under the GPL, of the other the package does not say who took it.
LEFT_OUT = {"windmill6.webp", "screwDriver.webp"}


def say(line):
    print(line, flush=True)


def from_pool(base, path):
    """Downloads the package from a Debian mirror; urllib honours the usual proxy variables."""
    url = f"{base}/pool/main/g/gcompris-qt/{DEB}"
    say(f"fetching {url} ({DEB_BYTES >> 20} MiB)")
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, path.open("wb") as file:
        done, told = 0, 0
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            if done > DEB_BYTES:
                raise OSError("longer than it should be")
            if done * 4 // DEB_BYTES > told:
                told = done * 4 // DEB_BYTES
                say(f"  {told * 25} %")


def from_apt(path):
    """Downloads it through apt, for machines whose only way out is their own mirror; needs no root."""
    if not shutil.which("apt-get"):
        raise OSError("no apt-get here")
    say(f"fetching {PACKAGE} through apt-get")
    with tempfile.TemporaryDirectory(prefix="culld-apt-") as lists:
        pathlib.Path(lists, "partial").mkdir()
        apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={lists}"]
        apt += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
        # A failed update may only mean that some other source is out of reach: the download tells.
        for action in (["update"], ["download", f"{PACKAGE}={VERSION}"]):
            done = subprocess.run(apt + action, cwd=path.parent, capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError((done.stderr.strip().splitlines() or ["apt-get failed"])[-1])
    (path.parent / DEB).replace(path)


def fetch_package(path):
    """Tries each way in turn until one yields the pinned bytes."""
    ways = [lambda pool=pool: from_pool(pool, path) for pool in POOLS] + [lambda: from_apt(path)]
    for way in ways:
        try:
            way()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest != DEB_SHA256:
                raise OSError(f"SHA-256 is {digest}, not {DEB_SHA256}")
            return
        except (OSError, ValueError) as error:
            say(f"  no: {error}")
    sys.exit(f"could not fetch {DEB} from Debian's mirrors or through apt-get")


def deb_data(path):
    """Opens the tar archive inside a .deb, which is an `ar` archive of three members."""
    deb = path.read_bytes()
    position = 8
    while position + 60 <= len(deb):
        name, size = deb[position : position + 16].decode("ascii").strip(), int(deb[position + 48 : position + 58])
        if name.startswith("data.tar"):
            return tarfile.open(fileobj=io.BytesIO(deb[position + 60 : position + 60 + size]))
        position += 60 + size + size % 2
    sys.exit(f"{path.name} holds no data.tar")


def resources(rcc):
    """Yields (path, bytes) of every file in a Qt binary resource file, format version 3."""
    magic, version, tree, data, names, _ = struct.unpack(">4s5I", rcc[:24])
    if magic != b"qres" or version != 3:
        sys.exit("not a Qt resource file of version 3")
    pending = [(0, "")]
    while pending:
        index, parent = pending.pop()
        name, flags, first, second = struct.unpack_from(">IHII", rcc, tree + 22 * index)
        path = parent
        if index:
            (length,) = struct.unpack_from(">H", rcc, names + name)
            start = names + name + 6
            path += "/" + rcc[start : start + 2 * length].decode("utf-16-be")
        if flags & 2:  # a folder: `first` children from node `second` on
            pending += [(child, path) for child in range(second, second + first)]
            continue
        (length,) = struct.unpack_from(">I", rcc, data + second)
        start = data + second + 4
        content = rcc[start : start + length]
        yield path, zlib.decompress(content[4:]) if flags & 1 else content


def photographs(data):
    """Yields (file name, bytes) of the photographs, and of the notes on them as CREDITS.txt."""
    activities = list(dict.fromkeys(activity for activity, _, _ in FOLDERS))
    credits = []
    for activity in activities:
        rcc = data.extractfile(f"./usr/share/gcompris-qt/rcc/{activity}.rcc").read()
        root = f"/gcompris/src/activities/{activity}/resource/"
        folders = [(root + folder, kind) for name, folder, kind in FOLDERS if name == activity]
        for path, content in sorted(resources(rcc)):
            kind = next((kind for folder, kind in folders if path.startswith(folder)), None)
            parent, _, name = path.rpartition("/")
            if kind and name == "README":
                notes = content.decode("utf-8", "replace").strip()
                credits.append(f"=== {kind} ===\n\n{notes}\n")
            elif kind and name.endswith(".webp") and name not in LEFT_OUT:
                yield f"{kind}-{name}", content
    yield "CREDITS.txt", "\n".join(credits).encode()


def main(dest):
    dest = pathlib.Path(dest).resolve()
    if (dest / "CREDITS.txt").exists():
        say(f"demo pictures: {len(list(dest.glob('*.webp')))} photographs already in {dest}")
        return
    if not importlib.util.find_spec("_lzma"):
        sys.exit("this Python was built without lzma, which Debian's packages need")
    dest.parent.mkdir(parents=True, exist_ok=True)
    say(f"demo pictures: photographs from Debian's package {PACKAGE} {VERSION}")
    say("  licences: public domain, CC0, CC BY and CC BY-SA; authors in CREDITS.txt beside them")
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=dest.parent) as work:
        package, unpacked = pathlib.Path(work, "package.deb"), pathlib.Path(work, "pictures")
        fetch_package(package)
        unpacked.mkdir()
        for name, content in photographs(deb_data(package)):
            target = unpacked / name
            while target.exists():  # two activities have a horse
                target = target.with_stem(target.stem + "-b")
            target.write_bytes(content)
        try:
            unpacked.replace(dest)
        except OSError:
            if not (dest / "CREDITS.txt").exists():  # else another culld was faster, with the same pictures
                raise
    say(f"demo pictures: {len(list(dest.glob('*.webp')))} photographs in {dest}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 - DEST < fetch_demo.py")
    main(sys.argv[1])
