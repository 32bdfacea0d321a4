"""``clew completion``: what makes a shell complete ``clew``'s commands and options."""

import click
from click.shell_completion import get_completion_class

from clew.cli.main import COMPLETE
from clew.cli.problems import Problem

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
Examples:
  clew completion bash >> ~/.bashrc            bash 4.4 or newer
  clew completion zsh >> ~/.zshrc              behind compinit
  clew completion fish > ~/.config/fish/completions/clew.fish
"""
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that has a shell complete commands, options, and names of profiles."""
    kind = get_completion_class(shell)
    assert kind is not None
    try:
        click.echo(kind(context.find_root().command, {}, "clew", COMPLETE).source())
    except (RuntimeError, OSError) as error:  # it asks bash for its version
        raise Problem(str(error)) from None
