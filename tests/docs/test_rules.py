"""docs/rules.md: every rule names tests, and every test that it names is there.

Tests are looked for in the source of the test files; nothing is run.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rules.md"
SURENESS = {"documented", "recorded", "client", "ours"}

_HEADING = "| rule | how sure | test |"
_TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>test_\w+)(?:\[(?P<id>[^`]+)\])?`")


class Rule(NamedTuple):
    """A line of one of the page's tables."""

    subject: str
    text: str
    sure: str
    tests: str


def rules(page: str) -> Iterator[Rule]:
    """Yield every rule of a page: the lines of those tables that have the rules' heading."""
    subject, in_table = "", False
    for line in page.splitlines():
        if line.startswith("## "):
            subject = line.removeprefix("## ")
        if not line.startswith("|"):
            in_table = False
        elif line == _HEADING:
            in_table = True
        elif in_table and not line.startswith("|---"):
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            assert len(cells) == 3, f"not three cells: {line}"
            yield Rule(subject, *cells)


def faults(page: str) -> list[str]:
    """Return what is wrong with a page of rules."""
    found = list(rules(page))
    doubled = [text for text, times in Counter(rule.text.casefold() for rule in found).items() if times > 1]
    wrong = [f"twice: {text}" for text in doubled]
    for rule in found:
        wrong += [f"{fault}: {rule.text}" for fault in _faults(rule)]
    return wrong


def _faults(rule: Rule) -> Iterator[str]:
    if not rule.text.endswith("."):
        yield "no sentence"
    if rule.sure not in SURENESS:
        yield f"nobody knows what {rule.sure!r} is"
    named = rule.tests.split("<br>")
    for each in named:
        match = _TEST.fullmatch(each)
        if match is None:
            yield f"no test is named by {each!r}"
        elif fault := _missing(match["path"], match["name"], match["id"]):
            yield fault
    if len(named) != len(set(named)):
        yield "a test is named twice"


def _missing(path: str, name: str, case: str | None) -> str | None:
    """Return what is missing of a test; a case must be one that its file speaks of."""
    file = ROOT / path
    if not file.is_file():
        return f"there is no {path}"
    source = _source(file)
    if name not in source.tests:
        return f"{path} has no {name}"
    pieces = (case or "").split("-")
    if case is None or case in source.constants or source.constants.issuperset(pieces):
        return None
    return f"{path} says nothing of a case {case!r}"


class Source(NamedTuple):
    """What a test file holds: the names of its tests, and every constant as it shows in a case's name."""

    tests: frozenset[str]
    constants: frozenset[str]


@cache
def _source(file: Path) -> Source:
    tree = ast.parse(file.read_bytes())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return Source(frozenset(each.name for each in functions), frozenset(map(str, constants)))


def test_every_rule_has_tests_and_they_are_there() -> None:
    assert faults(PAGE.read_text(encoding="utf-8")) == []


def test_every_subject_has_rules() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = list(rules(page))
    assert len(found) > 200
    tables = page.count(_HEADING)
    assert tables == len({rule.subject for rule in found}) > 20


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("| A rule. | ours |  |", "no test is named by ''"),
        ("| A rule. | ours | trust me |", "no test is named by 'trust me'"),
        ("| A rule. | ours | `tests/http/test_lock.py` |", "no test is named by"),
        ("| A rule. | ours | `tests/http/test_lck.py::test_a` |", "there is no tests/http/test_lck.py"),
        ("| A rule. | ours | `tests/http/test_lock.py::test_a` |", "tests/http/test_lock.py has no test_a"),
        ("| A rule. | sure | {lock} |", "nobody knows what 'sure' is"),
        ("| A rule | ours | {lock} |", "no sentence"),
        ("| A rule. | ours | {lock}<br>{lock} |", "a test is named twice"),
        ("| A rule. | ours | {lock} |\n| a rule. | ours | {lock} |", "twice: a rule."),
        (
            "| A rule. | ours | `tests/docs/test_rules.py::test_the_check_can_fail[{case}]` |",
            "says nothing of a case 'never heard of'",
        ),
    ],
)
def test_the_check_can_fail(line: str, fault: str) -> None:
    lock = "`tests/http/test_lock.py::test_the_lock_ends_with_the_run`"
    case = " ".join(("never", "heard", "of"))
    (found,) = faults(f"{_HEADING}\n|---|---|---|\n{line.format(lock=lock, case=case)}\n")
    assert fault in found


def test_a_right_rule_has_no_fault() -> None:
    here = "`tests/docs/test_rules.py::test_a_right_rule_has_no_fault`"
    case = "`tests/http/test_lock.py::test_no_second_run_can_start_while_one_works[with messages]`"
    assert faults(f"{_HEADING}\n|---|---|---|\n| A rule. | ours | {here}<br>{case} |\n") == []
