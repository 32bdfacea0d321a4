"""Exercise A: does an agent remember over many turns?

Tell an agent facts, talk of other things, then ask for each fact, and count what comes back. The
thread never forgets: every message is in it. What is measured is whether the model uses what it is
given.

Start a server with `clew serve`, then in this terminal:

    eval "$(clew env)"
    python exercise_a_memory.py [trials]
"""

import os
import re
import sys
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
    """An answer, how many turns after the fact it came, and whether it was right."""

    fact: Fact
    turns: int
    answer: str
    right: bool


FACTS = (
    Fact("My name is Ada.", "What is my name?", "Ada"),
    Fact("My sailing boat is called Argo.", "What is my boat called?", "Argo"),
    Fact("I live in Lisbon.", "In which city do I live?", "Lisbon"),
    Fact("My favourite colour is green.", "What is my favourite colour?", "green"),
    Fact("I have a dog called Bruno.", "What is my dog called?", "Bruno"),
    Fact("My sister works as a doctor.", "What does my sister work as?", "doctor"),
)
ASIDES = (
    "Name a planet.",
    "Say a word that rhymes with cat.",
    "What is the opposite of hot?",
    "Name an animal that can fly.",
)
INSTRUCTIONS = (
    "You are a friendly assistant. Answer in one short sentence. The user tells you things about "
    "themselves: use them when the user asks about them later."
)


def recall(conversation: ConversationManager) -> list[Recall]:
    """Tell every fact, talk of other things, then ask for every fact; return the answers."""
    told_at: dict[Fact, int] = {}
    turn = 0
    for fact in FACTS:
        conversation.send(fact.told)
        told_at[fact] = turn = turn + 1
    for aside in ASIDES:
        conversation.send(aside)
        turn += 1
    answers = []
    for fact in FACTS:
        answer = conversation.send(fact.asked).text
        turn += 1
        right = re.search(rf"\b{fact.word}\b", answer, re.IGNORECASE) is not None
        answers.append(Recall(fact, turn - told_at[fact], answer, right))
    return answers


def run(service: Service, model: str, trials: int) -> list[Recall]:
    """Hold ``trials`` conversations, each in a thread of its own."""
    agent = service.create_agent(model, name="memory", instructions=INSTRUCTIONS, temperature=0)
    answers = []
    for _ in range(trials):
        with ConversationManager(service, agent.id, delete_on_leaving=True) as conversation:
            answers += recall(conversation)
    service.delete_agent(agent.id)
    return answers


def show(console: Console, answers: list[Recall]) -> None:
    """Print every answer, and how many were right."""
    table = Table("asked", "turns ago", "answer", "", title="What the agent remembered")
    for each in answers:
        verdict = Text("right", "green") if each.right else Text("wrong", "red")
        table.add_row(each.fact.asked, str(each.turns), Text(each.answer), verdict)
    console.print(table)
    right = sum(each.right for each in answers)
    console.print(f"Remembered {right} of {len(answers)} ({right / len(answers):.0%}).")


def main() -> None:
    """Measure the server that the environment names."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with connect(os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]) as service:
        show(Console(), run(service, os.environ["MODEL_DEPLOYMENT_NAME"], trials))


if __name__ == "__main__":
    main()
