"""docs/testing-your-app.md, run as it stands."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing-your-app.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_examples_that_are_tests(pytester: pytest.Pytester) -> None:
    tests = [block for block in BLOCKS if "def test_" in block]
    pytester.makepyfile(**{f"test_{number}": block for number, block in enumerate(tests)})
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=len(tests))


def test_examples_that_are_programs(pytester: pytest.Pytester) -> None:
    programs = [block for block in BLOCKS if "def test_" not in block]
    assert programs
    for program in programs:
        done = pytester.runpython_c(program)
        assert done.ret == 0
        done.stdout.fnmatch_lines(["thread_*"])
