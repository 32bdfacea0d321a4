"""Images in messages: those among the files are shown to the model scaled, and rows keep only which it is."""

import base64
import io

import pytest
from PIL import Image

from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json
from tests.support.database import dump
from tests.support.server import Server


def _picture(width: int = 3000, height: int = 1000, kind: str = "PNG") -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(made, kind)
    return made.getvalue()


def _ask(api: Api, *parts: Json) -> None:
    content = [{"type": "text", "text": "What is it?"}, *parts]
    thread = api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"]
    api.run(thread, api.agent()).wait("completed")


def _image(file: str, **detail: str) -> Json:
    return {"type": "image_file", "image_file": {"file_id": file, **detail}}


def _shown(model: ScriptedModel) -> list[Json]:
    return [part for part in model.requests[-1].messages[-1]["content"] if part["type"] != "text"]


@pytest.mark.parametrize(("detail", "width"), [("auto", 2048), ("high", 2048), ("low", 512)])
def test_a_file_is_shown_scaled(
    api: Api, model: ScriptedModel, server: Server, detail: str, width: int
) -> None:
    file = api.upload(_picture(), "red.png", "vision")
    _ask(api, _image(file, detail=detail))
    (shown,) = _shown(model)
    assert shown["image_url"]["detail"] == detail
    head, _, data = shown["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (width, round(width / 3))
    assert data[:40] not in str(dump(server.place))


def test_a_message_says_which_file_it_shows(api: Api) -> None:
    file = api.upload(_picture(20, 10), "red.png", "vision")
    body = {"role": "user", "content": [_image(file)]}
    made = api.post(f"/threads/{api.thread()}/messages", body)
    assert made["content"] == [{"type": "image_file", "image_file": {"file_id": file, "detail": "auto"}}]
    odd = {"role": "user", "content": [_image("file-x")]}
    error = api.refused(404, "POST", f"/threads/{api.thread()}/messages", odd)
    assert error["message"] == "No such File object: file-x"


@pytest.mark.parametrize("data", [b"no picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_what_is_no_picture_is_a_note(api: Api, model: ScriptedModel, data: bytes) -> None:
    _ask(api, _image(api.upload(data, "odd.png", "vision")))
    assert _shown(model) == []
    assert "can't be shown" in str(model.requests[-1].messages[-1]["content"])


def test_a_picture_that_is_gone_is_a_note(api: Api, model: ScriptedModel) -> None:
    file = api.upload(_picture(20, 10), "red.png", "vision")
    content = [_image(file), {"type": "text", "text": "What is it?"}]
    thread = api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"]
    api.delete(f"/files/{file}")
    api.run(thread, api.agent()).wait("completed")
    assert "not there any more" in str(model.requests[-1].messages[-1]["content"])


def test_a_picture_that_was_shown_is_not_shown_when_it_is_deleted(api: Api, model: ScriptedModel) -> None:
    file = api.upload(_picture(20, 10), "red.png", "vision")
    content = [_image(file), {"type": "text", "text": "What is it?"}]
    thread = api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"]
    for shown in (True, False):
        api.run(thread, api.agent()).wait("completed")
        assert ("data:image/" in str(model.requests[-1].messages)) == shown
        if shown:
            api.delete(f"/files/{file}")


def test_only_the_newest_are_shown(api: Api, model: ScriptedModel) -> None:
    file = api.upload(_picture(20, 10), "red.png", "vision")
    _ask(api, *[_image(file)] * 23)
    assert len(_shown(model)) == 20
    assert str(model.requests[-1].messages[-1]["content"]).count("an older image") == 3
