"""code_interpreter in runs: code as it is written, outputs, files and links, sessions that live on.

Source: OpenAI's published API schema (``RunStepDetailsToolCallsCode...``), azure-ai-agents' recordings.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel, call
from tests.support.api import Api, RunHandle, text
from tests.support.servers import Servers
from tests.support.wait import until

TOOL = {"type": "code_interpreter"}
TABLE = b"name,points\nAda,7\nBob,9\n"


def _agent(api: Api, *files: str) -> str:
    return api.agent(tools=[TOOL], tool_resources={"code_interpreter": {"file_ids": list(files)}})


def _code(model: ScriptedModel, *cells: str, then: str = "Done.") -> None:
    for cell in cells:
        model.call("code_interpreter", {"code": cell})
    model.reply(then)


def _calls(run: RunHandle) -> list[Any]:
    return [
        each["code_interpreter"]
        for step in run.steps()
        if step["type"] == "tool_calls"
        for each in step["step_details"]["tool_calls"]
    ]


def _logs(run: RunHandle) -> list[str]:
    return ["".join(out.get("logs", "") for out in each["outputs"]) for each in _calls(run)]


def _told(model: ScriptedModel) -> str:
    message = model.requests[-1].messages[-1]
    assert message["role"] == "tool"
    return str(message["content"])


def test_code_runs_and_its_output_is_shown_and_told(api: Api, model: ScriptedModel) -> None:
    _code(model, "x = 6\nprint('six', x)\nx * 7")
    run = api.run(api.thread("What is 6 times 7?"), _agent(api))
    run.wait("completed")
    assert _calls(run) == [
        {"input": "x = 6\nprint('six', x)\nx * 7", "outputs": [{"type": "logs", "logs": "six 6\n42"}]}
    ]
    assert _told(model) == "six 6\n42"
    (offered,) = model.requests[0].body["tools"]
    assert offered["function"]["name"] == "code_interpreter"
    sent = model.requests[1].messages[-2]["tool_calls"][0]["function"]
    assert json.loads(sent["arguments"]) == {"code": "x = 6\nprint('six', x)\nx * 7"}


def test_variables_live_on_from_run_to_run_of_a_thread_and_no_further(api: Api, model: ScriptedModel) -> None:
    agent, thread = _agent(api), api.thread("Hello")
    _code(model, "x = 5")
    api.run(thread, agent).wait("completed")
    _code(model, "x + 1")
    second = api.run(thread, agent)
    second.wait("completed")
    _code(model, "x + 1")
    other = api.run(api.thread("Hello"), agent)
    other.wait("completed")
    assert _logs(second) == ["6"]
    assert "NameError: name 'x' is not defined" in _logs(other)[0]
    assert other.now()["status"] == "completed"


def test_files_are_there_by_id_and_by_name(api: Api, model: ScriptedModel) -> None:
    of_agent, attached = api.upload(TABLE, "points.csv"), api.upload(b"note", "a note.txt")
    thread = api.thread()
    attachment = {"file_id": attached, "tools": [TOOL]}
    api.post(f"/threads/{thread}/messages", {"role": "user", "content": "Sum", "attachments": [attachment]})
    _code(
        model, "import os\nprint(sorted(os.listdir('/mnt/data')))\nprint(open('/mnt/data/points.csv').read())"
    )
    run = api.run(thread, _agent(api, of_agent))
    run.wait("completed")
    listed, *table = _logs(run)[0].split("\n")
    assert eval(listed) == sorted([of_agent, attached, "points.csv", "a note.txt"])
    assert "\n".join(table) == TABLE.decode().strip()
    system = model.requests[0].messages[0]["content"]
    assert f"- points.csv ({of_agent}), 24 bytes" in system


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_code_leaves_becomes_a_file_and_a_link_leads_to_it(
    api: Api, model: ScriptedModel, size: int
) -> None:
    said = "\N{BALL OF YARN} [sums](sandbox:/mnt/data/sums.csv), and sandbox:/mnt/data/none.csv."
    model.call("code_interpreter", {"code": "open('/mnt/data/sums.csv', 'w').write('16')"})
    model.reply(*(said[at : at + size] for at in range(0, len(said), size)))
    run = api.run(api.thread("Sum"), _agent(api))
    run.wait("completed")
    (message,) = run.messages()
    assert text(message) == said
    (annotation,) = message["content"][0]["text"]["annotations"]
    file_id = annotation["file_path"]["file_id"]
    assert annotation == {
        "type": "file_path",
        "text": "sandbox:/mnt/data/sums.csv",
        "start_index": said.index("sandbox:"),
        "end_index": said.index("sandbox:") + len("sandbox:/mnt/data/sums.csv"),
        "file_path": {"file_id": file_id},
    }
    file = api.get(f"/files/{file_id}")
    assert (file["filename"], file["purpose"], file["bytes"]) == ("sums.csv", "assistants_output", 2)
    assert api.send("GET", f"/files/{file_id}/content").content == b"16"
    assert "sandbox:/mnt/data/sums.csv" in _told(model)


def test_code_streams_as_it_is_written(api: Api, model: ScriptedModel) -> None:
    arguments = json.dumps({"code": "print('\N{BALL OF YARN}')\n1/0"})
    model.call("code_interpreter", arguments)
    model.reply("Done.")
    body = {"assistant_id": _agent(api), "stream": True}
    with api.stream("POST", f"/threads/{api.thread('Go')}/runs", body) as frames:
        told = list(frames)
    pieces = [
        each.data["delta"]["step_details"]["tool_calls"][0]
        for each in told
        if each.event == "thread.run.step.delta"
    ]
    first, *rest = pieces
    assert first == {
        "index": 0,
        "id": first["id"],
        "type": "code_interpreter",
        "code_interpreter": {"input": "", "outputs": []},
    }
    inputs = [each["code_interpreter"].get("input") for each in rest]
    assert "".join(each for each in inputs if each) == "print('\N{BALL OF YARN}')\n1/0"
    (outputs,) = [out for each in rest for out in [each["code_interpreter"].get("outputs")] if out]
    assert [(each["index"], each["type"]) for each in outputs] == [(0, "logs")]
    assert "ZeroDivisionError" in outputs[0]["logs"]
    done = next(each.data for each in told if each.event == "thread.run.step.completed")
    assert done["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"] == [
        {"type": "logs", "logs": outputs[0]["logs"]}
    ]


def test_cells_of_one_turn_run_in_their_order(api: Api, model: ScriptedModel) -> None:
    model.calls(
        *(call("code_interpreter", {"code": f"x = {cell}"}) for cell in ("[1]", "x + [2]", "x + [3]"))
    )
    _code(model, "x")
    run = api.run(api.thread("Go"), _agent(api))
    run.wait("completed")
    assert _logs(run)[-1] == "[1, 2, 3]"


def test_cancelling_a_run_ends_its_cell(api: Api, model: ScriptedModel) -> None:
    agent, thread = _agent(api), api.thread("Go")
    _code(model, "x = 5\nopen('/mnt/data/begun', 'w').close()\nwhile True: pass")
    run = api.run(thread, agent)
    until(lambda: _calls(run))
    run.cancel()
    run.wait("cancelled")
    model.reset()
    _code(model, "print(6 * 7)")
    again = api.run(thread, agent)
    again.wait("completed")
    assert _logs(again)[-1].endswith("42")


def test_the_session_least_used_ends_for_another(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(sandbox_sessions=1) as api:
        agent, thread = _agent(api), api.thread("Go")
        _code(model, "open('/mnt/data/kept.txt', 'w').write('kept')\nx = 1")
        api.run(thread, agent).wait("completed")
        _code(model, "2")
        api.run(api.thread("Go"), agent).wait("completed")
        _code(model, "print(open('/mnt/data/kept.txt').read())\nx")
        run = api.run(thread, agent)
        run.wait("completed")
        (logs,) = _logs(run)
        assert logs.startswith("[The variables of earlier code are gone")
        assert "kept\n" in logs
        assert "NameError" in logs


@pytest.mark.parametrize("arguments", ["{}", "", '{"code": "  "}'])
def test_no_code_is_told_to_the_model(api: Api, model: ScriptedModel, arguments: str) -> None:
    model.call("code_interpreter", arguments)
    model.reply("Sorry.")
    api.run(api.thread("Go"), _agent(api)).wait("completed")
    assert "Give the Python code" in _told(model)


PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('drawn')"


def test_plots_are_shown_in_the_step_and_before_the_answer(servers: Servers, model: ScriptedModel) -> None:
    with servers.start(sandbox_python=Path(sys.executable)) as api:
        _code(model, PLOT, then="Here it is.")
        run = api.run(api.thread("Plot"), _agent(api))
        run.wait("completed")
        (made,) = _calls(run)
        assert [each["type"] for each in made["outputs"]] == ["logs", "image"]
        file_id = made["outputs"][1]["image"]["file_id"]
        (message,) = run.messages()
        assert message["content"] == [
            {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}},
            {"type": "text", "text": {"value": "Here it is.", "annotations": []}},
        ]
        assert api.send("GET", f"/files/{file_id}/content").content.startswith(b"\x89PNG")
        with api.stream("GET", f"{run.path}/events") as frames:
            deltas = [
                each.data["delta"]["content"] for each in frames if each.event == "thread.message.delta"
            ]
        assert [each[0]["type"] for each in deltas] == ["image_file", "text"]
        assert deltas[0][0] == {"index": 0, "type": "image_file", "image_file": {"file_id": file_id}}
        assert deltas[1][0]["index"] == 1
        model.reply("Yes.")
        again = api.run(run.thread, _agent(api))
        again.wait("completed")
        assert model.requests[-1].messages[-1] == {"role": "assistant", "content": "Here it is."}
        assert again.messages()[0]["content"][0]["type"] == "text"
