"""What callers want done, in core's words. A wire makes these from what its clients send."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from clew.core.content import Attachment, Content
from clew.core.filters import Attribute
from clew.core.options import Json
from clew.core.stores import Chunking
from clew.core.tools import ToolResources


class NewStoreFile(Struct, frozen=True, kw_only=True):
    """A file that is to be taken into a vector store."""

    file_id: str
    attributes: dict[str, Attribute] = {}
    chunking: Chunking = Chunking()


class NewStore(Struct, frozen=True, kw_only=True):
    """A vector store, with the files that it begins with."""

    name: str | None = None
    metadata: dict[str, str] = {}
    expires_days: int | None = None
    files: Sequence[NewStoreFile] = ()


class Given(Struct, frozen=True, kw_only=True):
    """Resources as a client gives them: what they name, and a store that is to be made."""

    named: ToolResources = ToolResources()
    new_store: NewStore | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is named or described."""
        return self.named == ToolResources() and self.new_store is None


class NewMessage(Struct, frozen=True, kw_only=True):
    """A message that a client writes."""

    role: Literal["user", "assistant"]
    content: list[Content]
    attachments: list[Attachment] = []
    metadata: dict[str, str] = {}


class NewThread(Struct, frozen=True, kw_only=True):
    """A thread, with the messages that it begins with."""

    metadata: dict[str, str] = {}
    resources: Given = Given()
    token_budget: int | None = None
    messages: Sequence[NewMessage] = ()


class StartRun(Struct, frozen=True, kw_only=True):
    """A run of an agent on a thread: one that is there, or one that is made for it."""

    agent_id: str
    thread: str | NewThread
    messages: Sequence[NewMessage] = ()
    """Added to a thread that is there, before the run."""
    resources: Given | None = None
    """What its tools work on, in the place of its agent's."""
    options: Json = {}
    """Fields of the run's config that stand in the place of its agent's."""
    additional_instructions: str | None = None
    metadata: dict[str, str] = {}
    expires_in: int | None = None
    """Milliseconds after which the run expires; None for the server's usual ones."""
    wait: bool = False
    """Whether it waits in line if the thread is busy."""


class Submit(Struct, frozen=True, kw_only=True):
    """Answers to all the calls that a run waits for, by call id: outputs, or who may run."""

    outputs: tuple[tuple[str, str], ...] = ()
    approvals: tuple[tuple[str, bool], ...] = ()


class NewWebhook(Struct, frozen=True, kw_only=True):
    """A URL that is told of the project's runs."""

    url: str
    events: list[str]
    metadata: dict[str, str] = {}
