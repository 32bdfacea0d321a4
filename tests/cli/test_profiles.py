"""Several servers by name: which one a command talks to, and where its key comes from."""

import json
import stat
import sys
from pathlib import Path

import pytest

from clew.toolkit import Service, connect
from tests.cli.conftest import Clew, Terminal
from tests.support.server import KEYS, Server


@pytest.fixture
def nowhere(clew: Clew, monkeypatch: pytest.MonkeyPatch) -> Clew:
    """Commands for which the environment names neither server nor key."""
    monkeypatch.delenv("CLEW_URL")
    monkeypatch.delenv("CLEW_API_KEY")
    return clew


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The file that profiles lie in."""
    return tmp_path / "config" / "clew" / "profiles.json"


def _add(clew: Clew, server: Server, name: str, project: str = "alpha", *more: str) -> None:
    clew("profiles", "add", name, "--server", server.url, *more, stdin=KEYS[project] + "\n")


def _threads(clew: Clew, *arguments: str) -> set[str]:
    listed = json.loads(clew(*arguments, "threads", "list", "--all", "--json").stdout)
    return {thread["id"] for thread in listed["data"]}


def test_each_profile_is_a_server_with_its_key(
    nowhere: Clew, server: Server, service: Service, kept: Path
) -> None:
    with connect(f"{server.url}/v1", KEYS["beta"]) as other:
        alpha, beta = service.create_thread().id, other.create_thread().id
    _add(nowhere, server, "a")
    _add(nowhere, server, "b", "beta", "--use")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert alpha in _threads(nowhere, "--profile", "a")
    assert beta in _threads(nowhere)
    assert alpha not in _threads(nowhere)
    behind = json.loads(nowhere("threads", "list", "--all", "--json", "--profile", "a").stdout)
    assert alpha in {thread["id"] for thread in behind["data"]}
    listed = nowhere("profiles", "list").stdout
    assert [line.split()[:3] for line in listed.splitlines()[1:]] == [
        ["a", "kept", "here"],
        ["*", "b", "kept"],
    ]
    assert KEYS["alpha"] not in listed
    nowhere("profiles", "use", "local")
    assert "no server runs" in nowhere("threads", "list", code=3).stderr
    nowhere("profiles", "use", "a")
    there = nowhere("threads", "list", "--data-dir", str(kept.parent), code=3).stderr
    assert f"no server runs with {kept.parent}" in there, "a flag is nearer than what is in use"


def test_what_is_nearer_wins(
    clew: Clew, server: Server, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag beats the environment, a profile its URL, and the environment what is in use."""
    thread = service.create_thread().id
    _add(clew, server, "b", "beta", "--use")
    assert thread in _threads(clew), "CLEW_URL and CLEW_API_KEY are nearer than what is in use"
    assert thread not in _threads(clew, "--profile", "b"), "with its own key"
    monkeypatch.setenv("CLEW_PROFILE", "b")
    assert thread not in _threads(clew)
    clew("threads", "show", thread, "--url", server.url)
    clew("threads", "show", thread, "--url", server.url, "--profile", "b", code=2)
    monkeypatch.setenv("CLEW_PROFILE", "")
    assert thread in _threads(clew)


def test_a_key_comes_from_a_file_or_a_program(
    nowhere: Clew, server: Server, tmp_path: Path, kept: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(KEYS["alpha"] + "\nand more\n")
    nowhere("profiles", "add", "f", "--server", server.url, "--key-file", str(file), "--use")
    nowhere("threads", "list")
    program = f"{sys.executable} -c \"print('{KEYS['alpha'][::-1]}'[::-1])\""
    nowhere("profiles", "add", "p", "--server", server.url, "--key-command", program)
    nowhere("--profile", "p", "threads", "list")
    assert KEYS["alpha"] not in kept.read_text(encoding="utf-8")
    file.unlink()
    assert "the key can't be read from" in nowhere("threads", "list", code=1).stderr
    nowhere("profiles", "add", "p", "--server", server.url, "--key-command", "false", "--no-check")
    assert "ended with code 1" in nowhere("--profile", "p", "threads", "list", code=1).stderr


def test_a_key_is_typed_where_nobody_sees_it(
    server_settings: None, terminal: Terminal, server: Server, kept: Path
) -> None:
    child = terminal("profiles", "add", "typed", "--server", server.url, "--use")
    child.expect("API key: ")
    child.sendline(KEYS["alpha"])
    child.expect("Kept in")
    child.expect_exact("profiles.json")
    assert KEYS["alpha"] not in (child.before or "")
    assert json.loads(kept.read_text(encoding="utf-8"))["profiles"]["typed"]["key"] == KEYS["alpha"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (
            ("profiles", "add", "a", "--server", "{url}"),
            "clew_wrong-key-0123456789\n",
            3,
            "Incorrect API key",
        ),
        (("profiles", "add", "a", "--server", "{url}"), "", 2, "there is no key"),
        (("profiles", "add", "a", "--server", "{url}"), "ke\x1by", 2, "there is no key"),
        (("profiles", "add", "local", "--server", "{url}"), "x", 2, "the server of this machine"),
        (("profiles", "add", "a b", "--server", "{url}"), "x", 2, "is not 1 to 64 letters"),
        (("profiles", "add", "a", "--server", "here"), "x", 2, "--server: 'here' is not a URL"),
        (("profiles", "use", "a"), None, 3, "there is no profile 'a': there are none"),
        (("profiles", "delete", "a"), None, 3, "there is no profile 'a'"),
        (("--profile", "a", "threads", "list"), None, 3, "there is no profile 'a'"),
        (("--profile", "a", "serve"), None, 2, "`clew serve` talks to no server"),
    ],
)
def test_what_can_not_be_a_profile_is_said(
    nowhere: Clew, server: Server, arguments: tuple[str, ...], stdin: str | None, code: int, said: str
) -> None:
    command = [argument.replace("{url}", server.url) for argument in arguments]
    result = nowhere(*command, code=code, stdin=stdin)
    assert said in result.stderr
    assert "wrong-key" not in result.output


def test_doctor_asks_the_server_of_a_profile(nowhere: Clew, server: Server) -> None:
    _add(nowhere, server, "a")
    told = json.loads(nowhere("--profile", "a", "doctor", "--json").stdout)
    assert any(finding["subject"] == "server" and server.url in finding["text"] for finding in told), told


def test_a_server_that_is_away_is_kept_and_said(nowhere: Clew) -> None:
    added = nowhere("profiles", "add", "a", "--server", "http://127.0.0.1:9", stdin="clew_key-of-somebody\n")
    assert "Not checked" in added.stderr
    assert nowhere("profiles", "delete", "a").stdout == "deleted a\n"
    assert nowhere("profiles", "list").stderr == "There are none.\n"


def test_a_file_that_is_spoiled_is_said_and_not_quoted(nowhere: Clew, kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_text('{"profiles": {"a": {"url": "x", "kee": "clew_hidden-word"}}}', encoding="utf-8")
    said = nowhere("profiles", "list", code=2).stderr
    assert f"{kept} can't be read as profiles" in said
    assert "hidden-word" not in said
