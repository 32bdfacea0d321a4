"""Requests of a client that never gives up, and streams that it leaves and joins again anywhere."""

import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2

from tests.durability.told import ended
from tests.support.api import Json, form
from tests.support.sse import Frame, parse

_PAUSE = 0.01


class Requests:
    """One client's requests, each sent until it is answered.

    Args:
        urls: gives the servers that there are now; one of them is asked.
        chance: chooses it, keys, and where streams are left.
        acknowledged: called when a write was answered.
    """

    def __init__(
        self,
        key: str,
        urls: Callable[[], list[str]],
        chance: random.Random,
        acknowledged: Callable[[], None],
    ) -> None:
        self._urls, self._chance, self._acknowledged = urls, chance, acknowledged
        self._http = httpx2.Client(timeout=20, headers={"Authorization": f"Bearer {key}"})
        self._never = threading.Event()
        self.cuts = 0
        """How often a stream was joined again."""

    def close(self) -> None:
        self._http.close()

    # --- answers ---------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return self._send("GET", path).json()

    def whole(self, path: str, limit: int) -> list[Json]:
        """Return a whole list, oldest first, by pages of ``limit``."""
        items: list[Json] = []
        after = ""
        while True:
            page = self.get(f"{path}?order=asc&limit={limit}{after}")
            items += page["data"]
            if not page["has_more"]:
                return items
            after = f"&after={page['last_id']}"

    def post(self, path: str, json: Any, *, refusable: bool = False, line: bool = False) -> Any:
        """Return the answer; None if the request may be refused, and was. ``line``: waits if it must."""
        headers = self._key() | ({"Clew-When-Busy": "queue"} if line else {})
        response = self._send("POST", path, json, headers, refusals=(400, 404) * refusable)
        if response.status_code != 200:
            return None
        self._acknowledged()
        return response.json()

    def upload(self, data: bytes, name: str, sent: Callable[[], None]) -> Json:
        """Return the file as it was acknowledged; ``sent`` is called each time its bytes may have arrived.

        A key changes nothing here: each time that they arrived is a file of its own.
        """
        content, headers = form(data, name, "assistants")
        response = self._send("POST", "/files", headers=headers, content=content, sent=sent)
        self._acknowledged()
        uploaded: Json = response.json()
        return uploaded

    def delete(self, path: str) -> None:
        """Delete something; it may have been done by a request whose answer was lost."""
        self._send("DELETE", path, refusals=(404,))
        self._acknowledged()

    def _send(
        self,
        method: str,
        path: str,
        json: Any = None,
        headers: dict[str, str] | None = None,
        refusals: tuple[int, ...] = (),
        content: bytes | None = None,
        sent: Callable[[], None] = lambda: None,
    ) -> httpx2.Response:
        while True:
            try:
                response = self._http.request(
                    method, f"{self._url()}/v1{path}", json=json, content=content, headers=headers
                )
            except httpx2.HTTPError as error:
                if not isinstance(error, httpx2.ConnectError):
                    sent()
                self._never.wait(_PAUSE)
                continue
            sent()
            if response.status_code >= 500:  # the database is away
                self._never.wait(_PAUSE)
                continue
            good = response.status_code == 200 or response.status_code in refusals
            assert good, f"{method} {path}: {response.status_code} {response.text}"
            return response

    def _key(self) -> dict[str, str]:
        return {"Idempotency-Key": f"{self._chance.getrandbits(128):x}"}

    def _url(self) -> str:
        return self._chance.choice(self._urls())

    # --- streams ---------------------------------------------------------------------------------

    def streamed(self, path: str, json: Any) -> list[Frame]:
        """Return what a POST is answered by until it is left, or breaks off, with a run in it at least."""
        headers = self._key()
        leave_after = self._chance.randint(1, 60)
        while True:
            told: list[Frame] = []
            try:
                for frame in self._frames("POST", path, headers, json):
                    told.append(frame)
                    if len(told) >= leave_after:
                        return told
            except (httpx2.HTTPError, _Away):
                self._never.wait(_PAUSE)
            if told:
                return told

    def follow(self, path: str, told: list[Frame]) -> None:
        """Read on in a run's events until it ends or waits, joining again wherever the stream breaks off."""
        read_on = False
        while not ended(told):
            if read_on and told and told[-1].event == "thread.run.requires_action":
                return
            self.cuts += read_on
            read_on = True
            try:
                self._read(path, told)
            except (httpx2.HTTPError, _Away):
                self._never.wait(_PAUSE)

    def _read(self, path: str, told: list[Frame]) -> None:
        """Read on after what was told, by either way to say so, and leave somewhere, even in mid-word."""
        leave_after = self._chance.randint(1, 40)
        seen = (told[-1].id or 0) if told else 0
        after, headers = f"?after={seen}", None
        if self._chance.random() < 0.5:  # an EventSource repeats the URL that it once began with
            after, headers = "", {"Last-Event-ID": str(seen)}
        for frame in self._frames("GET", f"{path}/events{after}", headers):
            if frame.event == "done":
                return
            told.append(frame)
            leave_after -= 1
            if frame.event == "thread.run.requires_action":
                return
            if leave_after <= 0:
                _forget_the_end(told, self._chance)
                return

    def _frames(
        self, method: str, path: str, headers: dict[str, str] | None, json: Any = None
    ) -> Iterator[Frame]:
        rest = ""
        with self._http.stream(method, f"{self._url()}/v1{path}", json=json, headers=headers) as response:
            if response.status_code >= 500:
                raise _Away
            assert response.status_code == 200, response.read()
            for chunk in response.iter_text():
                rest += chunk
                while "\n\n" in rest:
                    block, rest = rest.split("\n\n", 1)
                    yield parse(block)


class _Away(Exception):
    """A server cannot answer now."""


def _forget_the_end(told: list[Frame], chance: random.Random) -> None:
    """Forget a part of the last piece of text, as a reader does that is cut off in the middle of it."""
    event, data, number = told[-1]
    if event != "thread.message.delta" or number is None:
        return
    (part,) = data["delta"]["content"]
    value = part["text"]["value"]
    lost = chance.randrange(len(value))
    if lost:
        part["text"]["value"] = value[:-lost]
        told[-1] = Frame(event, data, number - lost)
