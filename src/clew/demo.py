"""``clew demo``: the lesson "Understanding threads and runs", for real, in a terminal."""

import asyncio
import contextlib
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
from rich.markup import escape
from rich.panel import Panel

import clew
from clew.cli.download import pull_with_bar
from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, Problem
from clew.clock import SystemClock
from clew.installing import how_to_add
from clew.sandbox.chosen import Known
from clew.settings import Settings


class _Step(NamedTuple):
    """One program of the lesson, what it is given, and what to look at while it runs."""

    program: str
    title: str
    look: str
    given: tuple[str, ...] = ()


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

_CODE = _Step(
    "step6_code.py",
    "Code",
    "The model writes a program over a file, and the server runs it in a [b]sandbox[/]: without a network, "
    "and with no files but the thread's.",
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
    """Show a conversation, a watched run, tools, a history, files and code, on a server of the demo's own."""
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
    sandbox = _sandbox(settings, console)
    of_server |= sandbox.of_server
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
        sandbox.lay_out(Path(home))
        with tempfile.TemporaryDirectory(prefix="clew-demo-") as folder:
            environment = {**_environment(), **server.environment}
            for number, step in enumerate((*_STEPS, *sandbox.steps), 1):
                console.rule(f"[b]{number}. {step.title}")
                console.print(f"{step.look}\n[dim]{_programs() / step.program}[/]\n", highlight=False)
                command = [sys.executable, str(_programs() / step.program), *step.given]
                # In a session of its own: Ctrl-C is for the demo, which then ends the program quietly.
                done = subprocess.run(
                    command, env=environment, cwd=folder, check=False, start_new_session=True
                )
                if done.returncode != 0:
                    raise Problem(f"{step.program} failed. The server said:\n{server.log[-2000:]}", FAILED)
    console.print(sandbox.note, highlight=False)


class _Sandbox(NamedTuple):
    """What the lesson knows of where code runs: the program that shows it, if it can, and what is to be said.

    ``pyodide`` is the folder that the driver wasm runs on, if it is the one.
    """

    steps: tuple[_Step, ...]
    note: str
    of_server: dict[str, str]
    pyodide: Path | None = None

    def lay_out(self, home: Path) -> None:
        """Put what the driver runs on into the server's data directory; code is first to run much later."""
        if self.pyodide is not None:
            shutil.copytree(self.pyodide, home / self.pyodide.parent.name / self.pyodide.name)


def _sandbox(settings: Settings, console: Console) -> _Sandbox:
    """Try the sandbox of this machine, and give it packages, which are fetched once."""
    if settings.sandbox in ("off", "remote"):
        return _Sandbox((), f"Code (step6_code.py) is left out: CLEW_SANDBOX is {settings.sandbox}.", {})
    from clew.sandbox.chosen import Chosen
    from clew.sandbox.sandbox import SandboxTrouble

    async def tried() -> Known:
        chosen = Chosen(settings.sandbox, settings.sandbox_python, settings.data_dir, SystemClock())
        with contextlib.suppress(SandboxTrouble):
            await chosen.driver()
        await chosen.close()
        return await asyncio.to_thread(chosen.known)

    known = asyncio.run(tried())
    if known.driver is None:
        return _Sandbox((), f"Code (step6_code.py) is left out: {escape(known.trouble or '')}", {})
    if known.driver == "wasm":
        from clew.sandbox.wasm.pyodide import folder_of

        return _Sandbox((_CODE,), "", {}, folder_of(settings.data_dir))
    python, note = known.python, ""
    if "matplotlib" not in known.packages:
        python, note = _with_packages(settings, python, console)
    step = _CODE._replace(given=() if note else ("--plot",))
    return _Sandbox((step,), note, {} if python is None else {"sandbox_python": str(python)})


def _with_packages(settings: Settings, python: Path | None, console: Console) -> tuple[Path | None, str]:
    """Return the Python that code runs on, with what plots, and what is to be said if nothing does."""
    from clew.sandbox.setup import CannotSetUp, set_up

    if settings.sandbox_python is not None:
        return python, "Code could plot too: the Python that CLEW_SANDBOX_PYTHON names has no matplotlib."
    try:
        return set_up(settings.data_dir, lambda said: console.print(said, highlight=False)), ""
    except CannotSetUp as error:
        return python, f"Code could plot too, after: clew code setup. It can't now: {escape(str(error))}"


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
    lines = [
        f"All of it took {seconds:.0f} seconds. The programs are yours to copy, from",
        f"  {_programs()}",
        "",
    ]
    if settings.model_url is None:
        lines += [
            "With a real model the answers are better (CLEW_MODEL_API_KEY is its key):",
            "  clew serve --model-url http://localhost:11434/v1",
            "",
        ]
    lines += ["For your own Azure and OpenAI programs:", "  clew serve --tls", '  eval "$(clew env)"']
    return "\n".join(lines)
