"""``clew help``."""

from collections.abc import Sequence

import click


@click.command(
    "help",
    epilog="""\b
Examples:
  clew help
  clew help runs explain
""",
)
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def help_(context: click.Context, names: Sequence[str]) -> None:
    """Say what a command does: the same as --help behind it."""
    parent = context.find_root()
    command, shown = parent.command, parent
    for name in names:
        found = command.get_command(shown, name) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"No such command {name!r}.", shown)
        shown = click.Context(found, info_name=name, parent=shown)
        command = found
    click.echo(command.get_help(shown))
