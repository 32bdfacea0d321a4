"""Each server that is measured: what it needs, how it starts, and what a turn is in its words."""

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from bench.http1 import Connection

Turn = Callable[[Connection], Awaitable[None]]
_HERE = Path(__file__).parent
_QUESTION = "Where is the way out of this maze?"


class Peer(ABC):
    """A server that installs from the package index.

    Attributes:
        packages: what is installed for it.
        durable: whether what it acknowledges is on the disk.
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    durable: ClassVar[str]
    python: ClassVar[str] = ""
    """The interpreter that it needs, such as ``python3.12``, where ours is too old."""
    on_postgres: ClassVar[bool] = False

    @abstractmethod
    def command(self, bin_folder: Path, port: int, model_url: str, folder: Path) -> list[str]:
        """Return how it is started."""

    def environment(self, model_url: str, port: int, database_url: str) -> dict[str, str]:
        """Return what it reads from the environment."""
        return {}

    @abstractmethod
    async def turn(self, connection: Connection) -> None:
        """Make a turn: begin a conversation, ask, get the answer, read the conversation."""


class Agno(Peer):
    """AgentOS: a run is one request, which answers when it is over."""

    name = "agno"
    packages = (
        "agno",
        "fastapi",
        "uvicorn",
        "openai",
        "sqlalchemy[asyncio]",
        "aiosqlite",
        "python-multipart",
    )
    durable = "the conversation in SQLite; a run that is under way is lost"
    _numbers = count()

    def command(self, bin_folder: Path, port: int, model_url: str, folder: Path) -> list[str]:
        program = str(_HERE / "agno_server.py")
        return [str(bin_folder / "python"), program, str(port), model_url, str(folder / "agno.db")]

    async def turn(self, connection: Connection) -> None:
        session = f"session-{next(self._numbers)}"
        form = {"message": _QUESTION, "session_id": session, "stream": "false"}
        connection.content_type = "application/x-www-form-urlencoded"
        run = json.loads(await connection.call("POST", "/agents/helper/runs", urlencode(form).encode()))
        if run["status"] != "COMPLETED":
            raise RuntimeError(f"the run ended {run['status']}: {run.get('content')}")
        runs = json.loads(await connection.call("GET", f"/sessions/{session}/runs?type=agent"))
        if len(runs) != 1:
            raise RuntimeError(f"the session holds {len(runs)} runs")


class LangGraph(Peer):
    """LangGraph's server for development: a thread, a run, its end, the thread's state."""

    name = "langgraph-api (in memory)"
    packages = ("langgraph-cli[inmem]", "langchain-openai")
    durable = "nothing: it keeps threads in memory"

    def command(self, bin_folder: Path, port: int, model_url: str, folder: Path) -> list[str]:
        graph = f"{_HERE / 'langgraph_graph.py'}:graph"
        config = folder / "langgraph.json"
        config.write_text(json.dumps({"dependencies": ["."], "graphs": {"agent": graph}}), encoding="utf-8")
        options = ["--no-browser", "--no-reload", "--port", str(port), "--n-jobs-per-worker", "10"]
        return [str(bin_folder / "langgraph"), "dev", "--config", str(config), *options]

    def environment(self, model_url: str, port: int, database_url: str) -> dict[str, str]:
        return {"PEER_MODEL_URL": model_url, "LANGSMITH_TRACING": "false"}

    async def turn(self, connection: Connection) -> None:
        thread = (await connection.json("POST", "/threads", {}))["thread_id"]
        messages = [{"role": "user", "content": _QUESTION}]
        run = await connection.json(
            "POST", f"/threads/{thread}/runs", {"assistant_id": "agent", "input": {"messages": messages}}
        )
        await connection.call("GET", f"/threads/{thread}/runs/{run['run_id']}/join")
        state: Any = json.loads(await connection.call("GET", f"/threads/{thread}/state"))
        if len(state["values"]["messages"]) != 2:
            raise RuntimeError("the answer is not in the thread")


class Aegra(LangGraph):
    """Aegra: LangGraph's API on PostgreSQL."""

    name = "aegra-api"
    packages = ("aegra-api", "langchain-openai")
    durable = "threads and runs in PostgreSQL"
    python = "python3.12"
    on_postgres = True

    def command(self, bin_folder: Path, port: int, model_url: str, folder: Path) -> list[str]:
        graph = f"{_HERE / 'langgraph_graph.py'}:graph"
        (folder / "aegra.json").write_text(json.dumps({"graphs": {"agent": graph}}), encoding="utf-8")
        return [str(bin_folder / "python"), "-m", "aegra_api.main"]

    def environment(self, model_url: str, port: int, database_url: str) -> dict[str, str]:
        return {
            "PEER_MODEL_URL": model_url,
            "DATABASE_URL": database_url,
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "AEGRA_CONFIG": "aegra.json",
            "ENV_MODE": "PRODUCTION",
        }


class Ogx(Peer):
    """OGX: a conversation, a response in it, the conversation's items."""

    name = "ogx"
    packages = ("ogx", "aiosqlite", "chardet", "litellm", "mcp>=2.0", "pypdf", "sqlite-vec")
    durable = "conversations and responses in SQLite; a response that is under way is lost"
    python = "python3.12"

    def command(self, bin_folder: Path, port: int, model_url: str, folder: Path) -> list[str]:
        return [str(bin_folder / "python"), str(_HERE / "ogx_server.py"), str(port)]

    def environment(self, model_url: str, port: int, database_url: str) -> dict[str, str]:
        return {"PEER_MODEL_URL": model_url}

    async def turn(self, connection: Connection) -> None:
        conversation = (await connection.json("POST", "/v1/conversations", {}))["id"]
        response = await connection.json(
            "POST",
            "/v1/responses",
            {"model": "openai/stub", "input": _QUESTION, "conversation": conversation},
        )
        if response["status"] != "completed":
            raise RuntimeError(f"the response ended {response['status']}: {response['error']}")
        path = f"/v1/conversations/{conversation}/items"
        items: Any = json.loads(await connection.call("GET", path))
        if len(items["data"]) != 2:
            raise RuntimeError(f"the conversation holds {len(items['data'])} items")


PEERS: tuple[Peer, ...] = (Agno(), LangGraph(), Aegra(), Ogx())
