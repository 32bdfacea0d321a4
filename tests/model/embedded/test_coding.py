"""A small model writes programs where it is asked about files, and they are run as they are."""

import json

import pytest

from clew.core.tools import CodeInterpreterTool
from clew.model.embedded.coding import arguments, asks_for_code, is_code, prompt
from clew.tools.code_interpreter import _FUNCTION, CodeInterpreter

LISTED = "Be brief.\n\nFiles:\n- points.csv (file-1), 24 bytes\n- and 3 more"


def test_the_servers_own_tool_is_known_and_no_other() -> None:
    (offered,) = CodeInterpreter.functions(CodeInterpreter, CodeInterpreterTool())  # type: ignore[arg-type]
    assert offered == _FUNCTION
    ours = {"type": "function", "function": {"name": offered.name, "parameters": offered.parameters}}
    assert is_code(ours)
    assert not is_code({"function": {"name": offered.name, "parameters": {"required": ["input"]}}})
    assert not is_code({"function": {"name": "run_code", "parameters": offered.parameters}})
    assert not is_code({"type": "function", "function": {"name": offered.name}})


@pytest.mark.parametrize(
    ("said", "asks"),
    [
        ("What is the mean in /mnt/data/x.csv?", True),
        ("What is in points.csv?", True),
        ("Plot it, please.", True),
        ("Hello, how are you?", False),
        ("My name is Ada.", False),
        ("and 3 more", False),
    ],
)
def test_code_is_written_where_a_file_or_a_program_is_spoken_of(said: str, asks: bool) -> None:
    assert asks_for_code(said, LISTED) is asks


def test_a_program_ends_with_its_block() -> None:
    assert json.loads(arguments('print("\N{BALL OF YARN}")\n```\nThis prints')) == {
        "code": 'print("\N{BALL OF YARN}")'
    }
    assert prompt("How many?").endswith(
        "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n```python\n"
    )
