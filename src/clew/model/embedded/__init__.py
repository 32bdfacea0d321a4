"""The embedded model: a small language model on this machine's processors, for the first minute.

It needs the extra ``local``. See docs/embedded-model.md for what it can and cannot do.
"""

from clew.model.embedded.catalog import DEFAULT, catalogue
from clew.model.embedded.engine import EmbeddedModel
from clew.model.embedded.weights import Located, cached_path, fetch, find, locate, pull
from clew.weights.errors import WeightsError
from clew.weights.files import Progress
from clew.weights.sources import Weights, Wheel

__all__ = [
    "DEFAULT",
    "EmbeddedModel",
    "Located",
    "Progress",
    "Weights",
    "WeightsError",
    "Wheel",
    "cached_path",
    "catalogue",
    "fetch",
    "find",
    "locate",
    "pull",
]
