"""What a notebook shows, and what tables and arrays are made of."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from .v1.decision_pb2 import Decision, DecisionKind, DecisionReason, Side
from .v1.image_pb2 import Image

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

#: Pixels on a side of a picture on a sheet.
CELL_PX = 160


@dataclass(frozen=True)
class ContactSheet:
    """Pictures side by side; a notebook shows it by itself.

    Attributes:
        title: What it shows.
        thumbnails: ``(image id, caption, JPEG)`` of each picture.
    """

    title: str
    thumbnails: Sequence[tuple[str, str, bytes]]

    def _repr_html_(self) -> str:
        cells = "".join(
            f'<figure style="display:inline-block;margin:4px;width:{CELL_PX}px;vertical-align:top">'
            f'<img style="width:{CELL_PX}px;height:{CELL_PX}px;object-fit:contain" title="{html.escape(image_id)}"'
            f' src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
            f'<figcaption style="font-size:11px;overflow-wrap:anywhere">{html.escape(caption)}</figcaption></figure>'
            for image_id, caption, jpeg in self.thumbnails
        )
        return f"<div><b>{html.escape(self.title)}</b><br>{cells}</div>"

    def png(self, columns: int | None = None) -> bytes:
        """The sheet as one PNG; needs Pillow (``pip install culld[png]``).

        Args:
            columns: Pictures in a row; left out: about as many as rows.
        """
        from PIL import Image as Pillow

        columns = columns or max(1, math.ceil(math.sqrt(len(self.thumbnails))))
        rows = max(1, math.ceil(len(self.thumbnails) / columns))
        sheet = Pillow.new("RGB", (columns * CELL_PX, rows * CELL_PX), "white")
        for at, (_, _, jpeg) in enumerate(self.thumbnails):
            picture = Pillow.open(io.BytesIO(jpeg)).convert("RGB")
            picture.thumbnail((CELL_PX - 8, CELL_PX - 8))
            left = at % columns * CELL_PX + (CELL_PX - picture.width) // 2
            top = at // columns * CELL_PX + (CELL_PX - picture.height) // 2
            sheet.paste(picture, (left, top))
        file = io.BytesIO()
        sheet.save(file, "PNG")
        return file.getvalue()

    def _repr_png_(self) -> bytes | None:
        try:
            return self.png()
        except ImportError:
            return None


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of images.

    Attributes:
        image_ids: Whose, in the order of rows.
        vectors: One unit-length row per image, ``float32``.
    """

    image_ids: list[str]
    vectors: npt.NDArray[np.float32]

    @classmethod
    def of(cls, images: Iterable[Image]) -> Embeddings:
        """Of images that were listed with theirs."""
        ids, rows = list[str](), list[npt.NDArray[np.float32]]()
        for image in images:
            ids.append(image.image_id)
            rows.append(np.fromiter(image.embedding, np.float32, len(image.embedding)))
        return cls(ids, np.stack(rows) if rows else np.empty((0, 0), np.float32))


def _short(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()


def columns(decisions: Iterable[Decision]) -> dict[str, list[Any]]:
    """Decisions as named columns, enums as words: ``"keep"``, ``"discard"``, ``"review"``."""
    table: dict[str, list[Any]] = {
        "image_id": [], "decision": [], "provisional_side": [], "confidence": [], "reason": [], "revision": [],
        "detail": [], "source_keys": [],
    }  # fmt: skip
    for decision in decisions:
        table["image_id"].append(decision.image_id)
        table["decision"].append(_short(DecisionKind.Name(decision.decision), "DECISION_KIND_"))
        table["provisional_side"].append(_short(Side.Name(decision.provisional_side), "SIDE_"))
        table["confidence"].append(decision.confidence)
        table["reason"].append(_short(DecisionReason.Name(decision.reason), "DECISION_REASON_"))
        table["revision"].append(decision.revision)
        table["detail"].append(decision.detail)
        table["source_keys"].append(list(decision.source_keys))
    return table


@overload
def table(decisions: Iterable[Decision], kind: Literal["pandas"]) -> pandas.DataFrame: ...
@overload
def table(decisions: Iterable[Decision], kind: Literal["polars"]) -> polars.DataFrame: ...
@overload
def table(decisions: Iterable[Decision], kind: Literal["arrow"]) -> pyarrow.Table: ...
@overload
def table(decisions: Iterable[Decision], kind: Literal["columns"]) -> dict[str, list[Any]]: ...


def table(decisions: Iterable[Decision], kind: Literal["pandas", "polars", "arrow", "columns"]) -> Any:
    """Decisions as a table.

    Args:
        decisions: Such as those of :meth:`culld.Client.decisions`.
        kind: ``"pandas"``, ``"polars"`` or ``"arrow"``, of whichever is installed (extras of this package), or
            ``"columns"``: a ``dict`` of lists, which needs none.
    """
    data = columns(decisions)
    match kind:
        case "pandas":
            import pandas

            return pandas.DataFrame(data)
        case "polars":
            import polars

            return polars.DataFrame(data, schema_overrides={"source_keys": polars.List(polars.String)})
        case "arrow":
            import pyarrow

            strings = pyarrow.list_(pyarrow.string())
            return pyarrow.table({**data, "source_keys": pyarrow.array(data["source_keys"], strings)})
        case "columns":
            return data
    raise ValueError(f"{kind!r} is none of pandas, polars, arrow, columns")
