"""What was measured for particular weights. Settings belong to a hash, never to a name."""

from msgspec import Struct

from clew.model.embedded.catalog import catalogue


class Profile(Struct, frozen=True):
    """How weights are made to call tools. All thresholds are natural log-odds."""

    gate: float | None
    """Above this, the first token says that a call begins. None: the model can't tell, so it only
    calls when the request forces it to."""
    more: float
    """Above this, a further call follows the one just written."""
    recalls: bool = False
    """Questions about what the user said are asked beside it, and echoes are left out."""


UNMEASURED = Profile(gate=None, more=-8.0)
"""For forced calls of weights nobody measured; their own templates can't be held to ``required``."""

_BY_NAME = {
    "qwen2.5-coder-0.5b": Profile(gate=0.0, more=-8.8, recalls=True),
    "qwen2.5-coder-1.5b": Profile(gate=0.5, more=-8.0),
    "smollm2-135m": Profile(gate=None, more=-7.5),
}

_BY_HASH = {weights.sha256: _BY_NAME[weights.name] for weights in catalogue()}


def profile_of(sha256: str) -> Profile | None:
    """The profile of these weights, or None: then they choose tools by their own template."""
    return _BY_HASH.get(sha256)
