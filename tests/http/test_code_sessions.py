"""Sessions of code in runs: how many there are, and that they end with what they were for."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from clew.store.code import MOST_MADE
from clew.testing.scripted_model import ScriptedModel
from clew.tools.sessions import LOOK
from tests.sandbox.processes import alive, descendants
from tests.support.api import Api, RunHandle
from tests.support.database import Place
from tests.support.servers import Servers
from tests.support.wait import until

TOOL = {"type": "code_interpreter"}
LIST = "import os\nsorted(os.listdir())"


@pytest.fixture
def on_both(place: Place, model: ScriptedModel, http: httpx2.Client) -> Servers:
    """Servers on either kind of database."""
    return Servers(place, model.url, http)


def _agent(api: Api, *files: str) -> str:
    return api.agent(tools=[TOOL], tool_resources={"code_interpreter": {"file_ids": list(files)}})


def _cell(api: Api, model: ScriptedModel, thread: str, agent: str, code: str) -> str:
    """Return what a cell has printed, in a run of its own."""
    model.call("code_interpreter", {"code": code})
    model.reply("Done.")
    run = api.run(thread, agent)
    run.wait("completed")
    return _logs(run)


def _logs(run: RunHandle) -> str:
    return "".join(
        out.get("logs", "")
        for step in run.steps()
        if step["type"] == "tool_calls"
        for each in step["step_details"]["tool_calls"]
        for out in each["code_interpreter"]["outputs"]
    )


def _kernels() -> list[int]:
    """Return the sessions' processes that this process has."""
    return [each for each in descendants(os.getpid()) if alive(each) and "/opt/kernel" in _command(each)]


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_there_are_never_more_sessions_than_may_be(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(sandbox_sessions=1) as api:
        agent = _agent(api)
        cell = "import time\nbegun = time.time()\ntime.sleep(0.2)\n(begun, time.time())"
        for _ in range(4):
            model.call("code_interpreter", {"code": cell})
        for _ in range(4):
            model.reply("Done.")
        runs = [api.run(api.thread("Go"), agent) for _ in range(4)]
        for run in runs:
            run.wait("completed")
        moments = [at for begun in sorted(eval(_logs(run)) for run in runs) for at in begun]
        assert moments == sorted(moments)


def test_a_session_ends_with_its_thread(on_both: Servers, model: ScriptedModel) -> None:
    with on_both.start() as api:
        agent, thread, other = _agent(api), api.thread("Go"), api.thread("Go")
        _cell(api, model, thread, agent, "open('data', 'w').write('secret')")
        ours = _kernels()
        _cell(api, model, other, agent, "x = 6")
        api.delete(f"/threads/{thread}")
        on_both.clock.advance(LOOK)
        until(lambda: not any(map(alive, ours)))
        assert _cell(api, model, other, agent, "x * 7") == "42"


def test_a_deleted_file_is_not_found_by_code_any_more(on_both: Servers, model: ScriptedModel) -> None:
    with on_both.start() as api:
        file = api.upload(b"secret", "in.txt")
        agent, thread = _agent(api, file), api.thread("Go")
        _cell(api, model, thread, agent, "held = open('in.txt').read()")
        api.delete(f"/files/{file}")
        logs = _cell(api, model, thread, agent, f"print('held' in globals())\n{LIST}")
        assert logs.startswith("[The variables of earlier code are gone")
        assert logs.endswith("False\n[]")


@pytest.mark.parametrize("made", [True, False])
def test_a_session_that_nobody_uses_ends_with_a_file_in_it(
    servers: Servers, model: ScriptedModel, made: bool
) -> None:
    with servers.start() as api:
        file, kept = api.upload(b"secret", "in.txt"), api.upload(b"other", "kept.txt")
        agent, thread = _agent(api, file, kept), api.thread("Go")
        assert _cell(api, model, thread, agent, "open('out.txt', 'w').write('made')") == "4"
        ours = _kernels()
        if made:
            (file,) = (each["id"] for each in api.get("/files")["data"] if each["filename"] == "out.txt")
        servers.clock.advance(LOOK)
        assert _cell(api, model, thread, agent, "2") == "2"
        assert _kernels() == ours
        api.delete(f"/files/{file}")
        servers.clock.advance(LOOK)
        servers.clock.advance(LOOK)
        until(lambda: not any(map(alive, ours)))


def test_files_are_found_whatever_their_names(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        names = [".env", "Shot\u202f1.png", "no\u00a0break.txt", "\U0001f468\u200d\U0001f469.csv", "../x"]
        files = [api.upload(name.encode(), name) for name in names]
        like = api.upload(b"not the one", files[0])
        logs = _cell(
            api,
            model,
            api.thread("Go"),
            _agent(api, *files, like),
            f"import os\nprint(sorted(os.listdir()))\nopen('{files[0]}').read()",
        )
        listed, read = logs.split("\n")
        assert eval(listed) == sorted(
            [
                *files,
                like,
                "_env",
                "Shot_1.png",
                "no_break.txt",
                "\U0001f468_\U0001f469.csv",
                "_._x",
                f"{files[0]}_2",
            ]
        )
        assert read == "'.env'"


def test_a_session_that_another_process_has_overtaken_ends(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        agent, thread = _agent(api), api.thread("Go")
        assert _cell(api, model, thread, agent, "x = 1\nx") == "1"
        ours = _kernels()
        with closing(sqlite3.connect(servers.place)) as rows, rows:
            rows.execute("UPDATE code_sessions SET session = 'session_of_another', place = 'elsewhere'")
        servers.clock.advance(LOOK)
        until(lambda: not any(map(alive, ours)))
        assert _cell(api, model, thread, agent, "'x' in globals()") == (
            "[The variables of earlier code are gone: this is a new session, with the thread's files.]\nFalse"
        )


def test_what_no_database_takes_can_be_in_code_and_output(on_both: Servers, model: ScriptedModel) -> None:
    with on_both.start() as api:
        thread, agent = api.thread("Go"), _agent(api)
        _cell(api, model, thread, agent, "print('\x00')")
        assert _cell(api, model, thread, agent, r"print('\0\ud800\x1b[2J')") == "\ufffd\\ud800\x1b[2J"


def test_files_that_code_has_left_are_bounded(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        agent, thread = _agent(api), api.thread("Go")
        _cell(api, model, thread, agent, "open('made', 'w').write('1')")
        with closing(sqlite3.connect(servers.place)) as rows, rows:
            (file,) = rows.execute("SELECT file_id FROM code_files").fetchone()
            made = [(thread, f"made_{number}", file) for number in range(MOST_MADE)]
            rows.executemany("INSERT INTO code_files (thread_id, name, file_id) VALUES (?, ?, ?)", made)
        model.reply("Done.")
        api.run(thread, agent).wait("completed")
        *named, more = model.requests[-1].messages[0]["content"].split("\n")[1:]
        assert more == f"- and {MOST_MADE - len(named)} more"
        assert named[0].startswith("- made_0 ")


LIE = """
import gc
open('large', 'wb').write(bytes(1_000_000))
files = next(each for each in gc.get_objects() if type(each).__name__ == 'Files')
files.changed = lambda: ([('large', 1)], 0)
"""


def test_a_file_larger_than_it_was_said_to_be_takes_no_room(servers: Servers, model: ScriptedModel) -> None:
    with servers.start() as api:
        logs = _cell(api, model, api.thread("Go"), _agent(api), LIE)
        assert logs == "[large could not be kept: it has more bytes than were looked for room for]"
        assert not api.get("/files")["data"]
