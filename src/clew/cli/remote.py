"""What every command that talks to a server has: --url, the connection, and errors in words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from clew.cli.connection import Target, chosen
from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, NOT_FOUND, TIMED_OUT, USAGE, Problem
from clew.settings import Settings
from clew.toolkit.connect import connect
from clew.toolkit.errors import (
    AnswerTimedOut,
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    NotFound,
    RunTimedOut,
    StartTimedOut,
    StreamLost,
    ThreadBusy,
    ToolkitError,
    UnexpectedAnswer,
)
from clew.toolkit.service import Service
from clew.toolkit.tools.text import clean, mask

_CODES: tuple[tuple[type[ToolkitError], int], ...] = (
    (RunTimedOut, TIMED_OUT),
    (StartTimedOut, TIMED_OUT),
    (AnswerTimedOut, TIMED_OUT),
    (NotFound, NOT_FOUND),
    (AuthenticationFailed, NOT_FOUND),
    (ThreadBusy, FAILED),
    (BadRequest, USAGE),
)


class Remote:
    """A server that a command talks to.

    Attributes:
        url: where it is.
        where: the same, with its key and the authorities to trust.
        place: tells it from others, with what its key opens there.
        data_dir: where is kept what this person did; None if nothing is to be.
    """

    def __init__(self, where: Target, data_dir: Path | None = None) -> None:
        self.url, self.where, self.data_dir = where.base_url, where, data_dir
        self.place = f"{where.base_url} {sha256(where.key.encode()).hexdigest()[:16]}"
        self.service: Service = connect(where.base_url, where.key, ca_bundle=where.ca_bundle)
        self._model = where.model

    def default_model(self) -> str:
        """Return the model to ask for where nobody says one."""
        if self._model is not None:
            return self._model
        listed = self.service.request("GET", "models").get("data", [])
        return str(listed[0]["id"]) if listed else "default"


def on_server(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--url`` and ``--data-dir``, and a :class:`Remote` as its first argument."""

    @click.option(
        "--url",
        envvar="CLEW_URL",
        metavar="URL",
        help="the server, such as http://127.0.0.1:8787; by default the one that runs here.  [CLEW_URL]",
    )
    @click.option("--profile", metavar="NAME", help="the same, by the name that `clew profiles add` gave it")
    @setting("data_dir", "--data-dir")
    @wraps(command)
    def connected(url: str | None, profile: str | None, data_dir: Path | None, **arguments: Any) -> Any:
        _refuse_empty_ids(arguments)
        settings = load_settings(data_dir=data_dir)
        where = _chosen(settings, url, profile, here=data_dir is not None)
        remote = Remote(where, settings.data_dir)
        with said_in_words(where.base_url), remote.service:
            return command(remote, **arguments)

    return connected


def _chosen(settings: Settings, url: str | None, profile: str | None, *, here: bool) -> Target:
    """Return the server that the options of a command, of `clew` itself and the environment say.

    Raises:
        Problem: two flags say two of them, or there is none.
    """
    context = click.get_current_context()
    root = context.find_root()
    flagged = context.get_parameter_source("url") is ParameterSource.COMMANDLINE
    of_root = root.get_parameter_source("profile") is ParameterSource.COMMANDLINE
    if flagged and (profile is not None or of_root):
        raise Problem("--url and --profile: give one of them", USAGE)
    return chosen(settings, url, profile or root.params.get("profile"), given=flagged, here=here)


def _refuse_empty_ids(arguments: Mapping[str, Any]) -> None:
    """Raise Problem for an id without a character: a shell's variable that is not set."""
    for name, given in arguments.items():
        ids = (given,) if name.endswith("_id") else given if name.endswith("_ids") else ()
        if "" in ids:
            raise Problem(f"the {name.partition('_')[0]}'s id is empty", USAGE)


@contextmanager
def said_in_words(url: str = "") -> Iterator[None]:
    """Make what goes wrong a line on stderr and an exit code; ``url`` is where the server should be.

    Raises:
        Problem: in place of a ToolkitError.
    """
    try:
        yield
    except ToolkitError as error:
        raise Problem(_of_address(error, url) or in_words(error), code_of(error)) from error


def _of_address(error: ToolkitError, url: str) -> str | None:
    """Return what is said where the address may be wrong: that nobody is there, or somebody else."""
    if not url:
        return None
    other = url.replace("https://", "http://") if url.startswith("https://") else f"https{url[4:]}"
    if isinstance(error, NotFound) and error.message.startswith("Invalid URL ("):
        return f"{url} answers, but has no such path: name the server alone, such as http://127.0.0.1:8787"
    if isinstance(error, UnexpectedAnswer):
        return f"what answers at {url} is no Clew: {in_words(error)}"
    if not isinstance(error, ConnectionFailed) or isinstance(error, StreamLost | RunTimedOut | StartTimedOut):
        return None
    if "WRONG_VERSION" in error.message or "record layer" in error.message.lower():
        return f"{url} speaks no TLS: try {other}"
    if "CERTIFICATE_VERIFY_FAILED" in error.message:
        return (
            f"the certificate of {url} is not trusted here: name its authorities in SSL_CERT_FILE, or give "
            "the --data-dir of its `clew serve --tls`"
        )
    if "disconnected" in error.message and url.startswith("http://"):
        return f"{url} gave no answer and hung up: try {other}"
    said = error.message.removeprefix("No answer from the service: ").rstrip(".")
    return f"nobody answers at {url} ({said}): start it with `clew serve`, or name another with --url"


def in_words(error: ToolkitError) -> str:
    """Return what an error says, fit for a terminal."""
    return " ".join(mask(clean(str(error))).split())


def code_of(error: ToolkitError) -> int:
    """Return the exit code that an error is worth."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
