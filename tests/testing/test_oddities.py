"""Oddities of the scripted model, as its users name them. What each does is tested in tests/model."""

import contextlib
from pathlib import Path

import httpx2
import pytest

from clew.testing.oddities import KINDS, ODDITIES, table
from clew.testing.scripted_model import Reply, ScriptedModel, call
from clew.testing.stream import DONE

PAGE = Path(__file__).parents[2] / "docs" / "testing-your-app.md"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "Hi."}], "stream": True}


def ask(model: ScriptedModel, **more: object) -> httpx2.Response:
    return httpx2.post(f"{model.url}/chat/completions", json=ASKED | more)


@pytest.mark.parametrize("kind", KINDS)
def test_the_documentation_lists_them_all(kind: str) -> None:
    assert table(kind) in PAGE.read_text(encoding="utf-8")


def test_every_oddity_says_what_it_is() -> None:
    for oddity in ODDITIES.values():
        assert oddity.description.endswith((".", ".)")), oddity.name
        assert (oddity.spell is not None) or (oddity.demand is not None)


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no_idz"):
        ScriptedModel(oddities=["no_idz"])
    model = ScriptedModel()
    with pytest.raises(ValueError, match="no_idz"):
        model.oddities = ("no_idz",)
    with pytest.raises(ValueError, match="no_idz"):
        model.reply("Hi.", oddities=["no_idz"])


def test_an_answers_own_oddities_are_its_own() -> None:
    with ScriptedModel(oddities=["crlf"]) as model:
        model.reply("Hi.", oddities=["no_done"])
        model.reply("Hi.")
        first, second = ask(model).content, ask(model).content
    assert DONE.replace(b"\n", b"\r\n") not in first
    assert b"\r\n\r\n" in first
    assert second.endswith(b"data: [DONE]\r\n\r\n")


def test_a_refused_request_takes_no_reply_from_the_script() -> None:
    with ScriptedModel(oddities=["no_streaming"]) as model:
        model.reply("Hi.")
        refused = ask(model)
        assert (refused.status_code, refused.json()) == (
            400,
            {"error": "Streaming is not supported by this model."},
        )
        assert model.pending == 1
        model.refusal_shape = "detail"
        assert ask(model).json() == {"detail": "Streaming is not supported by this model."}
        assert ask(model, stream=False).json()["choices"][0]["message"]["content"] == "Hi."


def test_a_reset_leaves_the_first_oddities() -> None:
    model = ScriptedModel(oddities=["crlf"])
    model.oddities = ("cr", "bom")
    model.reset()
    assert list(model.oddities) == ["crlf"]


OPEN = ("stays_open", "stays_open_without_done", "pings_without_done")
REPLIES = (Reply(("Hi.",)), Reply((call("a"),)), Reply(("So.", call("a", {"b": 1}), call("c"))), Reply(()))


@pytest.mark.parametrize("name", [name for name, each in ODDITIES.items() if each.spell and name not in OPEN])
def test_any_reply_can_have_any_oddity(name: str) -> None:
    with ScriptedModel(oddities=[name]) as model:
        for reply in REPLIES:
            model.answer(lambda _, reply=reply: reply)  # type: ignore[misc]
            with contextlib.suppress(httpx2.RemoteProtocolError):
                assert ask(model).status_code < 400
        model.check(all_used=True)
