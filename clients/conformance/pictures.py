"""Makes the pictures of the suite, the same every time."""

from __future__ import annotations

import json
import random
import struct
import zlib
from pathlib import Path

import blake3

BLOCKS = 4
GROUPS, ITEMS, MANY = 3, 8, 2000


def png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG file of 8-bit RGB rows, each with its filter byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


def blocks(colours: random.Random, noise: random.Random, side: int) -> bytes:
    """A picture of coloured blocks: pictures of one seed of colours are near to each other."""
    seen = [
        [bytes(colours.randrange(20, 220) + noise.randrange(12) for _ in range(3)) for _ in range(BLOCKS)]
        for _ in range(BLOCKS)
    ]
    edge = side // BLOCKS
    rows = b"".join((b"\0" + b"".join(colour * edge for colour in row)) * edge for row in seen)
    return png(side, side, rows)


def many(count: int) -> dict[str, bytes]:
    """So many small pictures, no two the same."""
    return {f"{at:05}.png": blocks(random.Random(at), random.Random(at + 1), 16) for at in range(count)}


def all_of_them() -> dict[str, bytes]:
    """Every file of the suite by its path."""
    files = {
        f"groups/{group}-{item}.png": blocks(random.Random(group), random.Random(1000 * group + item + 7), 24)
        for group in range(GROUPS)
        for item in range(ITEMS)
    }
    files |= {f"many/{name}": data for name, data in many(MANY).items()}
    good = blocks(random.Random(50), random.Random(51), 24)
    # A header alone can claim any size.
    huge = png(20000, 20000, b"")
    bmp = struct.pack("<2sIHHI", b"BM", 54 + 3 * 640 * 640, 0, 0, 54)
    bmp += struct.pack("<IiiHHIIiiII", 40, 640, 640, 1, 24, 0, 3 * 640 * 640, 2835, 2835, 0, 0)
    files |= {
        "outcomes/copy.png": good,
        "outcomes/empty.png": b"",
        "outcomes/good.png": good,
        "outcomes/huge.png": huge,
        "outcomes/large.bmp": bmp + random.Random(9).randbytes(3 * 640 * 640),
        "outcomes/text.png": b"This is no picture.\n" * 40,
        "outcomes/torn.png": good[: len(good) // 2],
    }
    for at, name in enumerate(["Ünï😀 %20+&?#.png", "日本 語/картинка.png", "שלום عليكم.png", "e\u0301.png"]):
        files[f"unicode/{name}"] = blocks(random.Random(60 + at), random.Random(70 + at), 24)
    return files


def make(folder: Path) -> None:
    """Writes them, with their ids."""
    ids = {}
    for name, data in all_of_them().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        ids[name] = blake3.blake3(data).hexdigest()
    (folder / "ids.json").write_text(json.dumps(ids, ensure_ascii=False), "utf-8")
