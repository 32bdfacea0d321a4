"""agno's AgentOS with one agent, on SQLite, in an environment of its own: agno_server.py PORT MODEL DB."""

import sys

import uvicorn  # type: ignore[import-not-found, unused-ignore]
from agno.agent import Agent  # type: ignore[import-not-found]
from agno.db.sqlite import SqliteDb  # type: ignore[import-not-found]
from agno.models.openai.like import OpenAILike  # type: ignore[import-not-found]
from agno.os import AgentOS  # type: ignore[import-not-found]

port, model_url, path = sys.argv[1:]
agent = Agent(
    id="helper",
    model=OpenAILike(id="stub", base_url=model_url, api_key="none"),
    db=SqliteDb(db_file=path),
    telemetry=False,
)
app = AgentOS(agents=[agent], telemetry=False).get_app()

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)
