"""The clients of azure-ai-projects and azure-ai-agents, with more patience for their users."""

from typing import TYPE_CHECKING, Any

from azure.ai import agents as vendor_agents
from azure.ai import projects as vendor_projects
from azure.ai.agents.models import Agent, ToolSet

from clew.azure.credentials import Credential, authentication
from clew.azure.listing import Listing
from clew.azure.older_names import OlderNames
from clew.azure.operations import (
    MessagesOperations,
    RunsOperations,
    RunStepsOperations,
    ThreadsOperations,
    VectorStoreFilesOperations,
    VectorStoresOperations,
    rename,
)


class AgentsClient(OlderNames, vendor_agents.AgentsClient):
    """azure-ai-agents' client. Lists are :class:`clew.azure.Listing`; the names of the betas work."""

    threads: ThreadsOperations
    messages: MessagesOperations
    runs: RunsOperations
    run_steps: RunStepsOperations
    vector_stores: VectorStoresOperations
    vector_store_files: VectorStoreFilesOperations

    def __init__(self, endpoint: str, credential: Credential, **options: Any) -> None:
        """Make a client.

        Args:
            endpoint: a project endpoint, such as ``http://127.0.0.1:8787/api/projects/default``.
            credential: the server's key as str or AzureKeyCredential, or a token credential.
            options: the vendor's keywords, and ``enforce_https=False`` to permit http to any host.

        Raises:
            ValueError: a key would go to another machine over http.
        """
        made = authentication(endpoint, credential, options, is_async=False)
        super().__init__(endpoint, made, **options)
        shared = (self._client, self._config, self._serialize, self._deserialize)
        self.threads = ThreadsOperations(*shared)
        self.messages = MessagesOperations(*shared)
        self.run_steps = RunStepsOperations(*shared)
        self.runs = RunsOperations(*shared)
        self.runs.steps = self.run_steps
        self.runs._function_tool = self._function_tool
        self.runs._function_tool_max_retry = self._function_tool_max_retry
        self.vector_stores = VectorStoresOperations(*shared)
        self.vector_store_files = VectorStoreFilesOperations(*shared)
        self._toolsets: dict[str, ToolSet] = {}

    def list_agents(self, **keywords: Any) -> Listing[Agent]:
        """Return the agents; keywords are ``limit``, ``order`` and ``before``."""
        return Listing(super().list_agents(**keywords), keywords.get("limit"))

    if not TYPE_CHECKING:  # the vendor's many signatures stay what editors and type checkers see

        def create_agent(self, *args, toolset=None, **keywords):
            agent = super().create_agent(*args, toolset=toolset, **keywords)
            if toolset is not None:
                self._toolsets[agent.id] = toolset
            return agent

        def create_thread_and_run(self, *args, **keywords):
            return super().create_thread_and_run(*args, **rename(keywords))

        def create_thread_and_process_run(self, *args, **keywords):
            return super().create_thread_and_process_run(*args, **rename(keywords))

        def enable_auto_function_calls(
            self, tools=None, max_retry=10, *, functions=None, function_tool=None, toolset=None
        ):
            super().enable_auto_function_calls(tools or functions or function_tool or toolset, max_retry)


class AIProjectClient(vendor_projects.AIProjectClient):
    """azure-ai-projects' client whose ``agents`` is a :class:`clew.azure.AgentsClient`."""

    def __init__(self, endpoint: str, credential: Credential, **options: Any) -> None:
        """Make a client. Arguments and errors are those of :class:`clew.azure.AgentsClient`."""
        made = authentication(endpoint, credential, options, is_async=False)
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
