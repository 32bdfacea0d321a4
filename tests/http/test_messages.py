"""Messages: what may be said, and that it is kept as it was said."""

from typing import Any

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, text
from tests.support.database import change
from tests.support.pictures import data_url, picture
from tests.support.refusals import Refuses
from tests.support.server import Server

SAID = '  two spaces, a tab\t, line\r\nbreaks\n, \x00 nul, é, 🧶, \u2028, \\ and "quotes"  '


def test_text_is_kept_byte_for_byte(api: Api, model: ScriptedModel) -> None:
    thread = api.thread(SAID)
    (message,) = api.get(f"/threads/{thread}/messages")["data"]
    assert text(message) == SAID
    api.run(thread, api.agent()).wait("completed")
    assert model.requests[0].messages == [{"role": "user", "content": SAID}]


def test_parts_stay_separate_and_in_order(api: Api) -> None:
    parts = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "https://example.org/maze.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": None}},
        {"type": "text", "text": "Which way?"},
    ]
    message = api.post(f"/threads/{api.thread()}/messages", {"role": "user", "content": parts})
    assert message["content"] == [
        {"type": "text", "text": {"value": "Look:", "annotations": []}},
        parts[1],
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "auto"}},
        {"type": "text", "text": {"value": "Which way?", "annotations": []}},
    ]


def test_an_image_reaches_the_model_as_a_part_of_its_message(api: Api, model: ScriptedModel) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(picture()), "detail": "high"}},
        {"type": "text", "text": "And this?"},
    ]
    thread = api.thread()
    api.post(f"/threads/{thread}/messages", {"role": "user", "content": parts})
    api.run(thread, api.agent()).wait("completed")
    (said,) = model.requests[0].messages
    assert said["content"][::2] == parts[::2]
    shown = said["content"][1]["image_url"]
    assert shown["detail"] == "high"
    assert shown["url"].startswith("data:image/jpeg;base64,")


def test_both_roles_are_accepted_and_shown_to_the_model(api: Api, model: ScriptedModel) -> None:
    thread = api.thread("Hello?")
    api.post(f"/threads/{thread}/messages", {"role": "assistant", "content": "Who is there?"})
    api.run(thread, api.agent()).wait("completed")
    roles = [(message["role"], message["content"]) for message in model.requests[0].messages]
    assert roles == [("user", "Hello?"), ("assistant", "Who is there?")]


def test_messages_come_newest_first_by_default_also_within_one_second(api: Api) -> None:
    thread = api.thread("one", "two", "three")
    for said in ("four", "five"):
        api.post(f"/threads/{thread}/messages", {"role": "user", "content": said})
    page = api.get(f"/threads/{thread}/messages")
    assert [text(message) for message in page["data"]] == ["five", "four", "three", "two", "one"]
    assert len({message["created_at"] for message in page["data"]}) == 1


def test_a_list_by_run_holds_what_that_run_wrote_and_no_more(api: Api, model: ScriptedModel) -> None:
    model.reply("First.")
    model.reply("Second.")
    thread, agent = api.thread("Go."), api.agent()
    first = api.run(thread, agent)
    first.wait("completed")
    second = api.run(thread, agent)
    second.wait("completed")
    assert [text(message) for message in first.messages()] == ["First."]
    assert [text(message) for message in second.messages()] == ["Second."]
    unknown = api.get(f"/threads/{thread}/messages", run_id="run_unknown")
    assert (unknown["data"], unknown["has_more"]) == ([], False)


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ("", "content"),
        ([], "content"),
        ([{"type": "text", "text": ""}], "content[0].text"),
        ([{"type": "text", "text": "x"}, {"type": "video"}], "content[1].type"),
        ([{"type": "text", "text": {"value": "x", "annotations": []}}], "content[0].text"),
        ([{"type": "image_url", "image_url": {"url": ""}}], "content[0].image_url.url"),
        ([{"type": "refusal", "refusal": "no"}], "content[0].type"),
    ],
)
def test_content_that_says_nothing_or_is_unknown_is_refused(api: Api, content: Any, param: str) -> None:
    thread = api.thread()
    error = api.refused(400, "POST", f"/threads/{thread}/messages", {"role": "user", "content": content})
    assert error["param"] == param
    assert error["code"] in ("invalid_value", "invalid_type")
    assert api.texts(thread) == []


def test_messages_that_come_with_a_thread_are_checked_like_any_other(refuses: Refuses) -> None:
    body = {"messages": [{"role": "user", "content": "fine"}, {"role": "system", "content": "no"}]}
    error = refuses(400, "POST", "/threads", body)
    assert error["message"] == "Invalid value: 'system'. Supported values are: 'user' and 'assistant'."
    assert (error["param"], error["code"]) == ("messages[1].role", "invalid_value")


def test_a_thread_holds_a_hundred_thousand_messages_and_not_one_more(
    api: Api, server: Server, model: ScriptedModel
) -> None:
    thread = api.thread("first")
    change(server.place, f"UPDATE threads SET message_count = 99999 WHERE id = '{thread}'")
    last = api.post(f"/threads/{thread}/messages", {"role": "user", "content": "the last one"})
    error = api.refused(400, "POST", f"/threads/{thread}/messages", {"role": "user", "content": "x"})
    assert error["code"] == "message_limit_exceeded"
    api.run(thread, api.agent()).wait("completed")
    api.delete(f"/threads/{thread}/messages/{last['id']}")
    api.refused(400, "POST", f"/threads/{thread}/messages", {"role": "user", "content": "x"})
    api.delete(f"/threads/{thread}")
