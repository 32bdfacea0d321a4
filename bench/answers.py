"""What the embedded chat model answers with and without files: ``python -m bench.answers [--data-dir DIR]``.

Twenty questions about the passages of bench/passages/english.json, each asked of an agent that may search
them and of one that has nothing. An answer is right if it holds what it must: a number, a name, a word. The
whole takes some minutes.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from bench.collection import PASSAGES
from clew.testing.server import RunningServer

_INSTRUCTIONS = "Answer in one short sentence."
_WAIT = 300.0
_DONE = {"completed", "failed", "cancelled", "expired", "incomplete"}

QUESTIONS = {
    "How many days of annual leave does an employee have?": ("28",),
    "At what time must a sick employee have told the office?": (
        "ten o'clock",
        "10 o'clock",
        "10:00",
        "10 am",
    ),
    "When does the canteen open for lunch?": ("half past eleven", "11:30"),
    "How much does a parking space cost a month?": ("35",),
    "How long must a password be at least?": ("14", "fourteen"),
    "What does error E-4471 on a printer mean?": ("drum",),
    "What does error E-4417 on a printer mean?": ("paper", "jam"),
    "Where do people gather when the fire alarm sounds?": ("chapel", "lawn"),
    "Up to how many euros a day are meals refunded?": ("32",),
    "On which day of the month are wages paid?": ("25",),
    "How many days a year may be spent on courses?": ("five days", "5 days"),
    "How long may a parent stay at home after a birth?": ("fourteen", "14"),
    "What pressure should the heating have?": ("1.4", "1.9"),
    "How many kilowatt-hours did the solar panels give?": ("48,300", "48300"),
    "How much can the forklift named Bertha lift?": ("2.5",),
    "Which firm inspects the crane?": ("thistlewood",),
    "In which cabinet is lacquer RAL 5015 kept?": ("cabinet 12", "cabinet twelve"),
    "Who founded the works?": ("adler",),
    "How high did the river rise in August 2002?": ("six met", "6 met"),
    "Who is the chair of the works council?": ("duarte",),
}
"""Questions, and what a right answer has one of."""


class Answer(NamedTuple):
    """What was said to a question, and how long it took, in seconds."""

    text: str
    seconds: float
    right: bool


class _Asking:
    """Asks a server over HTTP."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx2.Client(
            base_url=f"{url}/v1", headers={"Authorization": f"Bearer {key}"}, timeout=_WAIT + 30
        )

    def post(self, path: str, body: Any) -> Any:
        return self._http.post(path, json=body).raise_for_status().json()

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def store(self, passages: dict[str, str]) -> str:
        """Upload each passage as a file of its own; return a store that has read them all."""
        ids = []
        for name, text in passages.items():
            parts = {"file": (f"{name}.txt", text.encode())}
            answer = self._http.post("/files", data={"purpose": "assistants"}, files=parts)
            ids.append(answer.raise_for_status().json()["id"])
        store = self.post("/vector_stores", {"file_ids": ids})
        until = time.monotonic() + _WAIT
        while self.get(f"/vector_stores/{store['id']}")["file_counts"]["completed"] < len(ids):
            if time.monotonic() > until:
                raise TimeoutError("the files were not read in time")
            time.sleep(0.2)
        return str(store["id"])

    def agent(self, store_id: str | None) -> str:
        """Return an agent that searches a store, or one that has none."""
        body: dict[str, Any] = {"model": "default", "instructions": _INSTRUCTIONS, "temperature": 0}
        if store_id is not None:
            body["tools"] = [{"type": "file_search"}]
            body["tool_resources"] = {"file_search": {"vector_store_ids": [store_id]}}
        return str(self.post("/assistants", body)["id"])

    def ask(self, agent: str, question: str, wanted: tuple[str, ...]) -> Answer:
        """Ask in a thread of its own."""
        begun = time.perf_counter()
        thread = {"messages": [{"role": "user", "content": question}]}
        run = self.post("/threads/runs", {"assistant_id": agent, "thread": thread})
        path = f"/threads/{run['thread_id']}"
        while run["status"] not in _DONE:
            time.sleep(0.05)
            run = self.get(f"{path}/runs/{run['id']}")
        newest = self.get(f"{path}/messages?limit=1")["data"][0]
        text = "".join(part["text"]["value"] for part in newest["content"] if part["type"] == "text")
        said = text if newest["role"] == "assistant" else f"({run['status']})"
        seconds = time.perf_counter() - begun
        # A mark of a source ends an answer: its number is no part of it.
        right = any(each in said.partition("【")[0].lower() for each in wanted)
        return Answer(said, seconds, right)


def _measure(asking: _Asking) -> None:
    passages = json.loads((PASSAGES / "english.json").read_text(encoding="utf-8"))["passages"]
    agents = {"without files": asking.agent(None), "with files": asking.agent(asking.store(passages))}
    right, seconds = dict.fromkeys(agents, 0), dict.fromkeys(agents, 0.0)
    for question, wanted in QUESTIONS.items():
        print(question)
        for name, agent in agents.items():
            answer = asking.ask(agent, question, wanted)
            right[name] += answer.right
            seconds[name] += answer.seconds
            said = " ".join(answer.text.split())
            print(f"  {name}: {'right' if answer.right else 'wrong'}: {said[:150]}", flush=True)
    for name, count in right.items():
        each = seconds[name] / len(QUESTIONS)
        print(f"{name}: {count} of {len(QUESTIONS)} right, {each:.1f} s each")


def main() -> None:
    """Ask all questions, and print what was said and how much of it was right."""
    parser = argparse.ArgumentParser(prog="python -m bench.answers", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="where the weights lie or are to lie (below models/)")
    given = parser.parse_args()
    server = RunningServer()
    if given.data_dir is not None:
        models = given.data_dir / "models"
        models.mkdir(parents=True, exist_ok=True)
        (server.data_dir / "models").symlink_to(models.resolve(), target_is_directory=True)
    with server:
        _measure(_Asking(server.url, server.api_key))


if __name__ == "__main__":
    main()
