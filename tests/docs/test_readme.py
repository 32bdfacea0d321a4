"""Every block of the README is run as it is written, against a server that the README starts."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.support.postgres import free_port
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\w*)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)


def block(language: str, words: str) -> str:
    """Return the one block of a language with certain words in it."""
    [found] = [text for kind, text in BLOCKS if kind == language and words in text]
    return str(found)


MAKE = block("sh", "make demo")
INSTALL = block("sh", "pip install")
SERVE = block("sh", "clew serve --tls")
ENVIRONMENT = block("sh", "clew env")
AZURE = block("python", "azure.ai.projects")
OPENAI = block("python", "openai")
CURL = block("sh", "curl")
NPM = block("sh", "npm install")
NODE = block("js", "openai")
MODELS = block("sh", "--model-url")
TERMINAL = block("sh", "clew ask")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the README's shell is a POSIX one")


class Newcomer:
    """Somebody with a shell, in a folder, for whom Clew is installed.

    Args:
        folder: where they are, and where Clew's data lies.
        variables: what their environment has besides.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ("LANG", "HOME") if name in os.environ}
        self.environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            "CLEW_DATA_DIR": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            **variables,
        }

    def shell(self, script: str, timeout: float = 60) -> str:
        """Have a shell run what the README says; return what it printed."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def program(self, name: str, text: str, command: str) -> str:
        """Save a program and run it in the environment that ``clew env`` makes; return what it printed."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.shell(f"{ENVIRONMENT}\n{command}")

    @contextmanager
    def served(self, command: str) -> Iterator[None]:
        """Run a server as the README says, until it is ready."""
        log = self.folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
            )

        def is_ready() -> bool:
            said = log.read_text("utf-8")
            assert process.poll() is None, said
            return "Clew is ready at" in said

        try:
            until(is_ready, timeout=30)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Somebody who has followed the README as far as the server."""
    folder = tmp_path_factory.mktemp("newcomer")
    with ScriptedModel() as model:
        person = Newcomer(folder, CLEW_PORT=str(free_port()), CLEW_MODEL_URL=model.url)
        with person.served(SERVE.strip()):
            yield person


def test_every_block_is_tried() -> None:
    tried = [MAKE, INSTALL, SERVE, ENVIRONMENT, AZURE, OPENAI, CURL, NPM, NODE, MODELS, TERMINAL]
    assert sorted(text for kind, text in BLOCKS if kind != "text") == sorted(tried)


def test_what_make_does_exists() -> None:
    # make demo has tests of its own, and this is make test
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [line.split()[:2] for line in MAKE.splitlines()] == [["make", "demo"], ["make", "test"]]
    assert {"demo", "test"} <= set(targets)


@pytest.mark.parametrize(("name", "program"), [("azure.py", AZURE), ("openai.py", OPENAI)])
def test_programs_in_python(newcomer: Newcomer, name: str, program: str) -> None:
    assert newcomer.program(f"hello_{name}", program, f"python hello_{name}").startswith("completed ")


def test_curl(newcomer: Newcomer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    events = newcomer.shell(f"{ENVIRONMENT}\n{CURL}")
    assert "event: thread.message.delta" in events
    assert events.index("event: thread.run.completed") < events.index("event: done")


def test_models_of_ones_own(tmp_path: Path) -> None:
    lines = MODELS.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines):
        folder = tmp_path / str(number)
        folder.mkdir()
        person = Newcomer(folder, CLEW_PORT="0", CLEW_MODEL_API_KEY="a key of the endpoint's")
        with person.served(line):
            assert "/v1" in person.shell("clew env") + line


@pytest.mark.parametrize("line", TERMINAL.splitlines(), ids=lambda line: line.split()[1])
def test_the_terminal(newcomer: Newcomer, line: str) -> None:
    if "export" in line:
        newcomer.shell("clew ask Hello")
    terminal = pexpect.spawn(
        "bash",
        ["-c", line],
        cwd=str(newcomer.folder),
        env={**newcomer.environment, "TERM": "xterm-256color"},
        encoding="utf-8",
        dimensions=(40, 140),
        timeout=30,
    )
    try:
        if line.startswith("clew chat"):
            terminal.expect("/help says what else")
            terminal.expect("> ")
            terminal.sendline("Hello!")
            terminal.expect("> ")
            terminal.sendeof()
        elif line.startswith("clew runs watch"):
            terminal.expect("run")
            terminal.send("q")
        terminal.expect(pexpect.EOF)
        terminal.wait()
        assert terminal.exitstatus == 0, terminal.before
    finally:
        terminal.close(force=True)
    if "export" in line:
        assert any((newcomer.folder / "backup").iterdir())


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_node(newcomer: Newcomer) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("the npm package openai was not tried: node and npm are not on the PATH")
    newcomer.shell(NPM, timeout=300)
    assert newcomer.program("hello.mjs", NODE, "node hello.mjs").startswith("completed ")


@pytest.mark.foreign
@pytest.mark.timeout(900)
def test_installing(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for name in ("src", "examples"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP"))}
    with ScriptedModel() as model:
        person = Newcomer(checkout, CLEW_PORT=str(free_port()), CLEW_MODEL_URL=model.url, **pip)
        person.environment["PATH"] = f"{Path(sys.base_prefix) / 'bin'}:{os.environ['PATH']}"
        del person.environment["PYTHONPATH"]
        person.shell(INSTALL, timeout=800)
        person.environment["PATH"] = f"{checkout / '.clew' / 'bin'}:{person.environment['PATH']}"
        with person.served(SERVE.strip()):
            for name, program in (("azure.py", AZURE), ("openai.py", OPENAI)):
                assert person.program(f"hello_{name}", program, f"python hello_{name}").startswith(
                    "completed "
                )
