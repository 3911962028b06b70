#!/usr/bin/env python3
"""Prints what culld is made of, as CycloneDX 1.5: every crate of the lock file that the binary has, the model, and the
runtime that is fetched.

    .ci/sbom.py > culld.cdx.json
"""

import hashlib
import json
import pathlib
import re
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def reached(metadata):
    """Ids of the packages that the binary is built from; what only tests need is left out."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found, ahead = set(), [metadata["resolve"]["root"]]
    while ahead:
        one = ahead.pop()
        if one in found:
            continue
        found.add(one)
        for dependency in nodes[one]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                ahead.append(dependency["pkg"])
    return found


def crate(package, checksums):
    name, version = package["name"], package["version"]
    component = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:cargo/{name}@{version}",
        "bom-ref": f"pkg:cargo/{name}@{version}",
    }
    if package["license"]:
        component["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    if (name, version) in checksums:
        component["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
    return component


def model():
    path = ROOT / "models" / "efficientnet-lite0-int8.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "type": "machine-learning-model",
        "name": path.name,
        "licenses": [{"expression": "Apache-2.0"}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def runtimes():
    """The wheels of ONNX Runtime that `culld setup` takes, by the hashes that it checks."""
    text = (ROOT / "src" / "setup.rs").read_text() + (ROOT / "src" / "setup" / "wheel.rs").read_text()
    version = re.search(r'"(\d+\.\d+\.\d+)"', text).group(1)
    for digest in sorted(set(re.findall(r'"([0-9a-f]{64})"', text))):
        yield {
            "type": "library",
            "name": "onnxruntime",
            "version": version,
            "purl": f"pkg:pypi/onnxruntime@{version}",
            "licenses": [{"expression": "MIT"}],
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(one["name"], one["version"]): one["checksum"] for one in lock["package"] if "checksum" in one}
    ids, root = reached(metadata), metadata["resolve"]["root"]
    packages = sorted((one for one in metadata["packages"] if one["id"] in ids), key=lambda one: one["id"])
    own = next(one for one in packages if one["id"] == root)
    components = [crate(one, checksums) for one in packages if one["id"] != root]
    print(json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": crate(own, checksums) | {"type": "application"}},
        "components": [*components, model(), *runtimes()],
    }, indent=2))


if __name__ == "__main__":
    main()
