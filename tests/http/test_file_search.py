"""file_search in runs: what the model is offered and told, the step, citations whole and streamed.

Source: OpenAI's published API schema (``RunStepDetailsToolCallsFileSearch...``), azure-ai-agents' recordings.
"""

import re
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, RunHandle, text

MAZE = b"Ariadne gave Theseus a clew, a ball of thread.\nSo he found his way out of the maze of Knossos.\n"
BREAD = b"Knead flour, water, salt and yeast.\nBake the bread in a hot oven until its crust is brown.\n"
MARKER = re.compile("【[^】]*】")
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
YARN = "\U0001f9f6"


@pytest.fixture
def store(api: Api) -> str:
    return api.store(api.upload(MAZE, "maze.txt"), api.upload(BREAD, "bread.md"))


def _agent(api: Api, store: str, **options: Any) -> str:
    return api.agent(
        tools=[{"type": "file_search", **({"file_search": options} if options else {})}],
        tool_resources={"file_search": {"vector_store_ids": [store]}},
    )


def _told(model: ScriptedModel) -> str:
    """Return what the model was told by its search."""
    message = model.requests[-1].messages[-1]
    assert message["role"] == "tool"
    return str(message["content"])


def _answer(model: ScriptedModel, api: Api, store: str, say: Any, *, pieces: int = 0) -> RunHandle:
    """Have the model search, and then say something that is made of the markers it is given."""
    model.call("file_search", {"query": "a ball of thread"})
    said = say(["【4:0†maze.txt】", "【4:1†bread.md】"])
    size = pieces or len(said)
    model.reply(*(said[at : at + size] for at in range(0, len(said), size)))
    return api.run(api.thread("Who had a clew?"), _agent(api, store))


def test_the_model_is_offered_a_search_and_told_passages(api: Api, model: ScriptedModel, store: str) -> None:
    model.call("file_search", {"query": "a ball of thread"})
    model.reply("Ariadne.")
    run = api.run(api.thread("Who had a clew?"), _agent(api, store))
    run.wait("completed")
    (offered,) = model.requests[0].body["tools"]
    assert offered["function"]["name"] == "file_search"
    assert offered["function"]["parameters"]["required"] == ["query"]
    told = _told(model)
    first, second = MARKER.findall(told)
    assert (first, second) == ("【4:0†maze.txt】", "【4:1†bread.md】")
    assert told.index("Ariadne gave") > told.index(first)
    assert told.index("Knead flour") > told.index(second)


def test_the_step_has_the_results_and_their_texts_on_request(
    api: Api, model: ScriptedModel, store: str
) -> None:
    run = _answer(model, api, store, lambda markers: f"Ariadne{markers[0]}.")
    run.wait("completed")
    step = next(each for each in run.steps() if each["type"] == "tool_calls")
    (call,) = step["step_details"]["tool_calls"]
    assert call["type"] == "file_search"
    assert call["file_search"]["ranking_options"] == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    first, _ = call["file_search"]["results"]
    assert (first["file_name"], first["attributes"], first["page"]) == ("maze.txt", {}, None)
    assert (first["chunk"], first["first_line"], first["last_line"]) == (0, 1, 2)
    assert 0 < first["score"] <= 1
    assert "content" not in first
    assert "marker" not in first
    path = f"{run.path}/steps/{step['id']}"
    whole = api.get(path, **{"include[]": CONTENT})["step_details"]["tool_calls"][0]
    assert whole["file_search"]["results"][0]["content"] == [{"type": "text", "text": MAZE.decode()}]
    listed = api.get(f"{run.path}/steps", **{"include[]": CONTENT})["data"]
    assert whole in [each for one in listed for each in one["step_details"].get("tool_calls", ())]


def test_markers_become_annotations(api: Api, model: ScriptedModel, store: str) -> None:
    def say(markers: list[str]) -> str:
        return f"{YARN} Ariadne{markers[0]} and bread{markers[1]}, again{markers[0]}, made up【9:9†no】."

    run = _answer(model, api, store, say)
    run.wait("completed")
    (message,) = run.messages()
    content = message["content"][0]["text"]
    assert content["value"].endswith("made up.")
    assert len(content["annotations"]) == 3
    files = {each["filename"]: each["id"] for each in api.get("/files")["data"]}
    for annotation, name in zip(content["annotations"], ("maze.txt", "bread.md", "maze.txt"), strict=True):
        start, end = annotation["start_index"], annotation["end_index"]
        assert content["value"][start:end] == annotation["text"]
        assert annotation["type"] == "file_citation"
        assert annotation["file_citation"] == {"file_id": files[name]} or name in str(annotation["text"])


@pytest.mark.parametrize("pieces", [1, 3, 0])
def test_a_stream_tells_what_the_rows_say(api: Api, model: ScriptedModel, store: str, pieces: int) -> None:
    def say(markers: list[str]) -> str:
        return f"{YARN}{markers[0]} left{markers[1]}【9:9†no】【注】."

    run = _answer(model, api, store, say, pieces=pieces)
    run.wait("completed")
    expected = text(run.messages()[0])
    with api.stream("GET", f"{run.path}/events") as frames:
        told = list(frames)
    deltas = [
        each.data["delta"]["content"][0]["text"] for each in told if each.event == "thread.message.delta"
    ]
    assert (
        "".join(each["value"] for each in deltas)
        == expected
        == f"{YARN}【4:0†maze.txt】 left【4:1†bread.md】【注】."
    )
    cited = [each for each in deltas if each.get("annotations")]
    assert [each["value"] for each in cited] == ["【4:0†maze.txt】", "【4:1†bread.md】"]
    for number, each in enumerate(cited):
        (annotation,) = each["annotations"]
        assert annotation["index"] == number
        assert annotation["text"] == each["value"]
        assert expected[annotation["start_index"] : annotation["end_index"]] == each["value"]
        assert annotation["file_citation"]["quote"] == ""
    steps = [each.data for each in told if each.event == "thread.run.step.delta"]
    (piece,) = [each["delta"]["step_details"]["tool_calls"][0] for each in steps]
    assert piece == {"index": 0, "id": piece["id"], "type": "file_search", "file_search": {"results": []}}


def test_a_live_stream_with_texts(api: Api, model: ScriptedModel, store: str) -> None:
    model.call("file_search", {"query": "a ball of thread"})
    model.reply("Ariadne【4:0†maze.txt】.")
    path = f"/threads/{api.thread('Who had a clew?')}/runs"
    body = {"assistant_id": _agent(api, store), "stream": True}
    with api.stream("POST", path, body, **{"include[]": CONTENT}) as frames:
        told = list(frames)
    done = [each.data for each in told if each.event == "thread.run.step.completed"]
    results = done[0]["step_details"]["tool_calls"][0]["file_search"]["results"]
    assert results[0]["content"] == [{"type": "text", "text": MAZE.decode()}]
    message = next(each.data for each in told if each.event == "thread.message.completed")
    assert len(message["content"][0]["text"]["annotations"]) == 1


def test_options_narrow_what_the_model_is_told(api: Api, model: ScriptedModel, store: str) -> None:
    model.call("file_search", {"query": "a ball of thread"})
    model.reply("Ariadne.")
    run = api.run(api.thread("Who?"), _agent(api, store, max_num_results=1))
    run.wait("completed")
    assert len(MARKER.findall(_told(model))) == 1


@pytest.mark.parametrize("arguments", ["{}", '{"query": ""}', '{"query": 5}', "[", ""])
def test_wrong_arguments_are_told_to_the_model(
    api: Api, model: ScriptedModel, store: str, arguments: str
) -> None:
    model.call("file_search", arguments)
    model.reply("Sorry.")
    run = api.run(api.thread("Who?"), _agent(api, store))
    run.wait("completed")
    assert "error" in _told(model)


def test_an_agent_without_files_is_told_so(api: Api, model: ScriptedModel) -> None:
    model.call("file_search", {"query": "thread"})
    model.reply("Sorry.")
    run = api.run(api.thread("Who?"), api.agent(tools=[{"type": "file_search"}]))
    run.wait("completed")
    assert "no vector store" in _told(model)


def test_a_deleted_file_stays_cited(api: Api, model: ScriptedModel, store: str) -> None:
    run = _answer(model, api, store, lambda markers: f"Ariadne{markers[0]}.")
    run.wait("completed")
    before = run.messages()
    for file in api.get(f"/vector_stores/{store}/files")["data"]:
        api.delete(f"/files/{file['id']}")
    api.delete(f"/vector_stores/{store}")
    assert run.messages() == before
    assert before[0]["content"][0]["text"]["annotations"]
