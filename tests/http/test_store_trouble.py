"""A store that takes nothing: its disk is full (a real server may not write), or somebody holds it."""

import asyncio
import logging
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from clew.store.database import Database
from clew.store.statement import Statement, Transaction
from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.support.api import Api, RunHandle, error_of
from tests.support.servers import Servers
from tests.support.wait import until

_SMALL = 64 * 1024
"""Bytes beyond which no file may be written: the log fits, the database does not."""


def _limit(server: RunningServer, size: int | None) -> None:
    import resource

    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_full_disk_is_said_once_and_plainly_and_gets_over_by_itself(http: httpx2.Client) -> None:
    with ScriptedModel() as model, RunningServer(model) as server:
        api = Api(http, server.url, server.api_key)
        agent, before = api.agent(), api.thread("x" * 200_000)
        held = model.hold("Go left.")
        run = RunHandle(api, api.post(f"/threads/{api.thread('Which way?')}/runs", {"assistant_id": agent}))
        held.wait_paused()
        _limit(server, _SMALL)
        for _ in range(5):
            error = api.refused(507, "POST", "/threads", {"metadata": {"a": "b"}})
            assert error["message"].startswith("The server's disk is full. Nothing was stored.")
            assert (error["type"], error["code"]) == ("server_error", "insufficient_storage")
            ready = http.get(f"{server.url}/readyz")
            assert (ready.status_code, ready.text) == (503, "the store's disk is full\n")
        assert http.get(f"{server.url}/healthz").status_code == 200
        assert api.texts(before) == ["x" * 200_000], "what is there can be read"
        held.release()
        assert run.now()["status"] == "in_progress"
        _limit(server, None)
        until(lambda: http.get(f"{server.url}/readyz").status_code == 200)
        api.thread("again")
        run.wait("completed")
        assert len(model.requests) == 1, "the model was paid once"
        until(lambda: "takes what it is given again" in server.log)  # lines are written a moment later
        log = server.log
    assert "Traceback" not in log
    assert log.count("takes nothing") == 1, log
    assert log.count("takes what it is given again") == 1, log


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_server_that_can_open_no_more_files_goes_on_as_soon_as_it_can(http: httpx2.Client) -> None:
    """Its first run, too: what is imported at the first use has been imported before."""
    import resource

    with ScriptedModel() as model, RunningServer(model) as server:
        api = Api(http, server.url, server.api_key)
        agent, thread = api.agent(), api.thread("Which way?")
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        opened = {int(each.name) for each in Path(f"/proc/{server.pid}/fd").iterdir()}
        lowest_free = min(set(range(soft)) - opened)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (lowest_free, hard))
        run = RunHandle(api, api.post(f"/threads/{thread}/runs", {"assistant_id": agent}))
        until(lambda: "could not be reached" in server.log)
        assert run.now()["status"] == "in_progress"
        assert api.texts(api.thread("stored all the same")) == ["stored all the same"]
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        run.wait("completed")
        assert "Traceback" not in server.log


async def _impatient(tx: Transaction) -> None:
    await tx.one(Statement(text("PRAGMA busy_timeout = 0")), {})


def test_a_store_that_somebody_else_holds_is_not_ready_and_refuses_plainly(
    servers: Servers, http: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    stores: list[Database] = []

    def kept(db: Database) -> Database:
        stores.append(db)
        return db

    with caplog.at_level(logging.WARNING), servers.start(wrap=kept) as api:
        thread = api.thread("before")
        (db,) = stores
        asyncio.run(db.write(_impatient))
        assert isinstance(servers.place, Path)
        with closing(sqlite3.connect(servers.place, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            for _ in range(3):
                error = api.refused(503, "POST", "/threads", {})
                assert error["message"].startswith("The server's database can't be used at the moment.")
                ready = http.get(f"{api.url}/readyz")
                assert (ready.status_code, ready.text) == (503, "the store takes nothing\n")
            assert api.texts(thread) == ["before"]
        assert http.get(f"{api.url}/readyz").status_code == 200
        api.thread("after")
    told = [record.message for record in caplog.records if record.name == "clew.store.database"]
    assert len(told) == 2, told
    assert not any(record.exc_info for record in caplog.records)


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
def test_a_disk_that_fills_in_the_middle_of_an_upload_leaves_nothing(http: httpx2.Client) -> None:
    with ScriptedModel() as model, RunningServer(model) as server:
        api = Api(http, server.url, server.api_key)
        _limit(server, 1024 * 1024)
        error = error_of(api.send_file(bytes(5 * 1024 * 1024)), 507)
        assert error["code"] == "insufficient_storage"
        _limit(server, None)
        assert api.get("/files")["data"] == []
        assert [each for each in (server.data_dir / "files").rglob("*") if each.is_file()] == []
        api.upload(b"again")
        assert "Traceback" not in server.log
