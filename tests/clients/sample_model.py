"""The model that the vendor's samples talk to: it does what their prompts ask for.

It keeps nothing between requests, so samples may run side by side.
"""

from typing import Any

from clew.testing.scripted_model import Reply, Request, call

JOKE = "Why do programmers mix up Halloween and Christmas? Because OCT 31 is DEC 25."
PLANET = '{"planet": "Mars", "mass": 6.4171e23}'
SEEN = "A boardwalk through green grass."
CITED = "It shows things that are not there【4:0†product_info_1.md】."
UNFOUND = "There is nothing to search in."
CHART = "Here is the chart, [as a file](sandbox:/mnt/data/profit.png)."

_DRAW = """
import csv
import matplotlib.pyplot as plt
rows = list(csv.DictReader(open("/mnt/data/synthetic_500_quarterly_results.csv")))
chosen = [row for row in rows if row["Sector"] == "TRANSPORTATION"]
plt.bar([row["Name"] for row in chosen], [float(row["Operating profit"]) for row in chosen])
plt.savefig("/mnt/data/profit.png")
plt.show()
"""
_READ = "print(open('/mnt/data/product_info_1.md').read()[:60])"

_ROUNDS: dict[str, list[list[str]]] = {
    "send an email": [["fetch_current_datetime", "fetch_weather"], ["send_email"]],
    "what's the time": [["fetch_current_datetime"]],
    "what is the weather": [["fetch_weather"]],
}
"""Which functions to call for a question, turn by turn."""

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "fetch_current_datetime": {"format": "%Y"},
    "fetch_weather": {"location": "New York"},
    "send_email": {"recipient": "user@example.com", "subject": "New York", "body": "Sunny."},
}


def answer(request: Request) -> Reply | str:
    """Call the functions that the question needs, a turn at a time; then answer it."""
    question = request.last_user_text
    rounds = next((rounds for words, rounds in _ROUNDS.items() if words in question), [])
    turn = sum(1 for message in request.messages if message.get("tool_calls"))
    if turn < len(rounds):
        return Reply(tuple(call(_offered(name, request), _ARGUMENTS[name]) for name in rounds[turn]))
    if rounds:
        return f"I was told: {'; '.join(request.tool_outputs.values())}"
    if "file_search" in request.tools:
        return _of_files(request)
    if "create bar chart" in question or "attachment say" in question:
        return _of_code(request)
    if request.body.get("response_format", {}).get("type") == "json_schema":
        return PLANET
    return SEEN if _has_image(request) else JOKE


def _of_files(request: Request) -> Reply | str:
    """Search for what was asked; cite the file if it was found."""
    if not request.tool_outputs:
        return Reply((call("file_search", {"query": request.last_user_text}),))
    passages = "".join(request.tool_outputs.values())
    return CITED if "【4:0†product_info_1.md】" in passages and "Smart Eyewear" in passages else UNFOUND


def _of_code(request: Request) -> Reply | str:
    """Draw what was asked for, or read the attachment; then give what came of it."""
    draws = "create bar chart" in request.last_user_text
    if not request.tool_outputs:
        return Reply((call("code_interpreter", {"code": _DRAW if draws else _READ}),))
    told = "".join(request.tool_outputs.values())
    return CHART if draws and "1 plot(s) shown" in told else f"It says: {told.splitlines()[0]}"


def _offered(name: str, request: Request) -> str:
    """Return the function's name as it is offered; the asynchronous samples add to it."""
    return next(tool for tool in request.tools if tool in (name, f"{name}_async"))


def _has_image(request: Request) -> bool:
    content = request.messages[-1]["content"]
    return isinstance(content, list) and any(part["type"] == "image_url" for part in content)
