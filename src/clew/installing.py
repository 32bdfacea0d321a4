"""How what is missing gets installed: from the package index, which has what Clew's extras stand on.

Clew itself is not on the index, so nothing may say ``pip install clew``; this is the one place that knows.
"""

import re
import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires

_TERM = re.compile(r"(extra|sys_platform) (==|!=) [\"']([\w-]+)[\"']")

FROM_CHECKOUT = "pip install '.[{extra}]' in Clew's checkout"
"""What is said where Clew's own list of packages can't be read."""


def how_to_add(extra: str) -> str:
    """Return the command that adds what an extra of Clew stands on, as a shell takes it."""
    try:
        needed = [line.partition(";") for line in requires("clew") or ()]
    except PackageNotFoundError:
        needed = []
    packages = [name.strip() for name, _, marker in needed if _is_wanted(marker, extra)]
    return f"pip install {shlex.join(packages)}" if packages else FROM_CHECKOUT.format(extra=extra)


def _is_wanted(marker: str, extra: str) -> bool:
    """Whether a marker, of the few kinds that Clew has, means an extra and this system."""
    terms = _TERM.findall(marker)
    here = {"extra": extra, "sys_platform": sys.platform}
    holds = all((here[name] == value) is (sign == "==") for name, sign, value in terms)
    return holds and any(name == "extra" for name, _, _ in terms)
