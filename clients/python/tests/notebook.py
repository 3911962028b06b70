"""Executes the study's notebook on pictures that are made here, and looks at what it found.

notebook.py CULLD_BINARY NOTEBOOK
"""

from __future__ import annotations

import csv
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

GROUPS, ITEMS, BLOCKS, EDGE = 4, 8, 4, 8


def picture(group: int, item: int) -> bytes:
    """A PNG file of coloured blocks; those of one group are alike."""
    colours, noise = random.Random(group), random.Random(1000 * group + item)
    rows = b""
    for _ in range(BLOCKS):
        row = [bytes(colours.randrange(20, 220) + noise.randrange(12) for _ in range(3)) for _ in range(BLOCKS)]
        rows += (b"\0" + b"".join(colour * EDGE for colour in row)) * EDGE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", BLOCKS * EDGE, BLOCKS * EDGE, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def text(cell: Any) -> str:
    """What a cell printed and showed."""
    shown = ""
    for output in cell.get("outputs", []):
        shown += output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
    return shown


def main(binary: str, notebook: str) -> None:
    """Makes the pictures, starts a daemon, and executes the notebook."""
    # features.py uses this file's pictures where these are not installed.
    import nbclient
    import nbformat

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["file", "class"])
            for group in range(GROUPS):
                for item in range(ITEMS):
                    (folder / "images" / f"{group}-{item}.png").write_bytes(picture(group, item))
                    rows.writerow([f"{group}-{item}.png", "cat" if group < 2 else "bird"])
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
            try:
                assert daemon.stdout is not None
                address = next(word for line in daemon.stdout for word in line.split() if word.startswith("http://"))
                os.environ |= {
                    "CULLD_SERVER": address.rstrip("/.,"),
                    "CULLD_FOLDER": str(folder / "images"),
                    "CULLD_LABELS": str(folder / "labels.csv"),
                    "CULLD_KEEP": "cat,dog",
                    "CULLD_GROUPS": str(GROUPS),
                }
                cells = nbformat.read(notebook, as_version=4)
                nbclient.NotebookClient(cells, timeout=120, kernel_name="python3").execute()
            finally:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait()
    everything = "\n".join(text(cell) for cell in cells.cells)
    for word in ["K-Means", "K-Medoids", "DBSCAN", "OPTICS", "BIRCH", "Quality Metric", "19985"]:
        assert word in everything, f"the notebook says nothing of {word}:\n{everything}"
    comparison = next(shown for cell in cells.cells if "Quality Metric" in (shown := text(cell)))
    assert "1.000" in comparison or "1.0" in comparison, f"four clear groups are sorted well:\n{comparison}"
    pictures = sum("image/png" in output.get("data", {}) for cell in cells.cells for output in cell.get("outputs", []))
    assert pictures >= 2, "a plot and a contact sheet are shown"
    print(comparison)
    print(f"{notebook}: executed, {len(cells.cells)} cells")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
