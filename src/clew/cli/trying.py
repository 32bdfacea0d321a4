"""``clew models try``: what an endpoint can do, and what has to be done differently for it."""

from typing import Any

import click
import msgspec
from msgspec.structs import asdict
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clew.clock import SystemClock
from clew.model.catalogue import DEFAULT
from clew.model.endpoint import Endpoint, Prices, shown_address
from clew.model.endpoints import endpoints_of
from clew.model.learned import settings_for
from clew.model.trial import Trial, Tried
from clew.network import network_for
from clew.settings import Settings

_VERSION = "api-version"
"""The one field of a query that is known to be no secret."""

_HIDDEN = ("key", "headers")
"""What may be secret."""
_MARKS = {True: "[green]ok[/]", False: "[red]no[/]", None: "[blue]unknown[/]"}


def endpoint_named(settings: Settings, name: str) -> tuple[Endpoint, str] | None:
    """Return the endpoint that answers to a name, and what that calls the model; None if nobody does."""
    endpoints = endpoints_of(settings)
    endpoint = endpoints.get(name) or endpoints.get(DEFAULT)
    if endpoint is None:
        return None
    return endpoint, endpoint.name or name


async def try_out(settings: Settings, name: str, endpoint: Endpoint, model: str) -> bool:
    """Ask, show a table and what to keep; return whether it answers at all."""
    trial = Trial(
        endpoint,
        model,
        timeout=settings.model_timeout,
        clock=SystemClock(),
        network=network_for(endpoint.url),
    )
    console = Console(stderr=True)
    try:
        with console.status("Asking ...") as status:
            found = await trial.every(lambda tried: status.update(f"{tried.what}: {tried.said[:60]}"))
        Console().print(_table(found))
        _say_what_to_keep(trial, name, endpoint, model, found)
    finally:
        await trial.aclose()
    return any(tried.well for tried in found)


def _table(found: list[Tried]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for tried in found:
        table.add_row(_MARKS[tried.well], tried.what, escape(tried.said))
    return table


def _say_what_to_keep(trial: Trial, name: str, endpoint: Endpoint, model: str, found: list[Tried]) -> None:
    """Print the table of clew.toml that says what was found: no key is in it."""
    lessons = trial.streaming.learned.lessons().get(model)
    learned: dict[str, Any] = {}
    if lessons is not None:
        quirks, context = lessons
        learned = settings_for(quirks, endpoint.quirks) | ({"context_tokens": context} if context else {})
    if not any(tried.well for tried in found):
        return
    click.echo(f"\nLearned: {', '.join(learned) if learned else 'nothing had to be done differently'}.")
    click.echo("To keep, in clew.toml:\n")
    click.echo(f"[models.{_key(name)}]")
    for field, value in (_given(endpoint) | learned | _can(found)).items():
        click.echo(f"{field} = {_toml(value)}")
    hidden = [*(["key"] if endpoint.key else []), *endpoint.headers]
    hidden += endpoint.address().query.keys() - {_VERSION}
    if hidden:
        click.echo(f"# not shown, as they may hold a key: {', '.join(sorted(hidden))}")


def _given(endpoint: Endpoint) -> dict[str, Any]:
    """Return what the owner has said that is no secret."""
    usual = Endpoint(url=endpoint.url)
    said = {name: getattr(endpoint, name) for name in Endpoint.__struct_fields__ if name not in _HIDDEN}
    version = endpoint.address().query.get(_VERSION)
    said |= {"url": shown_address(endpoint.url), "query": {} if version is None else {_VERSION: version}}
    return {name: value for name, value in said.items() if name == "url" or value != getattr(usual, name)}


def _can(found: list[Tried]) -> dict[str, bool]:
    by_name = {tried.what: tried.well for tried in found}
    can = {"tools": by_name.get("a call of a function"), "vision": by_name.get("a picture")}
    return {name: well for name, well in can.items() if well is not None}


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else _toml(name)


def _toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{_key(name)} = {_toml(each)}" for name, each in value.items()) + " }"
        case Prices():
            return _toml({name: price for name, price in asdict(value).items() if price is not None})
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return msgspec.json.encode(value).decode()
