"""The vendor's groups of operations, with lists that are sequences and older spellings."""

from typing import TYPE_CHECKING, Any

from azure.ai.agents import operations as vendor
from azure.ai.agents.models import (
    AgentThread,
    RunStep,
    ThreadRun,
    VectorStore,
    VectorStoreFile,
)

from clew.azure.listing import Listing, MessageListing


def rename(keywords: dict[str, Any]) -> dict[str, Any]:
    """Return keywords in today's spelling: ``assistant_id``, ``sleep_interval``."""
    older = {"assistant_id": "agent_id", "sleep_interval": "polling_interval"}
    return {older.get(name, name): value for name, value in keywords.items()}


class ThreadsOperations(vendor.ThreadsOperations):
    """``agents.threads``."""

    def list(self, **keywords: Any) -> Listing[AgentThread]:
        """Return the threads; keywords are ``limit``, ``order`` and ``before``."""
        return Listing(super().list(**keywords), keywords.get("limit"))


class MessagesOperations(vendor.MessagesOperations):
    """``agents.messages``."""

    def list(self, thread_id: str, **keywords: Any) -> MessageListing:
        """Return a thread's messages; keywords are ``run_id``, ``limit``, ``order`` and ``before``."""
        return MessageListing(super().list(thread_id, **keywords), keywords.get("limit"))


class RunStepsOperations(vendor.RunStepsOperations):
    """``agents.run_steps``, also ``agents.runs.steps``."""

    def list(self, thread_id: str, run_id: str, **keywords: Any) -> Listing[RunStep]:
        """Return a run's steps; keywords are ``include``, ``limit``, ``order`` and ``before``."""
        return Listing(super().list(thread_id, run_id, **keywords), keywords.get("limit"))


class RunsOperations(vendor.RunsOperations):
    """``agents.runs``. Takes ``assistant_id`` for ``agent_id``."""

    steps: RunStepsOperations

    def list(self, thread_id: str, **keywords: Any) -> Listing[ThreadRun]:
        """Return a thread's runs; keywords are ``limit``, ``order`` and ``before``."""
        return Listing(super().list(thread_id, **keywords), keywords.get("limit"))

    if not TYPE_CHECKING:  # the vendor's many signatures stay what editors and type checkers see

        def create(self, *args, **keywords):
            return super().create(*args, **rename(keywords))

        def create_and_process(self, *args, **keywords):
            return super().create_and_process(*args, **rename(keywords))

        def stream(self, *args, **keywords):
            return super().stream(*args, **rename(keywords))


class VectorStoresOperations(vendor.VectorStoresOperations):
    """``agents.vector_stores``."""

    def list(self, **keywords: Any) -> Listing[VectorStore]:
        """Return the vector stores; keywords are ``limit``, ``order`` and ``before``."""
        return Listing(super().list(**keywords), keywords.get("limit"))


class VectorStoreFilesOperations(vendor.VectorStoreFilesOperations):
    """``agents.vector_store_files``."""

    def list(self, vector_store_id: str, **keywords: Any) -> Listing[VectorStoreFile]:
        """Return a store's files; keywords are ``filter``, ``limit``, ``order`` and ``before``."""
        return Listing(super().list(vector_store_id, **keywords), keywords.get("limit"))
