"""Moments as people write them on a command line."""

import re
from datetime import datetime

from clew.cli.problems import USAGE, Problem

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"([1-9][0-9]{0,5})([smhdw])")


def moment(text: str, option: str, now: int) -> int:
    """Return a moment in seconds since the epoch, from an age or a date."""
    age = _AGE.fullmatch(text)
    if age is not None:
        return max(0, now - int(age[1]) * _SECONDS[age[2]])
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        raise Problem(
            f"{option}: {text!r} is no age such as 24h and no date such as 2026-11-26", USAGE
        ) from None


def seconds(text: str, option: str) -> int:
    """Return how long an age is, such as 24h; 0 for none.

    Raises:
        Problem: it is no age.
    """
    if text == "0":
        return 0
    age = _AGE.fullmatch(text)
    if age is None:
        raise Problem(f"{option}: {text!r} is no age such as 24h or 90d", USAGE)
    return int(age[1]) * _SECONDS[age[2]]
