"""Exercise A: does an agent remember over many turns?

Tell an agent facts, one of which changes, talk of other things, then ask for each fact, and for some
that were never told. The thread forgets nothing: every message is in it. What is measured is whether
the model uses what it is given, and whether it admits what it can't know.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python exercise_a_memory.py [trials] [other things]
"""

import itertools
import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clew.toolkit import ConversationManager, Service, connect


class Fact(NamedTuple):
    """Something to remember, what to ask for it, and what a right answer must hold."""

    told: str
    asked: str
    word: str


class Recall(NamedTuple):
    """An answer: how many turns after the fact it came (None if there was none), and whether it was right."""

    asked: str
    turns: int | None
    answer: str
    right: bool


FACTS = (
    Fact("My name is Ada.", "What is my name?", "Ada"),
    Fact("My sailing boat is called Argo.", "What is my boat called?", "Argo"),
    Fact("My favourite colour is green.", "What is my favourite colour?", "green"),
    Fact("I have a dog called Bruno.", "What is my dog called?", "Bruno"),
    Fact("My sister works as a doctor.", "What does my sister work as?", "doctor"),
)
BEFORE = "I live in Lisbon."
CHANGED = Fact("I have moved: now I live in Porto.", "In which city do I live now?", "Porto")
UNTOLD = ("What is my brother's name?", "What is my favourite food?")
ADMITS = re.compile(
    r"\b(don't|do not|can't|cannot|not) (know|have|been|mention|said|told|tell)"
    r"|\b(haven't|hasn't|didn't|no information)",
    re.IGNORECASE,
)
ASIDES = (
    "Name a planet.",
    "Say a word that rhymes with cat.",
    "What is the opposite of hot?",
    "Name an animal that can fly.",
    "How many legs has a spider?",
    "Name a month in summer.",
)
INSTRUCTIONS = (
    "You are a friendly assistant. Answer in one short sentence. The user tells you things about "
    "themselves: use them when the user asks about them later."
)


def recall(conversation: ConversationManager, asides: int, shift: int) -> Iterator[Recall]:
    """Tell every fact, talk of ``asides`` other things, then ask; ``shift`` is where to begin the facts."""
    facts = (*FACTS[shift:], *FACTS[:shift], CHANGED)
    turns = itertools.count(1)
    conversation.send(BEFORE)
    told_at = {}
    for fact in facts:
        conversation.send(fact.told)
        told_at[fact] = next(turns)
    for aside in itertools.islice(itertools.cycle(ASIDES), asides):
        conversation.send(aside)
        next(turns)
    for fact in facts:
        answer = conversation.send(fact.asked).text
        right = re.search(rf"\b{fact.word}\b", answer, re.IGNORECASE) is not None
        yield Recall(fact.asked, next(turns) - told_at[fact], answer, right)
    for question in UNTOLD:
        answer = conversation.send(question).text
        yield Recall(question, None, answer, ADMITS.search(answer) is not None)


def run(service: Service, model: str, trials: int = 1, asides: int = 6) -> list[Recall]:
    """Hold ``trials`` conversations, each in a thread of its own, and return all the answers."""
    agent = service.create_agent(model, name="memory", instructions=INSTRUCTIONS, temperature=0)
    answers: list[Recall] = []
    for trial in range(trials):
        with ConversationManager(service, agent.id, delete_on_leaving=True) as conversation:
            answers += recall(conversation, asides, trial % len(FACTS))
    service.delete_agent(agent.id)
    return answers


def show(console: Console, answers: list[Recall]) -> None:
    """Print every answer, and how many were right."""
    table = Table("asked", "turns ago", "answer", "", title="What the agent remembered")
    for each in answers:
        verdict = Text("right", "green") if each.right else Text("wrong", "red")
        ago = "never told" if each.turns is None else str(each.turns)
        table.add_row(each.asked, ago, Text(each.answer), verdict)
    console.print(table)
    told = [each.right for each in answers if each.turns is not None]
    untold = [each.right for each in answers if each.turns is None]
    console.print(f"Remembered {sum(told)} of {len(told)} facts ({sum(told) / len(told):.0%}).")
    console.print(f"Admitted not to know {sum(untold)} of {len(untold)} ({sum(untold) / len(untold):.0%}).")


def main() -> None:
    """Measure the server that the environment names."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    asides = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    with connect(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]) as service:
        show(Console(), run(service, os.environ["MODEL_DEPLOYMENT_NAME"], trials, asides))


if __name__ == "__main__":
    main()
