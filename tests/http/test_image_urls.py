"""Images by URL: the server gets them itself, through its guard; what it can't get is a note to the model."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator, Sequence

import httpx2
import pytest
from PIL import Image

from clew.engine.picture_urls import Policy
from clew.model.endpoint import Endpoint
from clew.net.client import GuardedHttp
from clew.net.guard import Guard
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json
from tests.support.clock import ManualClock
from tests.support.database import dump, new_database
from tests.support.ids import CountingIds
from tests.support.pictures import PictureHost, data_url, http, picture
from tests.support.server import KEYS, MODEL_KEY, Server
from tests.support.servers import Servers

ADDRESSES: dict[str, list[str]] = {}
"""Where names lead, one address each time they are looked up; other names lead nowhere."""

LOOKED_UP: list[str] = []


async def _resolve(host: str, port: int) -> Sequence[str]:
    LOOKED_UP.append(host)
    if not ADDRESSES.get(host):
        raise OSError("no such name")
    found = ADDRESSES[host]
    return [found.pop(0) if len(found) > 1 else found[0]]


@pytest.fixture(scope="module")
def host() -> Iterator[PictureHost]:
    with PictureHost() as host:
        yield host


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    clock: ManualClock,
    _scripted_model: ScriptedModel,
    host: PictureHost,
) -> Iterator[Server]:
    """A server for which pictures.example is outside, and all else on this machine is not."""
    ADDRESSES["pictures.example"] = ["127.0.0.1"]
    guard = Guard(f"pictures.example:{host.port}", _resolve)
    path = new_database(tmp_path_factory.mktemp("server") / "clew.db")
    with Server(
        path, _scripted_model.url, clock=clock, ids=CountingIds(), outbound=GuardedHttp(guard)
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def _forgotten(host: PictureHost) -> None:
    host.asked.clear()
    host.answers.clear()
    LOOKED_UP.clear()


def _image(url: str, **more: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def _ask(api: Api, *urls: str, **more: str) -> str:
    """Have a run look at pictures; return its thread."""
    content = [{"type": "text", "text": "What is it?"}, *(_image(url, **more) for url in urls)]
    thread = str(api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"])
    api.run(thread, api.agent()).wait("completed")
    return thread


def _told(model: ScriptedModel) -> list[Json]:
    content: list[Json] = model.requests[-1].messages[0]["content"]
    return content[1:]


def _size(part: Json) -> tuple[int, int]:
    head, _, data = part["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data))).size


def _note(model: ScriptedModel) -> str:
    (part,) = _told(model)
    assert part["type"] == "text"
    return str(part["text"])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_picture_is_fetched_and_shown_scaled_and_rows_keep_its_address(
    api: Api, model: ScriptedModel, server: Server, host: PictureHost, kind: str
) -> None:
    url = host.gives(f"/{kind}", http(picture(1200, 300, kind)))
    thread = _ask(api, url, detail="low")
    (shown,) = _told(model)
    assert _size(shown) == (512, 128)
    assert shown["image_url"]["detail"] == "low"
    kept = api.get(f"/threads/{thread}/messages", order="asc")["data"][0]["content"][1]
    assert kept == _image(url, detail="low")
    assert shown["image_url"]["url"][40:80] not in str(dump(server.place))


def test_a_picture_is_asked_for_once_though_it_is_shown_often(
    api: Api, model: ScriptedModel, clock: ManualClock, host: PictureHost
) -> None:
    url = host.gives("/once", http(picture()))
    thread = _ask(api, url, url)
    api.run(thread, api.agent()).wait("completed")
    assert [_size(each) for each in _told(model)] == [(20, 10)] * 2
    assert host.asked == ["/once"]
    clock.advance(11 * 60_000)
    api.run(thread, api.agent()).wait("completed")
    assert host.asked == ["/once"] * 2


def test_another_project_asks_anew(api: Api, server: Server, model: ScriptedModel, host: PictureHost) -> None:
    url = host.gives("/both", http(picture()))
    _ask(api, url)
    host.gives("/both", http(b"", "404 Not Found"))
    with httpx2.Client(timeout=10) as client:
        _ask(Api(client, server.url, KEYS["beta"]), url)
    assert "it answered 404" in _note(model)
    assert host.asked == ["/both"] * 2


INSIDE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://localhost:{port}/inside",
    "http://127.0.0.1:{port}/inside",
    "http://[::1]:{port}/inside",
    "http://0x7f.1:{port}/inside",
    "http://inner.example:{port}/inside",
    "http://metadata.example/",
    "http://user:secret@pictures.example:{port}/inside",
    "http://pictures.example:6379/",
    "ftp://pictures.example/inside",
    "file:///etc/passwd",
    "//pictures.example/inside",
    "nothing",
]


def test_what_leads_inside_is_not_connected_to(api: Api, model: ScriptedModel, host: PictureHost) -> None:
    ADDRESSES["inner.example"], ADDRESSES["metadata.example"] = ["127.0.0.1"], ["169.254.169.254"]
    before = host.connections
    _ask(api, *[url.format(port=host.port) for url in INSIDE])
    told = [part["text"] for part in _told(model)]
    assert len(told) == len(INSIDE)
    assert all(each.startswith("[an image that can't be shown: Its URL may not be asked: ") for each in told)
    assert host.connections == before


@pytest.mark.parametrize("target", [*INSIDE[:7], "ftp://pictures.example/", "http://[broken"])
def test_a_redirect_to_the_inside_is_not_followed(
    api: Api, model: ScriptedModel, host: PictureHost, target: str
) -> None:
    ADDRESSES["inner.example"], ADDRESSES["metadata.example"] = ["127.0.0.1"], ["169.254.169.254"]
    where = f"Location: {target.format(port=host.port)}"
    before = host.connections
    _ask(api, host.gives(f"/{abs(hash(target))}", http(b"", "302 Found", where)))
    assert "can't be shown: Its URL " in _note(model)
    assert host.connections == before + 1


def test_redirects_that_stay_outside_are_followed_three_times(
    api: Api, model: ScriptedModel, host: PictureHost
) -> None:
    for number in range(5):
        host.gives(f"/hop{number}", http(b"", "302 Found", f"Location: /hop{number + 1}"))
    host.gives("/hop5", http(picture()))
    _ask(api, host.url("/hop2"), host.url("/hop1"))
    shown, note = _told(model)
    assert _size(shown) == (20, 10)
    assert "it redirects more than 3 times" in note["text"]


def test_a_name_that_changes_its_mind_gains_nothing(
    api: Api, model: ScriptedModel, host: PictureHost
) -> None:
    ADDRESSES["rebinding.example"] = ["127.0.0.1", "169.254.169.254"]
    before = host.connections
    _ask(api, f"http://rebinding.example:{host.port}/")
    assert "not on the public internet" in _note(model)
    assert LOOKED_UP == ["rebinding.example"]
    assert host.connections == before


_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
_AS_PNG = "Content-Type: image/png"
_LARGE = picture() + bytes(20_000_001 - len(picture()))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(http(_SVG, "200 OK", _AS_PNG), "must be a JPEG, PNG, GIF or WebP", id="svg"),
        pytest.param(http(b"<html></html>", "200 OK", _AS_PNG), "must be a JPEG, PNG, GIF", id="html"),
        pytest.param(http(b"", "200 OK", _AS_PNG), "must be a JPEG, PNG, GIF or WebP", id="nothing"),
        pytest.param(http(picture()[:50]), "is damaged", id="cut"),
        pytest.param(http(b"", "404 Not Found"), "it answered 404", id="not there"),
        pytest.param(http(picture(), "403 Forbidden"), "it answered 403", id="a picture, but forbidden"),
        pytest.param(http(b"", "302 Found"), "must be a JPEG|it redirects", id="nowhere"),
        pytest.param(http(picture(), "200 OK", "Content-Length: 20000001"), "more than 20 MB", id="said"),
        pytest.param(http(_LARGE), "more than 20 MB", id="not said"),
        pytest.param(http(picture(), "200 OK", "Content-Length: 5000"), "broke off", id="dies"),
        pytest.param(b"", "hung up without an answer", id="no answer"),
        pytest.param(b"\x00\x01nonsense\r\n\r\n", "is not HTTP", id="no HTTP"),
    ],
)
def test_what_is_no_picture_is_a_note(
    api: Api, model: ScriptedModel, host: PictureHost, answer: bytes, reason: str
) -> None:
    _ask(api, host.gives(f"/{len(answer)}-{reason[:3].strip()}", answer))
    note = _note(model)
    assert note.startswith("[an image that can't be shown: ")
    assert any(each in note for each in reason.split("|"))


def test_of_what_is_no_picture_only_the_beginning_is_read(
    api: Api, model: ScriptedModel, host: PictureHost
) -> None:
    broken = threading.Event()

    def goes_on(connection: socket.socket) -> None:
        connection.sendall(http(b"<html>"))
        try:
            while True:
                connection.sendall(bytes(65536))
        except OSError:
            broken.set()
            raise

    _ask(api, host.does("/endless", goes_on))
    assert "must be a JPEG" in _note(model)
    assert broken.wait(5)


def test_a_server_that_drips_is_given_up(api: Api, model: ScriptedModel, host: PictureHost) -> None:
    def drips(connection: socket.socket) -> None:
        connection.sendall(http(picture()[:20]))
        while True:
            time.sleep(0.1)
            connection.sendall(b"\0")

    _ask(api, host.does("/drip", drips))
    assert "it did not answer within 1 s" in _note(model)


def test_a_run_that_waits_for_a_picture_can_be_cancelled(
    api: Api, model: ScriptedModel, host: PictureHost
) -> None:
    asked, gone = threading.Event(), threading.Event()

    def waits(connection: socket.socket) -> None:
        asked.set()
        assert connection.recv(1) == b""
        gone.set()

    content = [_image(host.does("/silent", waits))]
    thread = api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"]
    run = api.run(thread, api.agent())
    assert asked.wait(5)
    run.cancel()
    run.wait("cancelled")
    assert gone.wait(5)
    assert model.requests == []


def test_only_the_newest_are_fetched(api: Api, model: ScriptedModel, host: PictureHost) -> None:
    urls = [host.gives(f"/newest{number}", http(picture())) for number in range(23)]
    _ask(api, *urls)
    assert [part["type"] for part in _told(model)] == ["text"] * 3 + ["image_url"] * 20
    assert sorted(host.asked) == sorted(f"/newest{number}" for number in range(3, 23))


def test_an_image_in_the_message_itself_is_checked_and_scaled_and_counts_as_an_image(
    api: Api, model: ScriptedModel
) -> None:
    noise = Image.effect_noise((1500, 1000), 90)
    made = io.BytesIO()
    noise.save(made, "PNG")
    thread = _ask(api, data_url(made.getvalue()), data_url(_SVG), "data:image/png,raw")
    shown, svg, raw = _told(model)
    assert _size(shown) == (1500, 1000)
    assert "must be a JPEG" in svg["text"]
    assert "no data URL in Base64" in raw["text"]
    kept = api.get(f"/threads/{thread}/messages", order="asc")["data"][0]["content"][1]
    assert kept["image_url"]["url"] == data_url(made.getvalue())
    limited = api.run(thread, api.agent(), max_prompt_tokens=5000)
    assert limited.wait("completed")["status"] == "completed"


def test_a_model_that_cannot_see_is_not_asked(
    servers: Servers, model: ScriptedModel, host: PictureHost
) -> None:
    blind = Endpoint(url=model.url, key=MODEL_KEY, name="llama-8b", vision=False)
    with servers.start(endpoints={"scripted": blind}) as api:
        content = [_image(host.url("/unseen")), _image(data_url(picture()))]
        thread = api.post("/threads", {"messages": [{"role": "user", "content": content}]})["id"]
        run = api.run(thread, api.agent()).wait("failed")
    assert run["last_error"]["code"] == "invalid_prompt"
    assert "'llama-8b' can't see images" in run["last_error"]["message"]
    assert model.requests == []
    assert host.asked == []


def test_one_that_sees_is_asked_instead(servers: Servers, model: ScriptedModel) -> None:
    blind = Endpoint(url=model.url, key=MODEL_KEY, name="llama-8b", vision=False, fallback="seeing")
    endpoints = {"scripted": blind, "seeing": Endpoint(url=model.url, key=MODEL_KEY)}
    with servers.start(endpoints=endpoints) as api:
        _ask(api, data_url(picture()))
    assert [request.model for request in model.requests] == ["seeing"]


@pytest.mark.parametrize(("policy", "told"), [("pass", "image_url"), ("off", "text")])
def test_urls_may_be_left_to_the_model_or_to_nobody(
    servers: Servers, model: ScriptedModel, host: PictureHost, policy: Policy, told: str
) -> None:
    with servers.start(image_urls=policy) as api:
        _ask(api, host.url("/left"))
    (part,) = _told(model)
    assert part["type"] == told
    assert part.get("image_url", {}).get("url") == (host.url("/left") if policy == "pass" else None)
    assert host.asked == []
