"""Lines of the log, for people and for machines."""

import json
import logging
from typing import Any

import pytest

from clew.settings import Secret, Settings
from clew.telemetry.lines import Form, Line, as_json, for_people, secrets_of, without

HOSTILE = "one\ntwo\r\n\x1b[31mred\x9b0m\u202etixe\u2028end\ud800"


def line(message: str, about: str = "", **more: Any) -> Line:
    record = logging.LogRecord("clew.test", logging.WARNING, "", 0, message, (), more.pop("exc_info", None))
    record.created = 1_790_000_000.5
    record.fields = more
    return Line(record, message, about)


def test_machines_read_one_object_a_line() -> None:
    text = as_json(line(HOSTILE, "req_1", status=503, path=HOSTILE))
    assert text.isascii()
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "time": "2026-09-21T14:13:20.500Z",
        "level": "warning",
        "logger": "clew.test",
        "message": HOSTILE,
        "status": 503,
        "path": HOSTILE,
        "request_id": "req_1",
    }


def test_people_read_a_line_that_steers_no_terminal() -> None:
    text = for_people(line(HOSTILE, "run_1", tokens=17, code=None))
    assert text.startswith("2026-09-21T14:13:20.500Z warning clew.test: one\n    two")
    assert text.endswith("tokens=17 run_id=run_1\n")
    assert not set(text) & set("\r\x1b\x9b\u202e\u2028\ud800")
    assert all(each.startswith("    ") for each in text.splitlines()[1:])


def test_what_a_message_says_is_not_said_twice() -> None:
    assert "run_id" not in for_people(line("run run_1 failed", "run_1", run_id="run_1"))


@pytest.mark.parametrize("form", [as_json, for_people])
def test_lines_are_bounded_and_show_where_an_error_came_from(form: Form) -> None:
    try:
        raise ValueError("x" * 100_000)
    except ValueError as error:
        text = form(
            line("y" * 100_000, value="z" * 100_000, exc_info=(ValueError, error, error.__traceback__))
        )
    assert len(text) < 50_000
    assert "ValueError" in text or "xxxx" in text


def test_secrets_of_the_settings_are_cut_out_of_whatever_names_them() -> None:
    settings = Settings(
        api_key=Secret("clew_0123456789"),
        model_api_key=Secret("sk-0123456789"),
        database_url="postgresql://clew:pa%40ssword@db/clew",
        bus_url="nats://a:swordfish1@b:4222,nats://c:swordfish2@d:4222",
        models={"other": {"url": "http://x/v1", "key": "other-0123456789"}},
    )
    form = without(as_json, secrets_of(settings))
    text = form(
        line("clew_0123456789 sk-0123456789 pa%40ssword pa@ssword swordfish1 swordfish2 other-0123456789")
    )
    assert json.loads(text)["message"].split() == ["[secret]"] * 7
