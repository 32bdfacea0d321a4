"""What every command that talks to a server has: --url, the connection, and errors in words."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
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
    NotFound,
    RunTimedOut,
    StartTimedOut,
    ThreadBusy,
    ToolkitError,
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
    """A server that a command talks to."""

    def __init__(self, where: Target) -> None:
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
        with said_in_words():
            remote = Remote(
                _chosen(load_settings(data_dir=data_dir), url, profile, here=data_dir is not None)
            )
            with remote.service:
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
def said_in_words() -> Iterator[None]:
    """Make what goes wrong a line on stderr and an exit code.

    Raises:
        Problem: in place of a ToolkitError.
    """
    try:
        yield
    except ToolkitError as error:
        raise Problem(in_words(error), code_of(error)) from error


def in_words(error: ToolkitError) -> str:
    """Return what an error says, fit for a terminal."""
    return " ".join(mask(clean(str(error))).split())


def code_of(error: ToolkitError) -> int:
    """Return the exit code that an error is worth."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
