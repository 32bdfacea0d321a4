"""Dialects: where the same operations differ between those who speak them."""

from msgspec import Struct

from clew.ids import AGENT

OPENAI_MESSAGE_TEXT, AZURE_MESSAGE_TEXT = 256_000, 1_500_000


class Dialect(Struct, frozen=True, kw_only=True):
    """What one family of clients may send that another may not."""

    name: str
    message_text: int
    """Characters that a message's text may have."""
    run_resources: bool
    """Whether a run on a thread may bring ``tool_resources``: Azure's clients send an empty one."""
    agent_prefix: str = ""
    """What the id of an agent must begin with where a run names it."""


OPENAI = Dialect(name="openai", message_text=OPENAI_MESSAGE_TEXT, run_resources=False)
AZURE = Dialect(name="azure", message_text=AZURE_MESSAGE_TEXT, run_resources=True, agent_prefix=AGENT)
