"""Stores of blobs: one for those who need none, and one for each database of a test."""

import tempfile
from hashlib import sha256
from pathlib import Path

from clew.blobs.folder import Folder
from tests.support.database import Place

NO_BLOBS = Folder(Path("there is no such folder"))

_ALL = tempfile.TemporaryDirectory(prefix="clew-blobs-")


def blobs_of(place: Place) -> Folder:
    """Return the blobs that go with a database: the same for whoever opens it."""
    return Folder(Path(_ALL.name) / sha256(str(place).encode()).hexdigest()[:16])
