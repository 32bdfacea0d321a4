"""Conversations to measure the embedded model's memory with: facts told in passing, asked for later.

``TUNING`` is what the prompts were chosen on; ``UNSEEN`` was written before and looked at only afterwards,
so its figures are the ones to believe.
"""

import re
from collections.abc import Iterator
from contextlib import aclosing
from typing import Literal, TypeAlias

from msgspec import Struct

from clew.core.options import Json
from clew.model.chat import ChatRequest, TextDelta, one_by_one
from clew.model.embedded.engine import EmbeddedModel

Kind: TypeAlias = Literal["told", "recalled", "changed", "untold", "aside", "follow-up"]

KINDS: dict[Kind, str] = {
    "recalled": "facts remembered",
    "changed": "facts that changed",
    "untold": "admitted not to know what nobody told",
    "aside": "other questions",
    "follow-up": "questions that need the turn before",
}

_ADMITS = re.compile(
    r"\b(don't|do not|can't|cannot|not|never) (\w+ )?(know|have|been|mention|said|told|tell|provided|sure)"
    r"|\b(haven't|hasn't|didn't|doesn't|no information|unknown)"
    r"|\bnicht|\bkeine\b|\bne (sais|connais|m)|\bn'a[svi]|\bno (lo |me |se |tengo)"
)


class Turn(Struct, frozen=True):
    """Something the user says, and what a right answer holds: any one of some texts."""

    said: str
    kind: Kind = "told"
    expected: tuple[str, ...] = ()


class Talk(Struct, frozen=True):
    """A conversation, held in order; the answers in between are the model's own."""

    instructions: str
    turns: tuple[Turn, ...]


class Heard(Struct, frozen=True):
    """What the model answered to a turn."""

    turn: Turn
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer holds what was expected, an admission if nothing could be known. To repeat
        the question is always wrong."""
        if _words(self.answer) == _words(self.turn.said):
            return False
        answer = self.answer.casefold().replace("\u2019", "'")
        if self.turn.kind == "untold":
            return _ADMITS.search(answer) is not None
        return any(re.search(rf"\b{re.escape(text)}\b", answer) for text in self.turn.expected)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


async def hold(model: EmbeddedModel, talk: Talk, most_tokens: int = 60) -> list[Heard]:
    """Hold a conversation; the answers to all turns."""
    messages: list[Json] = [{"role": "system", "content": talk.instructions}] if talk.instructions else []
    heard = []
    for turn in talk.turns:
        messages.append({"role": "user", "content": turn.said})
        request = ChatRequest(
            model="", messages=tuple(messages), max_completion_tokens=most_tokens, temperature=0
        )
        async with aclosing(one_by_one(model.stream(request))) as chunks:
            answer = "".join([chunk.text async for chunk in chunks if isinstance(chunk, TextDelta)])
        messages.append({"role": "assistant", "content": answer})
        heard.append(Heard(turn, answer))
    return heard


def figures(heard: list[Heard]) -> Iterator[str]:
    """One line for each kind of question."""
    for kind, words in KINDS.items():
        rights = [each.right for each in heard if each.turn.kind == kind]
        yield f"{words}: {sum(rights)}/{len(rights)}"


def _asked(said: str, *expected: str) -> Turn:
    return Turn(said, "recalled", expected)


def _changed(said: str, *expected: str) -> Turn:
    return Turn(said, "changed", expected)


def _untold(said: str) -> Turn:
    return Turn(said, "untold")


def _aside(said: str, *expected: str) -> Turn:
    return Turn(said, "aside", expected)


def _next(said: str, *expected: str) -> Turn:
    return Turn(said, "follow-up", expected)


_PLAIN = "You are a helpful assistant."
_ABOUT_YOU = (
    "You are a friendly assistant. Answer in one short sentence. The user tells you things about "
    "themselves: use them when the user asks about them later."
)
_SHORT = "You are a friendly assistant. Answer in one short sentence."

TUNING = (
    Talk(
        _SHORT,
        (
            Turn("Hi! My name is Marta."),
            _aside("What is the capital of Japan?", "tokyo"),
            _next("And of Italy?", "rome"),
            Turn("I work as a nurse in Leeds, mostly at night."),
            _aside("How many days are there in a week?", "7", "seven"),
            Turn("My cat is called Pixel, by the way."),
            Turn("I'm allergic to peanuts, so be careful with recipes."),
            _aside("Name a fruit that is yellow.", "banana", "lemon", "mango", "pineapple"),
            Turn("I have just changed jobs: I am a teacher now."),
            _asked("What is my name?", "marta"),
            _asked("What is my cat called?", "pixel"),
            _aside("Who wrote Romeo and Juliet?", "shakespeare"),
            _asked("What am I allergic to?", "peanuts", "peanut"),
            _changed("What is my job now?", "teacher"),
            _asked("In which town did I work as a nurse?", "leeds"),
            _untold("How old is my father?"),
        ),
    ),
    Talk(
        _PLAIN,
        (
            Turn("I'm planning a trip to Norway with my brother Tom in October."),
            _aside("What is the currency of Norway?", "krone", "kroner", "nok"),
            Turn("We have a budget of 2400 euros."),
            _aside("Give me a word that means the same as happy.", "joyful", "glad", "cheerful", "content"),
            Turn("I prefer trains to planes."),
            Turn("Our hotel in Bergen has the booking number KX-4471."),
            _aside("What is 7 plus 5?", "12", "twelve"),
            _asked("How much money do we have for the trip?", "2400", "2,400"),
            _asked("Who is travelling with me?", "tom"),
            _next("Is he my brother or my uncle?", "brother"),
            Turn("We had to raise the budget: it is 3100 euros now."),
            _asked("What is the booking number of the hotel?", "kx-4471"),
            _asked("Do I like planes or trains better?", "trains", "train"),
            _changed("What is our budget now?", "3100", "3,100"),
            _asked("In which month do we travel?", "october"),
            _untold("What is the number of my passport?"),
        ),
    ),
    Talk(
        "",
        (
            Turn("My daughter Lily turns 9 on Saturday and loves dinosaurs."),
            Turn("She goes to Oak Hill School."),
            _aside("What colour is the sky on a clear day?", "blue"),
            _aside("Name an ocean.", "pacific", "atlantic", "indian", "arctic"),
            Turn("We want to celebrate in the garden of my mother Ruth."),
            Turn("Fourteen children are coming."),
            _aside("What is the opposite of hot?", "cold", "cool"),
            _asked("How old will my daughter be?", "9", "nine"),
            _asked("Which animals does my daughter love?", "dinosaurs", "dinosaur"),
            _asked("How many children come to the party?", "fourteen", "14"),
            _aside("How many legs does a spider have?", "8", "eight"),
            Turn("It will rain, so we celebrate at the museum instead."),
            _asked("What is the name of my mother?", "ruth"),
            _changed("Where do we celebrate now?", "museum"),
            _asked("Which school does Lily go to?", "oak hill"),
            _untold("What is the name of my son?"),
        ),
    ),
    Talk(
        "Du bist ein freundlicher Assistent. Antworte in einem kurzen Satz.",
        (
            Turn("Ich heiße Jonas und wohne in Bremen."),
            _aside("Was ist die Hauptstadt von Frankreich?", "paris"),
            _next("Und von Spanien?", "madrid"),
            Turn("Mein Hund heißt Balu."),
            Turn("Ich esse am liebsten Linsensuppe."),
            _aside("Wie viele Monate hat ein Jahr?", "12", "zwölf"),
            Turn("Ich bin umgezogen und wohne jetzt in Kassel."),
            _asked("Wie heiße ich?", "jonas"),
            _asked("Wie heißt mein Hund?", "balu"),
            _changed("Wo wohne ich jetzt?", "kassel"),
            _asked("Was esse ich am liebsten?", "linsensuppe"),
            _untold("Wie heißt meine Schwester?"),
        ),
    ),
)

UNSEEN = (
    Talk(
        _SHORT,
        (
            Turn("Good evening, I'm Henrik, I'm calling from Malmö."),
            _aside("What is the capital of Portugal?", "lisbon"),
            _next("And of Greece?", "athens"),
            Turn("I play the cello in an orchestra."),
            Turn("My flat has the number 27, on the third floor."),
            _aside("Name an animal that lives in the sea.", "whale", "shark", "dolphin", "fish", "octopus"),
            Turn("Rehearsals are on Tuesdays."),
            _aside("Which planet is called the red planet?", "mars"),
            Turn("They have moved the rehearsals: they are on Thursdays from now on."),
            _asked("Which instrument do I play?", "cello"),
            _asked("What's my name again?", "henrik"),
            _aside("How many hours does a day have?", "24", "twenty-four"),
            _asked("What is the number of my flat?", "27"),
            _changed("On which day are the rehearsals now?", "thursdays", "thursday"),
            _asked("From which city am I calling?", "malmö"),
            _untold("What is the name of my wife?"),
        ),
    ),
    Talk(
        _PLAIN,
        (
            Turn("Our company Brightleaf makes paper cups, we are 85 people."),
            _aside("What is 9 times 3?", "27", "twenty-seven"),
            Turn("The office is in Utrecht, close to the station."),
            Turn("My manager is Samira. She wants the report by 16 May."),
            _aside("Which language is spoken in Brazil?", "portuguese"),
            Turn("I like short reports best, with tables."),
            _aside(
                "Name a metal.",
                "iron",
                "gold",
                "silver",
                "copper",
                "steel",
                "aluminum",
                "zinc",
                "tin",
                "lead",
            ),
            _asked("What does our company make?", "cups", "cup"),
            _asked("Who is my manager?", "samira"),
            _next("When does she want the report?", "16 may", "may 16", "16th"),
            Turn("The deadline has moved to 2 June."),
            _asked("How many people work at our company?", "85"),
            _changed("What is the deadline of the report now?", "2 june", "june 2", "2nd"),
            _asked("In which city is our office?", "utrecht"),
            _asked("What kind of reports do I like?", "short"),
            _untold("What is my salary?"),
        ),
    ),
    Talk(
        "",
        (
            Turn("I bought a red bicycle yesterday, for 320 pounds."),
            Turn("I named it Comet."),
            _aside("What do bees make?", "honey"),
            Turn("My neighbour Olga repairs bicycles."),
            _aside("Name a season of the year.", "spring", "summer", "autumn", "fall", "winter"),
            Turn("I ride to the library every morning, 11 kilometres."),
            _aside("What is the largest ocean?", "pacific"),
            _asked("What did I pay for my bicycle?", "320"),
            _asked("How did I name my bicycle?", "comet"),
            _aside("What is frozen water called?", "ice"),
            _asked("Who repairs bicycles?", "olga"),
            Turn("I have painted the bicycle: it is black now."),
            _asked("Where do I ride every morning?", "library"),
            _changed("Which colour does my bicycle have now?", "black"),
            _asked("How far do I ride?", "11", "eleven"),
            _untold("What is my favourite film?"),
        ),
    ),
    Talk(
        "Eres un asistente amable. Responde con una frase corta.",
        (
            Turn("Me llamo Lucía y soy arquitecta."),
            _aside("¿Cuál es la capital de Alemania?", "berlín", "berlin"),
            _next("¿Y de Italia?", "roma"),
            Turn("Tengo dos hermanos, Pablo y Andrés."),
            Turn("Mi coche es un Seat verde."),
            _aside("¿Cuántos minutos tiene una hora?", "60", "sesenta"),
            Turn("He vendido el Seat: ahora tengo un Volvo."),
            _asked("¿Cómo me llamo?", "lucía", "lucia"),
            _asked("¿En qué trabajo?", "arquitecta", "arquitecto"),
            _changed("¿Qué coche tengo ahora?", "volvo"),
            _asked("¿Cómo se llaman mis hermanos?", "pablo"),
            _untold("¿Cómo se llama mi madre?"),
        ),
    ),
    Talk(
        _ABOUT_YOU,
        (
            Turn("I come from Ghent."),
            Turn("My name is Idris."),
            Turn("My motorbike is called Dusty."),
            Turn("My lucky number is 44."),
            Turn("My uncle works as a baker."),
            Turn("I have changed my lucky number: it is 61 now."),
            _aside("Name a river.", "nile", "amazon", "thames", "danube", "rhine", "mississippi", "yangtze"),
            _aside("What is the opposite of big?", "small", "little"),
            _aside("Name a musical instrument.", "guitar", "piano", "violin", "flute", "drum", "drums"),
            _asked("What is my motorbike called?", "dusty"),
            _asked("What is my name?", "idris"),
            _changed("What is my lucky number now?", "61"),
            _asked("What does my uncle work as?", "baker"),
            _asked("Where do I come from?", "ghent"),
            _untold("What is my favourite song?"),
        ),
    ),
    Talk(
        _ABOUT_YOU,
        (
            Turn("I have a parrot called Kiwi."),
            Turn("I drink green tea."),
            Turn("My birthday is on the 3rd of March."),
            Turn("My best friend is called Noor."),
            Turn("My desk is made of oak."),
            _aside(
                "Name a country in Africa.", "kenya", "nigeria", "egypt", "ghana", "ethiopia", "south africa"
            ),
            _aside("What is 6 plus 8?", "14", "fourteen"),
            Turn("I have stopped drinking tea: I drink coffee now."),
            _aside("Name a vegetable.", "carrot", "potato", "tomato", "broccoli", "spinach", "onion"),
            _asked("When is my birthday?", "march"),
            _asked("What is my parrot called?", "kiwi"),
            _changed("What do I drink now?", "coffee"),
            _asked("Who is my best friend?", "noor"),
            _asked("What is my desk made of?", "oak"),
            _untold("What is my shoe size?"),
        ),
    ),
)
