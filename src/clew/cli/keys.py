"""The API key: CLEW_API_KEY, or one that was made on first use and lies in the data directory."""

import contextlib
from pathlib import Path

from clew import ids
from clew.cli.files import create_private
from clew.cli.problems import NOT_FOUND, Problem
from clew.settings import Settings


def key_path(settings: Settings) -> Path:
    """Return where the key lies that Clew made."""
    return settings.data_dir / "api-key"


def existing_key(settings: Settings) -> str | None:
    """Return the key if there is one.

    Raises:
        Problem: the file is empty.
    """
    if settings.api_key is not None and settings.api_key.reveal():
        return settings.api_key.reveal()
    path = key_path(settings)
    try:
        return _checked(path, path.read_bytes())
    except FileNotFoundError:
        return None


def api_key(settings: Settings) -> str:
    """Return the key, making one on first use. Processes that do so at once get the same one.

    Raises:
        Problem: the file is empty.
        OSError: the data directory can't be written.
    """
    key = existing_key(settings)
    if key is not None:
        return key
    path = key_path(settings)
    return _checked(path, create_private(path, ids.new_api_key().encode() + b"\n"))


def _checked(path: Path, content: bytes) -> str:
    key = content.decode("utf-8", "replace").strip()
    if not key:
        raise Problem(f"{path} is empty: delete it to get a new key, or set CLEW_API_KEY", NOT_FOUND)
    if path.stat().st_mode & 0o077:  # copied by hand, perhaps
        with contextlib.suppress(OSError):
            path.chmod(0o600)
    return key
