"""Options that are settings: their help comes from :class:`clew.settings.Settings`."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from clew.cli.problems import USAGE, Problem
from clew.settings import Settings, WrongSettings, about, load

_Command = TypeVar("_Command", bound=Callable[..., object])


class _Seconds(click.FloatRange):
    """A time that is more than none. What is no number at all is neither more nor less."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


SECONDS = _Seconds(min=0, min_open=True)

_TYPES: dict[str, click.ParamType[Any]] = {
    "port": click.IntRange(0, 65535),
    "data_dir": click.Path(path_type=Path),
}
_METAVARS = {"host": "ADDRESS", "port": "NUMBER", "data_dir": "PATH"}


def setting(name: str, flag: str) -> Callable[[_Command], _Command]:
    """Return an option for the setting ``name``; not given, it is None, and the setting's own order
    (environment, file, default) decides."""
    description, kind, default = about(name)
    text = f"{description}  [CLEW_{name.upper()}{_default(default)}]"
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    return click.option(
        flag, name, type=_TYPES.get(name, click.STRING), metavar=_METAVARS.get(name, "URL"), help=text
    )


def _default(default: object) -> str:
    if default is None:
        return ""
    if default is msgspec.NODEFAULT:  # the data directory's, a path of this machine
        return "; default a folder of your own, see clew doctor"
    return f"; default {'off' if default is False else default}"


def load_settings(**flags: Any) -> Settings:
    """Return the settings in force.

    Raises:
        Problem: one of them is wrong; the message names it.
    """
    try:
        settings = load(**flags)
        if settings.models or settings.model_url:
            from clew.model.endpoints import endpoints_of

            endpoints_of(settings)
        return settings
    except WrongSettings as error:
        raise Problem(str(error), USAGE) from None
