"""``clew models``."""

import asyncio
import sys
from pathlib import Path

import click

from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, NOT_FOUND, Problem


@click.group()
def models() -> None:
    """List and fetch embedded models, and try what endpoints can do."""


@models.command("list")
@setting("data_dir", "--data-dir")
def list_models(data_dir: Path | None) -> None:
    """List the models that can be embedded, and which are here."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from clew.model.embedded import catalogue
    from clew.model.embedded.weights import cached_path

    settings = load_settings(data_dir=data_dir)
    table = Table("name", "weights", "size", "licence", "", box=box.SIMPLE)
    for weights in catalogue():
        here = "here" if cached_path(weights, settings.data_dir).is_file() else ""
        chosen = "in use" if weights.name == settings.embedded_model and settings.model_file is None else ""
        state = ", ".join(word for word in (here, chosen) if word)
        table.add_row(weights.name, weights.title, f"{weights.size / 1e6:.0f} MB", weights.licence, state)
    Console().print(table)


@models.command()
@click.argument("name", required=False)
@setting("data_dir", "--data-dir")
def pull(name: str | None, data_dir: Path | None) -> None:
    """Fetch the model NAME, by default the one in use. Goes on where it was interrupted."""
    from rich.console import Console

    from clew.cli.download import pull_with_bar

    settings = load_settings(data_dir=data_dir)
    path = pull_with_bar(name or settings.embedded_model, settings.data_dir, Console(stderr=True))
    click.echo(path)


@models.command("try")
@click.argument("name", default="default")
@setting("data_dir", "--data-dir")
@setting("model_url", "--model-url")
def try_model(name: str, data_dir: Path | None, model_url: str | None) -> None:
    """Try what the model NAME can do: answers, streams, calls, schemas, pictures.

    Says what works and what had to be done differently, and prints the table of clew.toml to keep.
    """
    from clew.cli.trying import endpoint_named, try_out

    settings = load_settings(data_dir=data_dir, model_url=model_url)
    found = endpoint_named(settings, name)
    if found is None:
        known = ", ".join(sorted(settings.models)) or "none is set: see docs/models.md, or give --model-url"
        raise Problem(f"There is no model {name!r}. There are: {known}", NOT_FOUND)
    if not asyncio.run(try_out(settings, name, *found)):
        sys.exit(FAILED)
