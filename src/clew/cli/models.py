"""``clew models``."""

from pathlib import Path

import click

from clew.cli.options import load_settings, setting


@click.group()
def models() -> None:
    """List and fetch embedded models."""


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
