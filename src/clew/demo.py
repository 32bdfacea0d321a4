"""``clew demo``: the lesson "Understanding threads and runs", for real, in a terminal."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.panel import Panel

import clew
from clew.cli.download import pull_with_bar
from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, Problem
from clew.clock import SystemClock
from clew.installing import how_to_add
from clew.settings import Settings


class _Step(NamedTuple):
    """One program of the lesson, and what to look at while it runs."""

    program: str
    title: str
    look: str


_STEPS = (
    _Step(
        "step1_conversation.py",
        "A conversation",
        "An agent is a model with instructions. A [b]thread[/] holds the conversation, a [b]message[/] "
        "goes into it, a [b]run[/] lets the agent work on it. This is the vendor's own Azure client, "
        "unmodified.",
    ),
    _Step(
        "step2_monitoring.py",
        "Watching a run",
        "A run goes from [b]queued[/] to [b]in_progress[/] to an end, and its [b]steps[/] say what it did.",
    ),
    _Step(
        "step3_tools.py",
        "Tools",
        "The model asks for functions; the run waits in [b]requires_action[/] until our program has run "
        "them - safely - and submitted their outputs.",
    ),
    _Step(
        "step4_history.py",
        "History",
        "What was said is in the thread: read it, have it summarised by an ordinary run, export it, "
        "delete it. (The file goes with the demo's temporary folder.)",
    ),
    _Step(
        "step5_files.py",
        "Files",
        "A [b]file[/] goes into a [b]vector store[/], where it is read, cut and embedded; the agent searches "
        "it, and its answer [b]cites[/] the place.",
    ),
)


_THEIR_PACKAGES = ("azure.ai.projects", "azure.ai.agents", "azure.identity")


@click.command(
    epilog="""\b
Examples:
  clew demo                                             with the embedded model
  clew demo --model-url http://localhost:11434/v1       with a model of your own (CLEW_MODEL_NAME names it)
"""
)
@setting("model_url", "--model-url")
@setting("data_dir", "--data-dir")
def demo(model_url: str | None, data_dir: Path | None) -> None:
    """Show a conversation, a watched run, tools, a history and files, on a server of the demo's own."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    settings = load_settings(model_url=model_url, data_dir=data_dir)
    _see_that_programs_can_run()
    console = Console()
    begun = SystemClock().now()
    console.print(
        Panel(
            "User message -> thread -> run -> agent -> tool calls -> response\n"
            "Everything happens on this machine: a server, its database and its model.",
            title=f"Clew {clew.__version__}: understanding threads and runs",
            expand=False,
        )
    )
    _run_lesson(settings, _model_file(settings, console), console)
    seconds = (SystemClock().now() - begun) / 1000
    console.print(Panel(_closing(settings, seconds), title="That was it", expand=False))


def _see_that_programs_can_run() -> None:
    """Say what the lesson's programs lack before anything is started.

    Raises:
        Problem: with the command that brings it.
    """
    for package in _THEIR_PACKAGES:
        try:
            found = find_spec(package)
        except (ImportError, ValueError):  # what it lies in is not there either
            found = None
        if found is None:
            raise Problem(f"the lesson's programs need {package}: {how_to_add('azure')}", FAILED)


def _model_file(settings: Settings, console: Console) -> Path | None:
    """Return the embedded model's weights, fetched first if need be; None if another model answers."""
    if settings.model_url is not None:
        console.print(f"Model: {settings.model_url}")
        return None
    from clew.weights.machine import obstacle

    if trouble := obstacle():
        raise Problem(f"{trouble}. Or name a model of your own: clew demo --model-url URL", FAILED)
    path = settings.model_file or pull_with_bar(settings.embedded_model, settings.data_dir, console)
    console.print(f"Model: {settings.embedded_model}, embedded. It is small: good enough to try things.")
    return path


def _run_lesson(settings: Settings, model_file: Path | None, console: Console) -> None:
    from clew.testing.server import RunningServer

    of_server = {} if model_file is None else {"model_file": str(model_file)}
    if settings.model_name is not None:
        of_server["model_name"] = settings.model_name
    url = settings.model_url
    with (
        tempfile.TemporaryDirectory(prefix="clew-demo-") as home,
        RunningServer(
            model_url=url,
            tls=True,
            settings=of_server,
            data_dir=_with_embedder(settings, Path(home), console),
        ) as server,
    ):
        console.print(f"Server: {server.url} (its data is deleted at the end)")
        with tempfile.TemporaryDirectory(prefix="clew-demo-") as folder:
            environment = {**_environment(), **server.environment}
            for number, step in enumerate(_STEPS, 1):
                console.rule(f"[b]{number}. {step.title}")
                console.print(f"{step.look}\n[dim]{_programs() / step.program}[/]\n", highlight=False)
                command = [sys.executable, str(_programs() / step.program)]
                # In a session of its own: Ctrl-C is for the demo, which then ends the program quietly.
                done = subprocess.run(
                    command, env=environment, cwd=folder, check=False, start_new_session=True
                )
                if done.returncode != 0:
                    raise Problem(f"{step.program} failed. The server said:\n{server.log[-2000:]}", FAILED)


def _with_embedder(settings: Settings, home: Path, console: Console) -> Path:
    """Put the model that embeds files into the demo's own data directory; it is fetched once."""
    if settings.embeddings_url is None:
        from clew.search import minilm
        from clew.weights.errors import WeightsError

        try:
            kept = minilm.pull(settings.data_dir)
        except WeightsError as error:
            raise Problem(f"the model that embeds files can't be had: {error}", FAILED) from None
        there = minilm.files_of(home)
        there.weights.parent.mkdir(parents=True)
        for name in ("weights", "vocabulary", "note"):
            shutil.copyfile(getattr(kept, name), getattr(there, name))
        console.print(f"Embeddings: {minilm.NAME}, embedded.")
    return home


def _environment() -> dict[str, str]:
    """The lesson's programs get this process's environment, and how to reach the server."""
    return dict(os.environ)  # noqa: TID251


def _programs() -> Path:
    """Return where the lesson's programs lie: in the installed package, or in a checkout."""
    installed = Path(clew.__file__).with_name("lesson")
    return installed if installed.is_dir() else Path(__file__).parents[2] / "examples" / "lesson"


def _closing(settings: Settings, seconds: float) -> str:
    lines = [f"Five programs, {seconds:.0f} seconds. They are yours to copy, from", f"  {_programs()}", ""]
    if settings.model_url is None:
        lines += [
            "With a real model the answers are better (CLEW_MODEL_API_KEY is its key):",
            "  clew serve --model-url http://localhost:11434/v1",
            "",
        ]
    lines += ["For your own Azure and OpenAI programs:", "  clew serve --tls", '  eval "$(clew env)"']
    return "\n".join(lines)
