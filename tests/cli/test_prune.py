"""``clew prune``: what is old goes into the archive and can come back; what is in use stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.toolkit import Service
from clew.toolkit.errors import BadRequest
from tests.cli.conftest import Clew
from tests.support.clock import ManualClock

_DAY = 24 * 3600


def _thread(service: Service, *texts: str) -> str:
    thread = service.create_thread()
    for text in texts:
        service.create_message(thread.id, text)
    return thread.id


def _iso(clock: ManualClock) -> str:
    return datetime.fromtimestamp(clock.now() // 1000, UTC).isoformat()


def test_what_is_old_goes_and_what_is_in_use_stays(
    clew: Clew, service: Service, model: ScriptedModel, clock: ManualClock, tmp_path: Path
) -> None:
    agent = service.create_agent("gpt").id
    idle, empty, spoken_in, live = (_thread(service, *texts) for texts in (["one"], [], ["two"], ["three"]))
    model.reply("Yes.")
    clew("runs", "create", idle, "--agent", agent, "--wait")
    held = model.hold("Just a moment")
    running = clew("runs", "create", live, "--agent", agent).stdout.strip()
    clock.advance(90 * _DAY * 1000)
    limit = _iso(clock)
    service.create_message(spoken_in, "again")
    new = _thread(service, "four")

    archive = tmp_path / "archive"
    listed = clew("prune", "--older-than", limit, "--archive", str(archive), "--dry-run")
    assert idle in listed.stdout
    assert empty in listed.stdout
    assert service.get_thread(idle)

    told = clew("prune", "--older-than", limit, "--archive", str(archive))
    assert "2 threads are deleted" in told.stderr
    assert {thread.id for thread in service.all_threads()} == {spoken_in, live, new}
    files = {file.stem: file for file in archive.rglob("*.jsonl")}
    assert set(files) == {idle, empty}

    back = clew("import", str(files[idle])).stdout.strip()
    assert [message.text for message in service.all_messages(back)] == ["one", "Yes."]
    assert '"kind":"run"' in files[idle].read_text(encoding="utf-8")
    held.release()
    clew("runs", "watch", live, running, code=1)  # it has expired meanwhile


def test_without_an_archive_only_when_that_is_said(clew: Clew, service: Service, clock: ManualClock) -> None:
    thread = _thread(service, "one")
    clock.advance(2000)
    assert "say where they are to be kept" in clew("prune", "--older-than", _iso(clock), code=2).stderr
    clew("prune", "--older-than", "soon", "--no-archive", code=2)
    clew("prune", "--older-than", _iso(clock), "--no-archive")
    clew("threads", "show", thread, code=3)


@pytest.mark.parametrize("wrong", ["soon", "-1", "1.5", ""])
def test_a_deletion_with_a_condition_that_nobody_understands_deletes_nothing(
    clew: Clew, service: Service, wrong: str
) -> None:
    thread = _thread(service, "one")
    with pytest.raises(BadRequest):
        service.request("DELETE", "threads", thread, query={"unchanged_since": wrong})
    assert service.get_thread(thread)
