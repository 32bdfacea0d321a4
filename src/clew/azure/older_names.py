"""The names that the agents client had in azure-ai-projects up to 1.0.0b10 (before May 2025).

Each hands on to today's method. Keywords of that time work too: ``assistant_id`` for ``agent_id``,
``sleep_interval`` for ``polling_interval``, ``after`` for lists. Lists are single pages with ``.data``.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.ai.agents.models import (
    AgentThread,
    FileInfo,
    FileListResponse,
    FunctionTool,
    RunStep,
    ThreadMessage,
    ThreadRun,
    ToolSet,
    VectorStore,
    VectorStoreFile,
    VectorStoreFileBatch,
)

from clew.azure.listing import MessagePage, Page
from clew.azure.operations import rename

if TYPE_CHECKING:
    from azure.ai.agents import AgentsClient as _Base
else:
    _Base = object


class OlderNames(_Base):
    """Adds the older names to an agents client."""

    _toolsets: dict[str, ToolSet]

    # threads

    def create_thread(self, *args: Any, **keywords: Any) -> AgentThread:
        """``threads.create``."""
        return self.threads.create(*args, **keywords)

    def get_thread(self, thread_id: str, **keywords: Any) -> AgentThread:
        """``threads.get``."""
        return self.threads.get(thread_id, **keywords)

    def update_thread(self, thread_id: str, *args: Any, **keywords: Any) -> AgentThread:
        """``threads.update``."""
        return self.threads.update(thread_id, *args, **keywords)

    def delete_thread(self, thread_id: str, **keywords: Any) -> None:
        """``threads.delete``."""
        self.threads.delete(thread_id, **keywords)

    def list_threads(self, *, after: str | None = None, **keywords: Any) -> Page[AgentThread]:
        """``threads.list``, one page."""
        return Page(self.threads.list(**keywords), after)

    # messages

    def create_message(self, thread_id: str, *args: Any, **keywords: Any) -> ThreadMessage:
        """``messages.create``."""
        message: ThreadMessage = self.messages.create(thread_id, *args, **keywords)
        return message

    def get_message(self, thread_id: str, message_id: str, **keywords: Any) -> ThreadMessage:
        """``messages.get``."""
        return self.messages.get(thread_id, message_id, **keywords)

    def update_message(self, thread_id: str, message_id: str, *args: Any, **keywords: Any) -> ThreadMessage:
        """``messages.update``."""
        return self.messages.update(thread_id, message_id, *args, **keywords)

    def list_messages(self, thread_id: str, *, after: str | None = None, **keywords: Any) -> MessagePage:
        """``messages.list``, one page."""
        return MessagePage(self.messages.list(thread_id, **keywords), after)

    # runs

    def create_run(self, thread_id: str, *args: Any, **keywords: Any) -> ThreadRun:
        """``runs.create``."""
        return self.runs.create(thread_id, *args, **keywords)

    def create_and_process_run(
        self, thread_id: str, *, toolset: ToolSet | None = None, **keywords: Any
    ) -> ThreadRun:
        """``runs.create_and_process``. Runs the functions of ``toolset``, or of the one the agent was
        created with, as it did up to 1.0.0b8."""
        keywords = rename(keywords)
        self._enable(toolset or self._toolsets.get(keywords.get("agent_id", "")))
        return self.runs.create_and_process(thread_id, toolset=toolset, **keywords)

    def create_stream(self, thread_id: str, *args: Any, **keywords: Any) -> Any:
        """``runs.stream``."""
        self._enable(self._toolsets.get(rename(keywords).get("agent_id", "")))
        return self.runs.stream(thread_id, *args, **keywords)

    def get_run(self, thread_id: str, run_id: str, **keywords: Any) -> ThreadRun:
        """``runs.get``."""
        return self.runs.get(thread_id, run_id, **keywords)

    def update_run(self, thread_id: str, run_id: str, *args: Any, **keywords: Any) -> ThreadRun:
        """``runs.update``."""
        return self.runs.update(thread_id, run_id, *args, **keywords)

    def cancel_run(self, thread_id: str, run_id: str, **keywords: Any) -> ThreadRun:
        """``runs.cancel``."""
        return self.runs.cancel(thread_id, run_id, **keywords)

    def list_runs(self, thread_id: str, *, after: str | None = None, **keywords: Any) -> Page[ThreadRun]:
        """``runs.list``, one page."""
        return Page(self.runs.list(thread_id, **keywords), after)

    def submit_tool_outputs_to_run(
        self, thread_id: str, run_id: str, *args: Any, **keywords: Any
    ) -> ThreadRun:
        """``runs.submit_tool_outputs``."""
        return self.runs.submit_tool_outputs(thread_id, run_id, *args, **keywords)

    def submit_tool_outputs_to_stream(self, thread_id: str, run_id: str, *args: Any, **keywords: Any) -> None:
        """``runs.submit_tool_outputs_stream``."""
        self.runs.submit_tool_outputs_stream(thread_id, run_id, *args, **keywords)

    def get_run_step(self, thread_id: str, run_id: str, step_id: str, **keywords: Any) -> RunStep:
        """``run_steps.get``."""
        return self.run_steps.get(thread_id, run_id, step_id, **keywords)

    def list_run_steps(
        self, thread_id: str, run_id: str, *, after: str | None = None, **keywords: Any
    ) -> Page[RunStep]:
        """``run_steps.list``, one page."""
        return Page(self.run_steps.list(thread_id, run_id, **keywords), after)

    # files

    def upload_file(self, *args: Any, **keywords: Any) -> FileInfo:
        """``files.upload``."""
        return self.files.upload(*args, **keywords)

    def upload_file_and_poll(self, *args: Any, **keywords: Any) -> FileInfo:
        """``files.upload_and_poll``."""
        return self.files.upload_and_poll(*args, **rename(keywords))

    def get_file(self, file_id: str, **keywords: Any) -> FileInfo:
        """``files.get``."""
        return self.files.get(file_id, **keywords)

    def get_file_content(self, file_id: str, **keywords: Any) -> Iterator[bytes]:
        """``files.get_content``."""
        content: Iterator[bytes] = self.files.get_content(file_id, **keywords)
        return content

    def save_file(self, file_id: str, file_name: str, target_dir: str | Path | None = None) -> None:
        """``files.save``."""
        self.files.save(file_id, file_name, target_dir)

    def delete_file(self, file_id: str, **keywords: Any) -> None:
        """``files.delete``."""
        self.files.delete(file_id, **keywords)

    def list_files(self, **keywords: Any) -> FileListResponse:
        """``files.list``."""
        return self.files.list(**keywords)

    # vector stores

    def create_vector_store(self, *args: Any, **keywords: Any) -> VectorStore:
        """``vector_stores.create``."""
        return self.vector_stores.create(*args, **keywords)

    def create_vector_store_and_poll(self, *args: Any, **keywords: Any) -> VectorStore:
        """``vector_stores.create_and_poll``."""
        return self.vector_stores.create_and_poll(*args, **rename(keywords))

    def get_vector_store(self, vector_store_id: str, **keywords: Any) -> VectorStore:
        """``vector_stores.get``."""
        return self.vector_stores.get(vector_store_id, **keywords)

    def modify_vector_store(self, vector_store_id: str, *args: Any, **keywords: Any) -> VectorStore:
        """``vector_stores.modify``."""
        return self.vector_stores.modify(vector_store_id, *args, **keywords)

    def delete_vector_store(self, vector_store_id: str, **keywords: Any) -> None:
        """``vector_stores.delete``."""
        self.vector_stores.delete(vector_store_id, **keywords)

    def list_vector_stores(self, *, after: str | None = None, **keywords: Any) -> Page[VectorStore]:
        """``vector_stores.list``, one page."""
        return Page(self.vector_stores.list(**keywords), after)

    def create_vector_store_file_and_poll(
        self, vector_store_id: str, *args: Any, **keywords: Any
    ) -> VectorStoreFile:
        """``vector_store_files.create_and_poll``."""
        return self.vector_store_files.create_and_poll(vector_store_id, *args, **rename(keywords))

    def list_vector_store_files(
        self, vector_store_id: str, *, after: str | None = None, **keywords: Any
    ) -> Page[VectorStoreFile]:
        """``vector_store_files.list``, one page."""
        return Page(self.vector_store_files.list(vector_store_id, **keywords), after)

    def create_vector_store_file_batch_and_poll(
        self, vector_store_id: str, *args: Any, **keywords: Any
    ) -> VectorStoreFileBatch:
        """``vector_store_file_batches.create_and_poll``."""
        return self.vector_store_file_batches.create_and_poll(vector_store_id, *args, **rename(keywords))

    def _enable(self, toolset: ToolSet | None) -> None:
        """Let the functions of ``toolset`` be called, unless others were chosen already."""
        if toolset is None or self._function_tool.definitions:
            return
        with contextlib.suppress(ValueError):  # a toolset without functions
            self.enable_auto_function_calls(toolset.get_tool(FunctionTool))
