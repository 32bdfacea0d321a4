"""The log is written beside whoever logs: nobody waits for it, and nothing is lost without a word."""

import io
import logging
import threading

from clew.settings import Settings
from clew.telemetry.lines import for_people
from clew.telemetry.writer import LogWriter, logging_as


class Stuck(io.StringIO):
    """A stream that takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()

    def write(self, text: str) -> int:
        self.may_go.wait(15)
        return super().write(text)


def _logger(writer: LogWriter) -> logging.Logger:
    logger = logging.Logger("clew.test", logging.DEBUG)
    logger.addHandler(writer)
    return logger


def test_who_logs_waits_for_nobody_and_what_is_too_much_is_counted() -> None:
    stream = Stuck()
    writer = LogWriter(stream, for_people, most=10)
    logger = _logger(writer)
    for number in range(1000):
        logger.info("line %d", number)
    stream.may_go.set()
    writer.close()
    lines = stream.getvalue().splitlines()
    said = [each for each in lines if "line " in each]
    missing = [int(each.split(": ")[1].split()[0]) for each in lines if "are missing here" in each]
    assert len(said) + sum(missing) == 1000
    assert 10 <= len(said) < 1000


def test_a_line_that_cannot_be_made_is_no_trouble_of_whoever_logs() -> None:
    class Unsayable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    stream = io.StringIO()
    writer = LogWriter(stream, for_people)
    record = logging.makeLogRecord({"name": "clew.test", "msg": "fields", "fields": {"a": Unsayable()}})
    writer.emit(record)
    writer.close()
    assert "a line of clew.test can't be shown: RuntimeError" in stream.getvalue()


def test_the_settings_say_the_least_that_is_logged() -> None:
    stream = io.StringIO()
    with logging_as(Settings(log_level="warning"), stream=stream):
        logging.getLogger("clew.test").info("not this")
        logging.getLogger("clew.test").warning("this")
        logging.getLogger("somebody.else").warning("and this")
    logging.getLogger("clew.test").error("too late")
    assert [each.split(": ")[-1] for each in stream.getvalue().splitlines()] == ["this", "and this"]
