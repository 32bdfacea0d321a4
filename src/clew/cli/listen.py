"""``clew listen``: a project's events as they happen, forwarded to a program on the way to have a webhook."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import anyio
import click
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from clew.cli import output
from clew.cli.connection import check_url
from clew.cli.listening import EVENTS, Event, Listener
from clew.cli.options import load_settings
from clew.cli.problems import Problem
from clew.cli.remote import Remote, in_words, on_server
from clew.clock import SystemClock
from clew.toolkit.errors import ToolkitError
from clew.toolkit.service import Service
from clew.toolkit.tools.text import clean

if TYPE_CHECKING:
    import httpx2

_AT_ONCE = 4
"""Events that are forwarded at one time, as to a webhook."""

_WAITING = 1_000
_TIMEOUT = 30.0
"""Seconds for which an answer is waited for: longer than a webhook is, for who stands in a debugger."""


class Forward(NamedTuple):
    """Where events go, and the secret that signs them."""

    url: str
    secret: str


@click.command(
    epilog="""\b
Examples:
  clew listen                                          print what webhooks would be told
  clew listen --forward http://127.0.0.1:3000/hook     and tell this program, as a webhook is told
  clew listen --event run.failed --json | jq .data.last_error
  export OPENAI_WEBHOOK_SECRET="$(clew listen --print-secret)"

  Events are signed as those of webhooks are (docs/webhooks.md). The secret is this data folder's own, the
  same each time. Nothing is sent anywhere but to --forward; what fails is said, and not sent again.
"""
)
@click.option("--forward", "to", metavar="URL", help="POST each event there, signed as a webhook's")
@click.option(
    "--event", "names", type=click.Choice(sorted(EVENTS)), multiple=True, help="only these; can be repeated"
)
@click.option("--thread", "thread_id", metavar="ID", help="only of this thread's runs")
@click.option("--agent", "agent_id", metavar="ID", help="only of this agent's runs")
@click.option("--json", "as_json", is_flag=True, help="print what a webhook would be sent, one event a line")
@click.option("--print-secret", is_flag=True, help="print the secret that signs what is forwarded, and end")
@on_server
def listen(
    remote: Remote,
    to: str | None,
    names: Sequence[str],
    thread_id: str | None,
    agent_id: str | None,
    as_json: bool,
    print_secret: bool,
) -> None:
    """Print a project's events as they happen, and forward them to a program of yours.

    What it hears is what webhooks are told: that a run ended, or waits for its client. It begins now, and
    goes on over lost connections; what happened meanwhile is told then.
    """
    if print_secret:
        click.echo(_secret())
        return
    forward = None if to is None else Forward(_checked(to), _secret())
    if thread_id is not None:
        remote.service.get_thread(thread_id)

    def wanted(event: Event) -> bool:
        return (
            (not names or event.name in names)
            and thread_id in (None, event.run["thread_id"])
            and agent_id in (None, event.run["assistant_id"])
        )

    asyncio.run(_listen(remote.service, wanted, forward, as_json=as_json))


async def _listen(
    service: Service, wanted: Callable[[Event], bool], forward: Forward | None, *, as_json: bool
) -> None:
    send, receive = anyio.create_memory_object_stream[Event](_WAITING)
    failed: Exception | None = None
    async with send, receive, anyio.create_task_group() as group:
        if forward is not None:
            for _ in range(_AT_ONCE):
                group.start_soon(_forward_all, forward, receive.clone())
        try:
            await _hear(Listener(service), wanted, forward, send, as_json=as_json)
        except Exception as error:  # raised below: out of the group it would come in a group of its own
            failed = error
        group.cancel_scope.cancel()
    await service.aclose()
    if failed is not None:
        raise failed


async def _hear(
    listener: Listener,
    wanted: Callable[[Event], bool],
    forward: Forward | None,
    forwarding: MemoryObjectSendStream[Event],
    *,
    as_json: bool,
) -> None:
    """Print what is heard and is wanted, and hand it on if it is to be forwarded."""
    ready = lost = False
    async with aclosing(listener.events()) as heard:
        async for each in heard:
            if isinstance(each, ToolkitError):
                if not lost:  # once, however often it is tried
                    output.say(f"{in_words(each)} Connecting again ...")
                lost = True
            elif each is None:
                if lost or not ready:
                    _say_ready(forward, again=ready)
                ready, lost = True, False
            elif wanted(each):
                _print(each, as_json)
                if forward is not None:
                    await forwarding.send(each)


def _say_ready(forward: Forward | None, *, again: bool) -> None:
    if again:
        output.say("Listening again.")
        return
    output.say("Listening. Ctrl-C ends it.")
    if forward is not None:
        output.say(f"Forwarding to {_shown(forward.url)}; `clew listen --print-secret` prints what signs it.")


def _print(event: Event, as_json: bool) -> None:
    if as_json:
        click.echo(output.without_controls(json.dumps(event.body(), ensure_ascii=False)))
        return
    run = event.run
    error = (run["last_error"] or {}).get("message") or (run["incomplete_details"] or {}).get("reason") or ""
    parts = (output.when(event.at), f"{event.name:19}", run["id"], run["thread_id"], error)
    click.echo(" ".join(clean("  ".join(parts)).split("\n")).rstrip())


# --- forwarding ---------------------------------------------------------------------------------------


async def _forward_all(forward: Forward, events: MemoryObjectReceiveStream[Event]) -> None:
    import httpx2

    # Nothing of the environment: neither a proxy nor a .netrc has to do with a program of this machine.
    client = httpx2.AsyncClient(timeout=_TIMEOUT, trust_env=False, follow_redirects=False)
    clock = SystemClock()
    async with client, events:
        async for event in events:
            began = clock.now()
            try:
                answer = await _post(client, forward, event)
            except httpx2.HTTPError as error:
                answer = f"no answer: {str(error) or type(error).__name__}"
            output.say(f"  {event.run['id']} {event.name} -> {answer} ({clock.now() - began} ms)")


async def _post(client: "httpx2.AsyncClient", forward: Forward, event: Event) -> str:
    """Send an event; return what is to be said of the answer."""
    from clew.net.signature import signed_headers

    body = json.dumps(event.body(), ensure_ascii=False, separators=(",", ":")).encode()
    signed = signed_headers(forward.secret, event.id, SystemClock().now() // 1000, body)
    headers = {"Content-Type": "application/json", **signed}
    async with client.stream("POST", forward.url, content=body, headers=headers) as answer:
        if answer.is_success:
            return str(answer.status_code)
        words = {410: ": a webhook would be disabled"}.get(answer.status_code)
        hint = ": redirects are not followed" if answer.is_redirect else words
        return f"{answer.status_code}{hint or ': a webhook would be told again'}"


def _checked(url: str) -> str:
    """Return the URL to forward to; without a scheme it is http, and a number is a port of this machine.

    Raises:
        Problem: it is none.
    """
    address = f"127.0.0.1:{url}" if url.isdecimal() else url
    whole = address if "://" in address else f"http://{address}"
    check_url(whole, "--forward")
    return whole


def _shown(url: str) -> str:
    """Return a URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _secret() -> str:
    """Return the secret of this data directory's own, made on first use."""
    from clew.cli.files import create_private
    from clew.ids import RandomIds
    from clew.net.signature import PREFIX

    ids = RandomIds()
    path = load_settings().data_dir / "listen-secret"
    made = ids.new(PREFIX) + ids.new("")  # letters and digits that are also base64
    secret = create_private(path, made.encode() + b"\n").decode("utf-8", "replace").strip()
    if not secret.startswith(PREFIX):
        raise Problem(f"{path} holds no secret: delete it to get a new one")
    return secret
