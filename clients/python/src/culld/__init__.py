"""The client of culld, the daemon that sorts growing image stores.

>>> import culld
>>> with culld.connect("127.0.0.1:7357") as client:
...     for outcome in client.add_images("pictures"):
...         print(outcome.key, outcome.decision.decision)

:func:`connect` gives a :class:`Client`; :mod:`culld.aio` has the same for ``asyncio``. Messages are in
:mod:`culld.api`, errors in :mod:`culld.errors`.
"""

from . import aio, api, errors
from ._add import Addable, Image, Progress, folder
from ._pictures import ContactSheet, Embeddings, table
from ._retry import Retry
from ._sync import Client, Operation, Review, connect
from .aio import Change
from .errors import CulldError

__all__ = [
    "Addable",
    "Change",
    "Client",
    "ContactSheet",
    "CulldError",
    "Embeddings",
    "Image",
    "Operation",
    "Progress",
    "Retry",
    "Review",
    "aio",
    "api",
    "connect",
    "errors",
    "folder",
    "table",
]
__version__ = "0.1.0"
