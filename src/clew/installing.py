"""How what is missing gets installed: from the package index, which has what Clew's extras stand on.

Clew itself is not on the index, so nothing may say ``pip install clew``; this is the one place that knows.
"""

import shlex
from importlib.metadata import PackageNotFoundError, requires

FROM_CHECKOUT = "pip install '.[{extra}]' in Clew's checkout"
"""What is said where Clew's own list of packages can't be read."""


def how_to_add(extra: str) -> str:
    """Return the command that adds what an extra of Clew stands on, as a shell takes it."""
    try:
        needed = [line.partition(";") for line in requires("clew") or ()]
    except PackageNotFoundError:
        needed = []
    wanted = {f"extra == '{extra}'", f'extra == "{extra}"'}
    packages = [name.strip() for name, _, marker in needed if marker.strip() in wanted]
    return f"pip install {shlex.join(packages)}" if packages else FROM_CHECKOUT.format(extra=extra)
