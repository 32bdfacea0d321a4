"""The ``aio`` clients of azure-ai-projects and azure-ai-agents: any credential, http on this machine.

Lists stay the vendor's AsyncItemPaged, to be read with ``async for``.
"""

from typing import TYPE_CHECKING, Any

from azure.ai.agents import aio as vendor_agents
from azure.ai.agents.aio import operations as vendor_operations
from azure.ai.projects import aio as vendor_projects

from clew.azure.credentials import Credential, authentication
from clew.azure.operations import rename

__all__ = ["AIProjectClient", "AgentsClient"]


class RunsOperations(vendor_operations.RunsOperations):
    """``agents.runs``. Takes ``assistant_id`` for ``agent_id``."""

    steps: vendor_operations.RunStepsOperations

    if not TYPE_CHECKING:  # the vendor's many signatures stay what editors and type checkers see

        async def create(self, *args, **keywords):
            return await super().create(*args, **rename(keywords))

        async def create_and_process(self, *args, **keywords):
            return await super().create_and_process(*args, **rename(keywords))

        async def stream(self, *args, **keywords):
            return await super().stream(*args, **rename(keywords))


class AgentsClient(vendor_agents.AgentsClient):
    """azure-ai-agents' aio client."""

    runs: RunsOperations

    def __init__(self, endpoint: str, credential: Credential, **options: Any) -> None:
        """Make a client. Arguments and errors are those of :class:`clew.azure.AgentsClient`."""
        made = authentication(endpoint, credential, options, is_async=True)
        super().__init__(endpoint, made, **options)
        self.runs = RunsOperations(self._client, self._config, self._serialize, self._deserialize)
        self.runs.steps = self.run_steps
        self.runs._function_tool = self._function_tool
        self.runs._function_tool_max_retry = self._function_tool_max_retry


class AIProjectClient(vendor_projects.AIProjectClient):
    """azure-ai-projects' aio client whose ``agents`` is this module's."""

    def __init__(self, endpoint: str, credential: Credential, **options: Any) -> None:
        """Make a client. Arguments and errors are those of :class:`clew.azure.AgentsClient`."""
        made = authentication(endpoint, credential, options, is_async=True)
        super().__init__(endpoint=endpoint, credential=made, **options)
        self._agents: AgentsClient | None = None

    @property
    def agents(self) -> AgentsClient:
        """Return the client for agents, threads, messages and runs."""
        if self._agents is None:
            self._agents = AgentsClient(
                self._config.endpoint,
                self._config.credential,
                user_agent=self._patched_user_agent,
                **self._kwargs,
            )
        return self._agents
