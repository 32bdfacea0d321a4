"""The figures of ``make bench`` as a page shows them: from the file that ``--json`` wrote."""

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("figures.json")
_REFERENCES = "references"


def markdown(recorded: Path = RECORDED) -> str:
    """Return the references, and a table with a row for each figure and a column for each store."""
    known = json.loads(recorded.read_text(encoding="utf-8"))
    measured: dict[str, list[dict[str, Any]]] = known["figures"]
    lines = [f"{known['machine']}, {known['day']}.", "", "| reference | |", "|---|---|"]
    lines += [f"| {each['name']} | {_shown(each)} |" for each in measured[_REFERENCES]]
    stores = [name for name in measured if name != _REFERENCES]
    lines += ["", f"| what | | {' | '.join(stores)} |", f"|---|---|{'---|' * len(stores)}"]
    cells = {store: {(each["group"], each["name"]): each for each in measured[store]} for store in stores}
    before = ""
    for key in dict.fromkeys(key for store in stores for key in cells[store]):
        shown = [_shown(cells[store][key]) if key in cells[store] else "" for store in stores]
        lines.append(f"| {key[0] if key[0] != before else ''} | {key[1]} | {' | '.join(shown)} |")
        before = key[0]
    return "\n".join(lines) + "\n"


def _shown(figure: dict[str, Any]) -> str:
    value = figure["value"]
    number = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
    return f"{number} {figure['unit']}".strip()
