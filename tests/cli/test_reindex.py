"""``clew stores reindex``: stores of a model that is not there any more."""

import json
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel
from tests.cli.conftest import Clew, Terminal
from tests.support.database import change
from tests.support.server import Server

GONE = "a-model-of-before"


@pytest.fixture
def store(clew: Clew, server: Server, tmp_path: Path) -> str:
    """A store with two files, whose vectors a model made that the server has not."""
    made = clew("stores", "create", "handbook").stdout.strip()
    for name in ("canteen", "parking"):
        path = tmp_path / f"{name}.txt"
        path.write_text(f"The {name} opens at noon.")
        clew("stores", "add", made, str(path))
    files = f"SELECT seq FROM store_files WHERE store_id = '{made}'"
    change(server.place, f"UPDATE vectors SET embedder = '{GONE}' WHERE store_file IN ({files})")
    change(server.place, f"UPDATE vector_stores SET embedder = '{GONE}' WHERE id = '{made}'")
    return made


def test_one_store(clew: Clew, store: str) -> None:
    assert f"{GONE} (needs reindex)" in clew("stores", "list").stdout
    assert f"clew stores reindex {store}" in clew("stores", "show", store).stderr
    found = clew("stores", "search", store, "canteen")
    assert "canteen.txt" in found.stdout
    assert f"made with {GONE}" in found.stderr
    assert clew("stores", "reindex", store).stdout == f"reindexing {store}\n1 of 1 reindexed\n"
    assert clew("stores", "search", store, "canteen").stderr == ""
    assert clew("stores", "reindex", store).stdout == (
        f"{store} has the vectors of scripted-embedding already\n"
    )
    known = json.loads(clew("stores", "show", store, "--json").stdout)
    assert (known["needs_reindex"], known["reindexing"]) == (False, None)


def test_all_that_need_it(clew: Clew, store: str) -> None:
    other = clew("stores", "create").stdout.strip()
    assert clew("stores", "reindex", "--all").stdout == f"reindexing {store}\n1 of 1 reindexed\n"
    again = clew("stores", "reindex", "--all")
    assert (again.stdout, again.stderr) == ("", "No vector store needs it.\n")
    assert other in clew("stores", "list").stdout


def test_it_goes_on_without_the_command(clew: Clew, store: str, model: ScriptedModel) -> None:
    gate = model.hold_embeddings()
    try:
        late = clew("stores", "reindex", store, "--timeout", "0.1", code=4)
        assert "1 still go on after 0.1 s" in late.stderr
        assert "(reindexing)" in clew("stores", "list").stdout
        assert "0 of 2 files, to scripted-embedding" in clew("stores", "show", store).stdout
        assert clew("stores", "reindex", store, "--no-wait").stdout == f"reindexing {store}\n"
    finally:
        gate.release()
    clew("stores", "reindex", store)
    assert json.loads(clew("stores", "show", store, "--json").stdout)["needs_reindex"] is False


def test_what_was_given_up_says_why(clew: Clew, store: str, model: ScriptedModel) -> None:
    model.fail_embeddings(400)
    failed = clew("stores", "reindex", store, code=1)
    assert failed.stdout == f"reindexing {store}\n0 of 1 reindexed\n"
    assert "400" in failed.stderr
    assert "1 were given up; their old vectors still serve" in failed.stderr
    assert "given up: " in clew("stores", "show", store).stdout
    model.reset()
    clew("stores", "reindex", store)


def test_a_terminal_shows_a_bar(terminal: Terminal, clew: Clew, store: str, model: ScriptedModel) -> None:
    gate = model.hold_embeddings()
    screen = terminal("stores", "reindex", store)
    screen.expect("0/2")
    gate.release()
    screen.expect("1 of 1 reindexed")
    screen.wait()
    assert screen.exitstatus == 0


def test_stores_are_named_or_all(clew: Clew) -> None:
    assert "name stores, or say --all" in clew("stores", "reindex", code=2).stderr
    assert "name stores, or say --all" in clew("stores", "reindex", "vs_x", "--all", code=2).stderr
    assert "vs_x" in clew("stores", "reindex", "vs_x", code=3).stderr
