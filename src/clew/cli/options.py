"""Options that are settings: their help comes from :class:`clew.settings.Settings`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from clew.cli.problems import USAGE, Problem
from clew.settings import Settings, load

_Command = TypeVar("_Command", bound=Callable[..., object])

_TYPES: dict[str, click.ParamType[Any]] = {
    "port": click.IntRange(0, 65535),
    "data_dir": click.Path(path_type=Path),
}
_METAVARS = {"host": "ADDRESS", "port": "NUMBER", "data_dir": "PATH"}


def setting(name: str, flag: str) -> Callable[[_Command], _Command]:
    """Return an option for the setting ``name``; not given, it is None, and the setting's own order
    (environment, file, default) decides."""
    field = Settings.model_fields[name]
    text = f"{field.description}  [CLEW_{name.upper()}{_default(name)}]"
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    kind = _TYPES.get(name, click.STRING)
    return click.option(flag, name, type=kind, metavar=_METAVARS.get(name, "URL"), help=text)


def _default(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined:
        return ""
    return f"; default {'off' if default is False else default}"


def load_settings(**flags: Any) -> Settings:
    """Return the settings in force.

    Raises:
        Problem: one of them is wrong; the message names it.
    """
    try:
        return load(**flags)
    except ValidationError as error:
        raise Problem("; ".join(_complaint(e["loc"], e["msg"]) for e in error.errors()), USAGE) from None
    except ValueError as error:  # clew.toml isn't TOML
        raise Problem(f"clew.toml: {error}", USAGE) from None


def _complaint(where: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    name = str(where[0]) if where else "settings"
    return f"CLEW_{name.upper().removeprefix('CLEW_')}: {message[:1].lower()}{message[1:]}"
