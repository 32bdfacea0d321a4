"""The command ``clew``.

Commands are imported when they are called, so that ``clew --help`` answers at once.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 not found or not allowed, 4 time-out,
130 interrupted (128 + SIGINT, as shells count).
"""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

import clew
from clew.cli.problems import FAILED, INTERRUPTED, NOT_FOUND, TIMED_OUT, USAGE, Problem

__all__ = ["FAILED", "INTERRUPTED", "NOT_FOUND", "TIMED_OUT", "USAGE", "Commands", "Problem", "cli"]

_COMMANDS = {
    "ask": ("clew.cli.ask", "Ask a question and print the answer."),
    "chat": ("clew.cli.chat", "Talk with an agent, in this terminal."),
    "agents": ("clew.cli.agents", "List, show, create, update and delete agents."),
    "threads": ("clew.cli.threads", "List, show, create, update and delete threads."),
    "messages": ("clew.cli.messages", "List, show, create, update and delete messages of a thread."),
    "runs": ("clew.cli.runs", "List, show, explain, create, answer, cancel and watch runs."),
    "steps": ("clew.cli.steps", "List and show the steps of a run."),
    "files": ("clew.cli.uploaded", "Upload, list, read and delete files."),
    "stores": ("clew.cli.stores", "Create, list, fill, search and delete vector stores."),
    "webhooks": ("clew.cli.webhooks", "Have URLs told when runs end or wait for their client."),
    "listen": ("clew.cli.listen", "Print events as they happen, and forward them."),
    "stats": ("clew.cli.stats", "Show what runs took: times, tokens, tool calls, errors."),
    "export": ("clew.cli.transfer", "Write a thread to a file, or all of them."),
    "import": ("clew.cli.transfer", "Create threads from exported ones."),
    "prune": ("clew.cli.prune", "Delete threads that have been idle for long, into an archive."),
    "demo": ("clew.demo", "Show the lesson, end to end, on a server of its own."),
    "serve": ("clew.cli.serve", "Serve threads and runs."),
    "worker": ("clew.cli.worker", "Work on the runs of servers that share a database."),
    "code-worker": ("clew.cli.code_worker", "Run code of code_interpreter, for servers on a bus."),
    "keys": ("clew.cli.key_rows", "Give, list, exchange and revoke API keys."),
    "projects": ("clew.cli.projects", "Add, list, limit and delete projects."),
    "env": ("clew.cli.env", "Print what clients need to find the server."),
    "doctor": ("clew.cli.doctor", "Look at store, bus, model, clock and disk, and say what to do."),
    "migrate": ("clew.cli.migrate", "Bring the database's schema to this version."),
    "backup": ("clew.cli.backup", "Copy the SQLite database, while the server runs."),
    "restore": ("clew.cli.backup", "Put a copy in the place of the SQLite database."),
    "secrets": ("clew.cli.secrets", "Change the secret that the processes of an installation share."),
    "profiles": ("clew.cli.profiles", "Keep several servers, by name."),
    "completion": ("clew.cli.completion", "Print what has a shell complete commands and options."),
    "help": ("clew.cli.help", "Say what a command does."),
    "code": ("clew.cli.code", "Set up and try the sandbox in which code_interpreter runs code."),
    "models": ("clew.cli.models", "List and fetch embedded models, and try what endpoints can do."),
}

_WITHOUT_SERVER = (
    "demo", "serve", "worker", "code-worker", "projects", "keys", "env", "migrate", "backup", "restore",
    "secrets", "code", "models",
)  # fmt: skip
"""Commands that talk to no server that has a profile."""

COMPLETE = "_CLEW_COMPLETE"
"""The variable by which a shell asks what completes a word, however the command was started."""

_EXAMPLES = """\b
Examples:
  clew demo                                           see it work
  clew ask "What is a thread?"                        once a server runs
  clew serve                                          an embedded model answers
  clew serve --model-url http://localhost:11434/v1    your own model answers
  clew serve --tls                                    https, which Azure's SDK insists on
  eval "$(clew env)"                                  point this shell's programs at the server
"""


class Commands(click.Group):
    """A group whose commands are imported on use, and whose exit codes are those of this module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        name = f"{cmd_name}_" if cmd_name in ("import", "help") else cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(module), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what completes a word, without importing all commands for their help."""
        found = [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            result = super().main(args, prog_name, complete_var or COMPLETE, False, **extra)
        except Problem as error:
            _fail(error.format_message(), error.code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            sys.exit(INTERRUPTED)
        except UnicodeError as error:
            _fail(f"what was given is not text in UTF-8: {error}", USAGE)
        except TimeoutError as error:
            _fail(f"timed out: {error}", TIMED_OUT)
        except OSError as error:
            _fail(str(error), NOT_FOUND if isinstance(error, PermissionError) else FAILED)
        sys.exit(result if isinstance(result, int) else 0)


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(exit_code)


def _profile_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the profiles whose names begin so."""
    from clew.cli import profile_file

    with suppress(Problem, OSError):
        names = profile_file.read().profiles
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return []


@click.group(cls=Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clew.__version__, prog_name="clew")
@click.option(
    "--profile",
    envvar="CLEW_PROFILE",
    metavar="NAME",
    shell_complete=_profile_names,
    help="the server to talk to, one that `clew profiles add` keeps.  [CLEW_PROFILE]",
)
@click.pass_context
def cli(context: click.Context, profile: str | None) -> None:
    """Threads and runs that you own: an agent service on your machine."""
    given = context.get_parameter_source("profile") is ParameterSource.COMMANDLINE
    if given and profile is not None and context.invoked_subcommand in _WITHOUT_SERVER:
        raise Problem(f"--profile: `clew {context.invoked_subcommand}` talks to no server", USAGE)


if __name__ == "__main__":
    cli()
