"""Opens the store of blobs that the settings name."""

from pathlib import Path

from clew.blobs.blobs import Blobs
from clew.blobs.folder import Folder


class WrongBlobs(ValueError):
    """No store of blobs can be opened like that; the message says why."""


def open_blobs(url: str, data_dir: Path) -> Blobs:
    """Return the store that ``CLEW_FILES_URL`` names.

    Raises:
        WrongBlobs: there is none of that kind.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "file":
        path = rest.removeprefix("//")
        return Folder(Path(path).expanduser() if path else data_dir / "files")
    raise WrongBlobs(f"CLEW_FILES_URL is '{url[:40]}': it begins with file: or s3://")
