"""Records what readers are told of runs, and the rows it is told from: python -m tests.histories.record NAME.

Once a release: the database goes as SQL into ``NAME.sql``, what its runs' readers were told into
``NAME.json``. From then on every version must tell the same from those rows, after its migrations.
Only the API is used, so that an older Clew can be recorded too.
"""

import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2

from clew.testing.replies import Reply, call
from clew.testing.scripted_model import Request, ScriptedModel
from tests.support.api import Api, RunHandle, function_tool
from tests.support.clock import ManualClock
from tests.support.database import new_database
from tests.support.ids import CountingIds
from tests.support.server import KEYS, MODEL_KEY, Server
from tests.support.sse import Frame

FOLDER = Path(__file__).parent
TOOLS = [function_tool("look"), function_tool("listen")]
SERVER_TOOLS = [{"type": "clew_calculator"}, {"type": "clew_calculator", "require_approval": "always"}]
_SERVER_CALLS = ("mixed", "denied")


def answer(request: Request) -> Reply:
    """The model: does what the user's last message asks for."""
    kind, done = request.last_user_text, len(request.tool_outputs)
    match kind:
        case "tools" if done == 0:
            return Reply((call("look", {"at": "left 🧶"}), call("listen"), call("fly")))
        case "tools" if done == 3:
            return Reply(("Let me see. ", call("look", {"at": "right"})))
        case "mixed" | "denied" if done == 0:
            asked = call("clew_calculator_2", {"expression": "2 * 3"})
            return Reply(("So: ", call("clew_calculator", {"expression": "1 + 1"}), asked, call("look")))
        case "cut":
            return Reply(("This is cut ", "off here"), finish_reason="length")
        case "failed":
            return Reply(("This breaks off",), finish_reason="content_filter")
    return Reply(("Wörds ", "in several ", "pieces 🧶."))


def outline(frame: Frame) -> list[Any]:
    """Return what of an event must stay as it is: its place, its name, whom it is about, what it says."""
    data: Any = frame.data
    if frame.event == "done":
        return [None, "done"]
    told = [frame.id, frame.event, data["id"], data.get("status")]
    delta = data.get("delta", {})
    told += [part["text"]["value"] for part in delta.get("content", ())]
    calls = delta.get("step_details", {}).get("tool_calls", ())
    told += [[each["index"], each["type"], each.get("id"), each[each["type"]]] for each in calls]
    if data.get("required_action"):
        action = data["required_action"]
        told.append([action["type"], [each["id"] for each in action[action["type"]]["tool_calls"]]])
    return told


def told_of(api: Api, run: RunHandle) -> list[list[Any]]:
    """Return all that a reader is told of a run that is over."""
    with api.stream("GET", f"{run.path}/events") as stream:
        return [outline(frame) for frame in stream]


def _play(api: Api, clock: ManualClock, kinds: list[str], tools: list[Any]) -> list[RunHandle]:
    agent = api.agent(tools=tools)
    runs = []
    for kind in kinds:
        run = api.run(api.thread(kind), agent, expires_in=60 if kind == "expired" else None)
        runs.append(run)
        if kind in _SERVER_CALLS:
            _decide(run, approve=kind == "mixed")
        for _ in range({"tools": 2, "mixed": 1, "denied": 1}.get(kind, 0)):
            run.answer_calls(lambda each: each["function"]["arguments"])
        if kind in ("cancelled", "expired"):
            run.wait_calls()
            clock.advance(1_000)
        if kind == "cancelled":
            run.cancel()
        if kind == "expired":
            clock.advance(60_000)
        run.wait("completed", "cancelled", "expired", "incomplete", "failed")
        clock.advance(1_500)
    return runs


def _decide(run: RunHandle, *, approve: bool) -> None:
    action = run.wait("requires_action")["required_action"]
    (asked,) = action["submit_tool_approval"]["tool_calls"]
    body = {"tool_approvals": [{"tool_call_id": asked["id"], "approve": approve}]}
    run.api.post(f"{run.path}/submit_tool_outputs", body)
    while "submit_tool_outputs" not in (run.wait("requires_action")["required_action"] or {}):
        pass


def record(name: str, *, server_tools: bool) -> None:
    """Play all that can happen to a run, and write it down."""
    with tempfile.TemporaryDirectory() as folder:
        path, clock = new_database(Path(folder) / "clew.db"), ManualClock()
        with (
            ScriptedModel(api_key=MODEL_KEY, default=_asked_twice) as model,
            Server(path, model.url, clock=clock, ids=CountingIds()) as server,
            httpx2.Client(timeout=30) as client,
        ):
            api = Api(client, server.url, KEYS["alpha"])
            kinds = ["plain", "tools", "cut", "failed", "cancelled", "expired"]
            runs = _play(api, clock, kinds, TOOLS)
            if server_tools:
                runs += _play(api, clock, list(_SERVER_CALLS), [*TOOLS, *SERVER_TOOLS])
            told = {run.path: told_of(api, run) for run in runs}
        with closing(sqlite3.connect(path)) as connection:
            (FOLDER / f"{name}.sql").write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
    text = json.dumps(told, indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _asked_twice(request: Request) -> Reply:
    """Runs that are to be cancelled or to expire wait for a function."""
    if request.last_user_text in ("cancelled", "expired"):
        return Reply((call("look"),))
    return answer(request)


if __name__ == "__main__":
    record(sys.argv[1], server_tools="--server-tools" in sys.argv)
