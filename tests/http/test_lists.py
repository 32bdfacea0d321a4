"""Lists: the envelope, cursors, order and the exact end.

Source: OpenAI's published API schema; azure-ai-agents 1.1.0, which pages until ``last_id`` is null.
"""

from collections.abc import Callable
from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, function_tool
from tests.support.refusals import Refuses

Fill = Callable[[Api, ScriptedModel, int], str]


def _agents(api: Api, model: ScriptedModel, count: int) -> str:
    for _ in range(count):
        api.agent()
    return "/assistants"


def _threads(api: Api, model: ScriptedModel, count: int) -> str:
    for _ in range(count):
        api.thread()
    return "/threads"


def _messages(api: Api, model: ScriptedModel, count: int) -> str:
    return f"/threads/{api.thread(*map(str, range(count)))}/messages"


def _runs(api: Api, model: ScriptedModel, count: int) -> str:
    thread, agent = api.thread("Go."), api.agent()
    for _ in range(count):
        api.run(thread, agent).wait("completed")
    return f"/threads/{thread}/runs"


def _steps(api: Api, model: ScriptedModel, count: int) -> str:
    for _ in range(count - 1):
        model.call("turn")
    run = api.run(api.thread("Go."), api.agent(tools=[function_tool("turn")]))
    for _ in range(count - 1):
        run.answer_calls(lambda call: "turned")
    run.wait("completed")
    return f"{run.path}/steps"


LISTS: dict[str, Fill] = {
    "agents": _agents,
    "threads": _threads,
    "messages": _messages,
    "runs": _runs,
    "steps": _steps,
}


@pytest.fixture(params=LISTS)
def filled(request: pytest.FixtureRequest, api: Api, model: ScriptedModel) -> "Filled":
    """A list that has at least five entries, each kind in turn."""
    return Filled(api, LISTS[request.param](api, model, 5))


class Filled:
    """A list with its ids as one page shows them, newest first."""

    def __init__(self, api: Api, path: str) -> None:
        self.api, self.path = api, path
        self.ids = _ids(self.page(limit=100))
        assert len(self.ids) >= 5

    def page(self, **query: Any) -> Json:
        return self.api.get(self.path, **query)

    def walk(self, limit: int, order: str) -> list[list[str]]:
        """Return the ids of every page, going on after the last id while there is more."""
        pages, query = [], {"limit": limit, "order": order}
        while True:
            page = self.page(**query)
            pages.append(_ids(page))
            if not page["has_more"]:
                return pages
            query["after"] = page["last_id"]


def _ids(page: Json) -> list[str]:
    return [each["id"] for each in page["data"]]


def test_a_page_names_its_first_and_its_last(filled: Filled) -> None:
    page = filled.page(limit=3)
    assert page["object"] == "list"
    assert set(page) == {"object", "data", "first_id", "last_id", "has_more"}
    assert _ids(page) == filled.ids[:3]
    assert (page["first_id"], page["last_id"]) == (filled.ids[0], filled.ids[2])
    assert page["has_more"] is True


def test_newest_first_is_the_default_and_ascending_the_reverse(filled: Filled) -> None:
    assert _ids(filled.page(limit=100, order="desc")) == filled.ids
    assert _ids(filled.page(limit=100, order="asc")) == filled.ids[::-1]
    assert filled.ids == sorted(filled.ids, key=lambda each: each.partition("_")[2], reverse=True)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_walking_with_after_meets_everything_once_and_ends(filled: Filled, limit: int, order: str) -> None:
    expected = filled.ids if order == "desc" else filled.ids[::-1]
    pages = filled.walk(limit, order)
    assert [each for page in pages for each in page] == expected
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)


def test_has_more_is_right_at_the_exact_end(filled: Filled) -> None:
    count = len(filled.ids)
    assert filled.page(limit=count)["has_more"] is False
    assert filled.page(limit=count - 1)["has_more"] is True
    assert filled.page(limit=2, after=filled.ids[-3])["has_more"] is False


def test_the_page_after_the_end_is_empty(filled: Filled) -> None:
    empty: Json = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert filled.page(after=filled.ids[-1]) == empty
    assert filled.page(before=filled.ids[0]) == empty
    assert filled.page(after="unheard-of") == empty
    assert filled.page(before="unheard-of") == empty


def test_before_gives_the_page_next_to_the_cursor_in_the_order_asked_for(filled: Filled) -> None:
    newest_first, oldest_first = filled.ids, filled.ids[::-1]
    page = filled.page(limit=2, before=newest_first[3])
    assert (_ids(page), page["has_more"]) == (newest_first[1:3], True)
    page = filled.page(limit=3, before=newest_first[3])
    assert (_ids(page), page["has_more"]) == (newest_first[0:3], False)
    page = filled.page(limit=2, before=oldest_first[4], order="asc")
    assert (_ids(page), page["has_more"]) == (oldest_first[2:4], True)


def test_after_and_before_together_give_what_lies_between(filled: Filled) -> None:
    page = filled.page(after=filled.ids[0], before=filled.ids[4])
    assert (_ids(page), page["has_more"]) == (filled.ids[1:4], False)
    page = filled.page(after=filled.ids[0], before=filled.ids[4], limit=2)
    assert (_ids(page), page["has_more"]) == (filled.ids[1:3], True)


def test_empty_parameters_count_as_not_given(filled: Filled) -> None:
    assert filled.page(limit="", order="", after="", before="") == filled.page()


def test_a_page_holds_twenty_by_default_and_at_most_a_hundred(api: Api) -> None:
    thread = api.thread(*map(str, range(101)))
    assert len(api.get(f"/threads/{thread}/messages")["data"]) == 20
    page = api.get(f"/threads/{thread}/messages", limit=100)
    assert (len(page["data"]), page["has_more"]) == (100, True)
    assert len(api.get(f"/threads/{thread}/messages", limit=1)["data"]) == 1


def test_what_arrives_while_someone_pages_neither_repeats_nor_hides_anything(api: Api) -> None:
    thread = api.thread("1", "2", "3", "4")
    path = f"/threads/{thread}/messages"
    first = api.get(path, limit=2)
    api.post(path, {"role": "user", "content": "5"})
    second = api.get(path, limit=2, after=first["last_id"])
    said = [message["content"][0]["text"]["value"] for message in first["data"] + second["data"]]
    assert said == ["4", "3", "2", "1"]
    assert second["has_more"] is False


def test_a_cursor_of_another_list_gives_an_empty_page(api: Api) -> None:
    one, two = api.thread("a", "b"), api.thread("c")
    (cursor,) = _ids(api.get(f"/threads/{two}/messages"))
    assert api.get(f"/threads/{one}/messages", after=cursor)["data"] == []
    assert api.get(f"/threads/{one}/messages", before=cursor)["data"] == []
    assert api.get("/threads", after=cursor)["data"] == []


@pytest.mark.parametrize(
    ("query", "message", "code"),
    [
        (
            {"limit": "101"},
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
            "integer_above_max_value",
        ),
        (
            {"limit": "0"},
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
            "integer_below_min_value",
        ),
        (
            {"limit": "-1"},
            "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got -1 instead.",
            "integer_below_min_value",
        ),
        *(
            (
                {"limit": wrong},
                "Invalid type for 'limit': expected an integer, but got a string instead.",
                "invalid_type",
            )
            for wrong in ("ten", "1.0", "1_0", " 1", "\u0661", "9" * 5000)
        ),
        (
            {"order": "newest"},
            "Invalid value: 'newest'. Supported values are: 'asc' and 'desc'.",
            "invalid_value",
        ),
    ],
    ids=lambda value: next(iter(value.values()))[:8] if isinstance(value, dict) else "",
)
def test_a_wrong_limit_or_order_is_refused_by_every_list(
    refuses: Refuses, filled: Filled, query: dict[str, str], message: str, code: str
) -> None:
    error = refuses(400, "GET", filled.path, query=query)
    assert (error["message"], error["code"]) == (message, code)
    assert error["param"] == next(iter(query))


def test_a_list_in_a_thread_or_run_that_does_not_exist_is_404(refuses: Refuses, api: Api) -> None:
    thread = api.thread()
    for path in ("/threads/thread_x/messages", "/threads/thread_x/runs"):
        assert refuses(404, "GET", path)["message"] == "No thread found with id 'thread_x'."
    error = refuses(404, "GET", f"/threads/{thread}/runs/run_x/steps")
    assert error["message"] == "No run found with id 'run_x'."
