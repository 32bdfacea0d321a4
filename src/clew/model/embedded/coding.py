"""Code that a small model writes for code_interpreter: a program after two worked examples, not JSON.

Asked whether to run code, it guesses; asked for code in JSON, it breaks off or forgets to print. So it writes
where the user speaks of a file or of a program, and always when it must. The program is run as it is.
"""

import json
import re

from clew.core.code import DATA
from clew.core.options import Json
from clew.core.tools import CODE_INTERPRETER
from clew.model.embedded.prompts import chatml

END = "```"
"""What ends the program."""

_BEGUN = f"{END}python\n"
_WORDS = re.compile(r"\b(python|program|code|script|calculate|compute|plot|chart|diagram|histogram)\b", re.I)
_LISTED = re.compile(r"^- (.+?) \(", re.MULTILINE)
"""A file as the instructions of a run with code_interpreter list it."""

_SYSTEM = "You write Python programs that answer questions. Print the answer. Reply with one code block."
_EXAMPLES = (
    (
        f"What is the largest price in {DATA}/goods.csv?",
        f"""import csv

with open("{DATA}/goods.csv", newline="") as file:
    rows = list(csv.DictReader(file))
prices = [float(row["price"]) for row in rows]
print("largest price:", max(prices))
""",
    ),
    (
        f"Plot the price of each name in {DATA}/goods.csv.",
        f"""import csv
import matplotlib.pyplot as plt

with open("{DATA}/goods.csv", newline="") as file:
    rows = list(csv.DictReader(file))
plt.bar([row["name"] for row in rows], [float(row["price"]) for row in rows])
plt.ylabel("price")
plt.show()
""",
    ),
)


def is_code(tool: Json) -> bool:
    """Whether a tool runs code, as the server's own does."""
    function = tool.get("function", {})
    parameters = function.get("parameters") or {}
    return function.get("name") == CODE_INTERPRETER and parameters.get("required") == ["code"]


def asks_for_code(said: str, instructions: str) -> bool:
    """Whether the user speaks of a file that code has, or of a program."""
    if f"{DATA}/" in said or _WORDS.search(said):
        return True
    return any(name in said for name in _LISTED.findall(instructions))


def prompt(said: str) -> str:
    """Return the prompt that is continued by a program, up to :data:`END`."""
    turns = [("system", _SYSTEM)]
    for asked, program in _EXAMPLES:
        turns += [("user", asked), ("assistant", f"{_BEGUN}{program}{END}")]
    return chatml([*turns, ("user", said)]) + _BEGUN


def arguments(written: str) -> str:
    """Return the arguments of a call for what the model wrote."""
    return json.dumps({"code": written.partition(END)[0].rstrip()}, ensure_ascii=False)
