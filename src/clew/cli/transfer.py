"""``clew export`` and ``clew import``."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from clew.cli import output
from clew.cli.problems import FAILED, USAGE, Problem
from clew.cli.remote import Remote, code_of, in_words, on_server
from clew.cli.taken_along import TakenAlong
from clew.toolkit.conversation.files import write_whole
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.conversation.transcript import Format, render
from clew.toolkit.errors import ToolkitError
from clew.toolkit.tools.text import clean

_ENDINGS: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".md": "markdown"}
_NOBODY = "nobody"
"""Exporting and importing start no run, so no agent is asked for."""

files_option = click.option(
    "--files",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="copy the files that messages show, cite or have attached there too, and write down their stores",
)


@click.command(
    epilog="""\b
Examples:
  clew export thread_... chat.md            to read
  clew export thread_... chat.jsonl         everything, with checksums, to import elsewhere
  clew export thread_... --format json      to stdout
  clew export --all backup/                 every thread, a file each
  clew export --all backup/ --files backup/files
                                            with what is shown, cited and attached, and their stores
"""
)
@click.argument("thread_id", metavar="[THREAD]", required=False)
@click.argument("path", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "form",
    "--format",
    type=click.Choice(["json", "jsonl", "markdown"]),
    help="by default what FILE ends in says: .json (the lesson's shape), .jsonl (everything), .md",
)
@click.option("--with-runs", is_flag=True, help="with runs and steps (jsonl only)")
@click.option("--all", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="every thread")
@files_option
@on_server
def export(
    remote: Remote,
    thread_id: str | None,
    path: Path | None,
    form: Format | None,
    with_runs: bool,
    folder: Path | None,
    files: Path | None,
) -> None:
    """Write a thread to a file, or to stdout."""
    if (thread_id is None) == (folder is None):
        raise Problem("say which thread, or --all FOLDER", USAGE)
    if folder is not None:
        with along_to(remote, files) as along:
            _export_all(remote, folder, form or "jsonl", with_runs, along)
        return
    chosen = form or _form_of(path)
    if with_runs and chosen != "jsonl":
        raise Problem("--with-runs: only jsonl has room for them", USAGE)
    with along_to(remote, files) as along:
        text = rendered(remote, str(thread_id), chosen, with_runs, along)
    if path is None:
        click.echo(_shown(text, chosen) if sys.stdout.isatty() else text, nl=False)
    else:
        write_whole(path, text)


def _shown(text: str, form: Format) -> str:
    """Return an export as a terminal may see it."""
    return clean(text) if form == "markdown" else output.without_controls(text)


def _form_of(path: Path | None) -> Format:
    if path is None:
        return "markdown"
    if path.suffix.lower() not in _ENDINGS:
        raise Problem(f"{path.name}: let it end in {', '.join(_ENDINGS)}, or give --format", USAGE)
    return _ENDINGS[path.suffix.lower()]


def rendered(
    remote: Remote, thread_id: str, form: Format, with_runs: bool, along: TakenAlong | None = None
) -> str:
    """Return a thread as a text, once its files are copied, if they are to be."""
    conversation = ConversationManager(remote.service, _NOBODY, thread_id=thread_id)
    transcript = conversation.transcript(with_runs=with_runs)
    if along is not None:
        along.of(transcript)
    return render(transcript, form)


def along_to(remote: Remote, folder: Path | None) -> AbstractContextManager[TakenAlong | None]:
    """Give what copies files to a folder, if one is named."""
    return nullcontext() if folder is None else TakenAlong(remote, folder)


def _export_all(
    remote: Remote, folder: Path, form: Format, with_runs: bool, along: TakenAlong | None
) -> None:
    ending = next(each for each, of in _ENDINGS.items() if of == form)
    folder.mkdir(parents=True, exist_ok=True)
    threads = remote.service.all_threads()
    with progress_bar("exported", len(threads)) as step:
        for thread in threads:
            write_whole(
                folder / f"{Path(thread.id).name}{ending}",
                rendered(remote, thread.id, form, with_runs, along),
            )
            step()
    output.say(f"{len(threads)} threads in {folder}")


@click.command(
    "import",
    epilog="""\b
Examples:
  clew import chat.jsonl                    prints the new thread's id
  clew import backup/*.jsonl                file and new id, a line each
  clew import --url https://new.example.com chat.json

\b
Each file becomes a new thread, compared with the file afterwards: whole, or not there at all.
""",
)
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@on_server
def import_(remote: Remote, paths: Sequence[Path]) -> None:
    """Create threads from exported ones (.json, .jsonl)."""
    refused: list[ToolkitError | OSError] = []
    with progress_bar("imported", len(paths)) as step:
        for path in paths:
            try:
                restored = ConversationManager.restore(remote.service, _NOBODY, path)
                click.echo(f"{path}\t{restored.thread_id}" if len(paths) > 1 else restored.thread_id)
            except ToolkitError as error:
                refused.append(error)
                output.say(f"Error: {path}: {in_words(error)}")
            except OSError as error:
                refused.append(error)
                output.say(f"Error: {path}: {error.strerror or error}")
            step()
    if refused:
        first = refused[0]
        code = code_of(first) if isinstance(first, ToolkitError) else FAILED
        raise Problem(f"{len(refused)} of {len(paths)} files were not imported", code)


@contextmanager
def progress_bar(done: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far it has got, where somebody looks at a terminal and there is more than one."""
    columns = (TextColumn(done), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True, disable=total < 2)
    with progress:
        task = progress.add_task(done, total=total)
        yield lambda: progress.advance(task)
