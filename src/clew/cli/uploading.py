"""Files sent to a server, with a bar: a file's bytes go past memory, from the disk to the connection."""

import os
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO
from urllib.parse import quote

import httpx2
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from clew.cli.connection import Target
from clew.cli.problems import USAGE, Problem
from clew.core.files import MOST_BYTES
from clew.toolkit.clients.answers import decode, error_of
from clew.toolkit.clients.transport import Answer
from clew.toolkit.errors import ConnectionFailed
from clew.toolkit.records import Json
from clew.toolkit.tools.text import clean

_SILENCE = 120.0
"""Seconds without a byte after which a connection counts as lost."""

_ENDLESS = 10_000
"""Files of a folder: more are refused, as a store holds no more."""


def found(paths: Sequence[Path]) -> list[Path]:
    """Return the files that paths name: those of folders in all depths, but no hidden ones.

    Raises:
        Problem: there are none, or more than a vector store holds.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(islice(_inside(path), _ENDLESS + 1))
        elif path.is_file():
            files.append(path)
        else:  # a pipe has no end, and a device more than one
            raise Problem(f"{path} is no file", USAGE)
        if len(files) > _ENDLESS:
            raise Problem(f"{path} has more than {_ENDLESS:,} files: give a part of it", USAGE)
    if not files:
        raise Problem("there are no files in what was given", USAGE)
    return files


def _inside(folder: Path) -> Iterator[Path]:
    """Yield a folder's files; hidden folders are not even looked into, nor links to others followed."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(names) if not name.startswith(".")):
            if path.is_file() and path.stat().st_size:
                yield path


class Uploads:
    """Sends files to a server, one after the other; progress is on standard error, for a terminal."""

    def __init__(self, where: Target) -> None:
        self._client = httpx2.Client(
            base_url=where.base_url,
            headers={"Authorization": f"Bearer {where.key}"},
            timeout=_SILENCE,
            verify=ssl.create_default_context(cafile=where.ca_bundle),
        )

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, paths: Sequence[Path], purpose: str) -> Iterator[Json]:
        """Yield each file's object as soon as the server has it.

        Raises:
            Problem: a file can't be read.
            ToolkitError: the server refused one, or gave no answer.
        """
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            for number, path in enumerate(paths, 1):
                told = f"{number}/{len(paths)} {clean(path.name)[:40]}"
                try:
                    with bar.open(path, "rb", description=told) as reader:
                        yield self._sent(path.name, reader, purpose)
                except OSError as error:
                    raise Problem(f"{path} can't be read: {error.strerror}", USAGE) from None

    def _sent(self, name: str, reader: IO[bytes], purpose: str) -> Json:
        with _answers():
            response = self._client.post("/files", data={"purpose": purpose}, files={"file": (name, reader)})
        return decode(Answer(response.status_code, response.headers, response.content), Json)

    def fetch(self, file_id: str, into: IO[bytes]) -> None:
        """Write a file's bytes as they come.

        Raises:
            ToolkitError: the server refused, or gave no answer.
            Problem: the connection broke off, or more came than a file can have.
        """
        path = f"/files/{quote(file_id, safe='')}/content"
        with _answers(), self._client.stream("GET", path) as response:
            if response.status_code >= 400:
                raise error_of(Answer(response.status_code, response.headers, response.read()))
            written = 0
            try:
                for chunk in response.iter_bytes():
                    written += len(chunk)
                    if written > MOST_BYTES:
                        raise Problem(f"more came than the {MOST_BYTES:,} bytes that a file can have")
                    into.write(chunk)
            except httpx2.HTTPError as error:
                raise Problem(f"the connection broke off after {written:,} bytes: {error}") from error


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        sent = not isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
        what = str(error) or type(error).__name__
        raise ConnectionFailed(f"No answer from the service: {what}.", sent=sent) from error
