"""Fetches the photographs of `culld demo`:  python3 - DEST < fetch_demo.py

They come out of Debian's package gcompris-qt-data: 253 photographs of animals, fish, monuments, mills and other
sources of energy, musicians, tools and household things, each public domain, CC0, CC BY or CC BY-SA, with its
author named in the package. DEST receives `<kind>-<name>.webp`, and DEST-credits.txt beside it the package's own
notes on them. Only Python's standard library and apt-get are used, and no code of the package is run. A system
without apt-get contributes photographs of its own. What is there stays.
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
import zlib

PACKAGE, VERSION = "gcompris-qt-data", "3.1-2"
DEB_SHA256 = "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f"

# Where systems without apt-get keep photographs of their own, and how many of them make a demo.
LOCAL_FOLDERS = [
    "~/Pictures",
    "/usr/share/backgrounds",
    "/usr/share/wallpapers",
    "/Library/Desktop Pictures",
    "/System/Library/Desktop Pictures",
]
LOCAL_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}
LOCAL_MIN, LOCAL_MAX = 12, 300

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


def apt_get(folder, *arguments):
    """Runs apt-get with lists of its own, so that it needs no root; answers whether it worked, and what it said."""
    apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={folder}", "-o", f"Dir::Cache={folder}"]
    apt += ["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", *arguments]
    done = subprocess.run(apt, cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, (done.stderr.strip().splitlines() or ["apt-get failed"])[-1]


def fetch_package(folder):
    """Downloads the package through apt-get, which honours the machine's own mirrors and checks their signatures.
    Releases that have another version of it will do; of the one known here the bytes are checked as well."""
    say(f"fetching {PACKAGE} through apt-get (about 45 MB)")
    (folder / "partial").mkdir(parents=True)
    # A failed update may only mean that some other source is out of reach: the download tells.
    apt_get(folder, "update")
    for wanted in (f"{PACKAGE}={VERSION}", PACKAGE):
        worked, words = apt_get(folder, "download", wanted)
        package = next(folder.glob(f"{PACKAGE}_*.deb"), None)
        if worked and package:
            digest = hashlib.sha256(package.read_bytes()).hexdigest()
            if f"_{VERSION}_" in package.name and digest != DEB_SHA256:
                sys.exit(f"SHA-256 of {package.name} is {digest}, not {DEB_SHA256}")
            return package
        say(f"  no {wanted}: {words}")
    sys.exit(f"apt-get has no {PACKAGE}")


def local_pictures():
    """Pictures that the machine has anyway, the larger ones of each folder first."""
    found = []
    for folder in LOCAL_FOLDERS:
        files = [file for file in pathlib.Path(folder).expanduser().rglob("*") if file.suffix.lower() in LOCAL_SUFFIXES]
        found += sorted((file for file in files if file.is_file()), key=lambda file: -file.stat().st_size)
    if len(found) < LOCAL_MIN:
        sys.exit("there is no apt-get to fetch photographs with, and this machine has hardly any of its own")
    return found[:LOCAL_MAX]


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
    """Returns the photographs as (file name, bytes), and the package's notes on them."""
    activities = list(dict.fromkeys(activity for activity, _, _ in FOLDERS))
    pictures, notes = [], []
    for activity in activities:
        rcc = data.extractfile(f"./usr/share/gcompris-qt/rcc/{activity}.rcc").read()
        root = f"/gcompris/src/activities/{activity}/resource/"
        folders = [(root + folder, kind) for name, folder, kind in FOLDERS if name == activity]
        for path, content in sorted(resources(rcc)):
            kind = next((kind for folder, kind in folders if path.startswith(folder)), None)
            parent, _, name = path.rpartition("/")
            if kind and name == "README":
                notes.append(f"=== {kind} ===\n\n{content.decode('utf-8', 'replace').strip()}\n")
            elif kind and name.endswith(".webp") and name not in LEFT_OUT:
                pictures.append((f"{kind}-{name}", content))
    return pictures, "\n".join(notes)


def from_debian(work, credits):
    """Answers the photographs of the package as (file name, bytes)."""
    if not importlib.util.find_spec("_lzma"):
        sys.exit("this Python was built without lzma, which Debian's packages need")
    say(f"demo pictures: photographs from Debian's package {PACKAGE}")
    say(f"  licences: public domain, CC0, CC BY and CC BY-SA; authors in {credits}")
    pictures, notes = photographs(deb_data(fetch_package(work / "apt")))
    credits.write_text(notes, encoding="utf-8")
    return pictures


def from_machine():
    """Answers pictures of this machine as (file name, bytes)."""
    say("demo pictures: no apt-get here, so pictures that this machine has (under whatever licence they came)")
    return [(file.name, file.read_bytes()) for file in local_pictures()]


def main(dest):
    dest = pathlib.Path(dest).resolve()
    if count := sum(1 for _ in dest.glob("*")):  # the folder appears all at once, so it is complete
        say(f"demo pictures: {count} photographs already in {dest}")
        return
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".demo-", dir=dest.parent) as work:
        work = pathlib.Path(work)
        credits = dest.with_name(dest.name + "-credits.txt")
        pictures = from_debian(work, credits) if shutil.which("apt-get") else from_machine()
        unpacked = work / "pictures"
        unpacked.mkdir()
        for name, content in pictures:
            target = unpacked / name
            while target.exists():  # two activities have a horse
                target = target.with_stem(target.stem + "-b")
            target.write_bytes(content)
        try:
            unpacked.replace(dest)
        except OSError:
            if not any(dest.glob("*")):  # else another culld was faster, with the same pictures
                raise
    say(f"demo pictures: {len(pictures)} photographs in {dest}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 - DEST < fetch_demo.py")
    main(sys.argv[1])
