"""Adds pictures of a folder as they come, and moves what is to be discarded away: watch_folder.py FOLDER [ADDRESS]"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import culld


async def arrivals(folder: Path) -> AsyncIterator[culld.Image]:
    seen = set[Path]()
    while True:
        for path in sorted(set(folder.glob("*.*")) - seen):
            seen.add(path)
            yield culld.Image(key=path.name, path=path)
        await asyncio.sleep(1)


async def main(folder: Path, address: str = "127.0.0.1:7357") -> None:
    (folder / "discarded").mkdir(exist_ok=True)
    async with culld.aio.connect(address) as client:
        async for outcome in client.add_images(arrivals(folder)):
            print(outcome.key, culld.api.DecisionKind.Name(outcome.decision.decision), outcome.detail, flush=True)
            if outcome.decision.decision == culld.api.DECISION_KIND_DISCARD:
                (folder / outcome.key).rename(folder / "discarded" / outcome.key)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
