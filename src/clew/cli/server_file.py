"""``server.json`` in the data directory: what a running server tells the commands beside it."""

from pathlib import Path

import msgspec

from clew.cli.files import write_private


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A server that is running, or was killed.

    Attributes:
        url: such as ``http://127.0.0.1:8787``, without a slash at the end.
        project: the project that its key belongs to.
        tls: whether its certificate is from Clew's own authority.
        pid: its process.
        model: what a client may ask for as ``model``; None if the server passes names on.
    """

    url: str
    project: str
    tls: bool
    pid: int
    model: str | None = None


def _path(data_dir: Path) -> Path:
    return data_dir / "server.json"


def write(data_dir: Path, info: ServerInfo) -> None:
    """Tell of a server, in place of any other of this data directory."""
    write_private(_path(data_dir), msgspec.json.encode(info) + b"\n")


def read(data_dir: Path) -> ServerInfo | None:
    """Return the server of this data directory, or None if none was told of."""
    try:
        return msgspec.json.decode(_path(data_dir).read_bytes(), type=ServerInfo)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def remove(data_dir: Path, pid: int) -> None:
    """Forget the server, if it is still the one with this process."""
    info = read(data_dir)
    if info is not None and info.pid == pid:
        _path(data_dir).unlink(missing_ok=True)
