"""Journals recorded by earlier versions are told alike by this one, from their rows, after its migrations."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx2
import pytest

from clew.store.schema import prepare_sqlite
from clew.testing.scripted_model import ScriptedModel
from tests.histories.record import FOLDER, outline
from tests.support.api import Api
from tests.support.clock import ManualClock
from tests.support.ids import CountingIds
from tests.support.server import KEYS, Server

RECORDED = sorted(path.stem for path in FOLDER.glob("*.sql"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_history_is_told_as_it_was(
    name: str, tmp_path: Path, model: ScriptedModel, http: httpx2.Client
) -> None:
    path = tmp_path / "clew.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    prepare_sqlite(path)
    told = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert len(told) >= 6
    with Server(path, model.url, clock=ManualClock(), ids=CountingIds()) as server:
        api = Api(http, server.url, KEYS["alpha"])
        for run, expected in told.items():
            with api.stream("GET", f"{run}/events") as stream:
                assert [outline(frame) for frame in stream] == expected, run


def test_the_collection_has_begun() -> None:
    assert "schema-0004" in RECORDED
    assert "schema-0006" in RECORDED
