"""The API key and the installation's secret: set, or made on first use and kept in the data directory."""

import contextlib
from pathlib import Path

from clew import ids
from clew.cli.files import create_private
from clew.cli.problems import NOT_FOUND, Problem
from clew.settings import Settings

_SHORTEST, _DIFFERENT = 16, 8
"""Characters that a key has at least, in all and different ones, or it can be guessed."""


def key_path(settings: Settings) -> Path:
    """Return where the key lies that Clew made."""
    return settings.data_dir / "api-key"


def secret_path(settings: Settings) -> Path:
    """Return where the installation's secret lies that Clew made."""
    return settings.data_dir / "secret.key"


def installation_secret(settings: Settings) -> bytes:
    """Return the installation's secret, making one on first use.

    Raises:
        Problem: the file is empty.
        OSError: the data directory can't be written.
    """
    if settings.secret_key is not None:
        return settings.secret_key.reveal().strip().encode()
    path = secret_path(settings)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = create_private(path, ids.new_secret_key().encode() + b"\n")
    return _checked(path, content, "CLEW_SECRET_KEY").encode()


def existing_key(settings: Settings) -> str | None:
    """Return the key if there is one.

    Raises:
        Problem: the file is empty.
    """
    if settings.api_key is not None and settings.api_key.reveal():
        return settings.api_key.reveal()
    path = key_path(settings)
    try:
        return _checked(path, path.read_bytes(), "CLEW_API_KEY")
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
    return _checked(path, create_private(path, ids.new_api_key().encode() + b"\n"), "CLEW_API_KEY")


def weakness(key: str) -> str | None:
    """Return what is wrong with a key that somebody could guess, or None."""
    if len(key) < _SHORTEST:
        return f"has {len(key)} characters, fewer than {_SHORTEST}"
    return "repeats itself" if len(set(key)) < _DIFFERENT else None


def _checked(path: Path, content: bytes, setting: str) -> str:
    key = content.decode("utf-8", "replace").strip()
    if not key:
        raise Problem(f"{path} is empty: delete it to get a new key, or set {setting}", NOT_FOUND)
    if path.stat().st_mode & 0o077:  # copied by hand, perhaps
        with contextlib.suppress(OSError):
            path.chmod(0o600)
    return key
