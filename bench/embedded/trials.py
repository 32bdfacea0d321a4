"""Messages to measure the embedded model with: which tools should be called, which facts repeated.

``TUNING`` is what prompts and thresholds were chosen on; ``UNSEEN`` was written before and looked at
only afterwards, so its figures are the ones to believe.
"""

from msgspec import Struct

from clew.core.options import Json


class Trial(Struct, frozen=True):
    """A user message and the calls it should lead to, in any order."""

    said: str
    calls: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Function names, each with texts that its arguments have to contain (case and blanks apart)."""
    kit: str = "everyday"
    """Which of :data:`KITS` is on offer."""
    before: tuple[str, ...] = ()
    """What the user had said earlier."""


class AnswerTrial(Struct, frozen=True):
    """A question with tool outputs, and what an answer has to contain."""

    said: str
    outputs: tuple[tuple[str, str, str], ...]
    """Function name, arguments, output."""
    expected: tuple[str, ...]

    def messages(self) -> list[Json]:
        """The question, the calls and their outputs as chat messages."""
        calls, outputs = [], []
        for number, (name, arguments, output) in enumerate(self.outputs):
            function = {"name": name, "arguments": arguments}
            calls.append({"id": f"call_{number}", "type": "function", "function": function})
            outputs.append({"role": "tool", "tool_call_id": f"call_{number}", "content": output})
        question = {"role": "user", "content": self.said}
        return [question, {"role": "assistant", "content": None, "tool_calls": calls}, *outputs]


def _tool(name: str, description: str, required: int | None = None, **properties: Json | str) -> Json:
    schemas = {
        key: {"type": "string", "description": value} if isinstance(value, str) else value
        for key, value in properties.items()
    }
    parameters = {"type": "object", "properties": schemas, "required": list(schemas)[:required]}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


_UNIT: Json = {"type": "string", "enum": ["celsius", "fahrenheit"]}
_AMOUNT: Json = {"type": "number", "description": "The amount to convert."}

KITS: dict[str, tuple[Json, ...]] = {
    "everyday": (
        _tool("get_weather", "Get the current weather in a city.", 1, city="Name of the city.", unit=_UNIT),
        _tool("calculate", "Evaluate an arithmetic expression.", expression="For example: 12 * (3 + 4)"),
        _tool("get_current_time", "Get the current date and time."),
        _tool("create_reminder", "Create a reminder.", 1, text="What to remind of.", when="Date and time."),
    ),
    "office": (
        _tool("find_order", "Look up the state of an order.", order_id="The order's number."),
        _tool(
            "convert_currency",
            "Convert money.",
            amount=_AMOUNT,
            source="Currency code.",
            target="Currency code.",
        ),
        _tool("send_email", "Send an e-mail.", to="Address.", subject="Subject line.", body="Text."),
        _tool("search_handbook", "Search the employee handbook.", query="What to search for."),
        _tool("book_room", "Book a meeting room.", 1, room="Name of the room.", start="Start time."),
    ),
}


def _weather(city: str) -> tuple[str, tuple[str, ...]]:
    return ("get_weather", (city,))


def _sum(*parts: str) -> tuple[str, tuple[str, ...]]:
    return ("calculate", parts)


_TIME: tuple[str, tuple[str, ...]] = ("get_current_time", ())


def _office(said: str, *calls: tuple[str, tuple[str, ...]]) -> Trial:
    return Trial(said, calls, "office")


TUNING = (
    Trial("What's the weather in Paris?", (_weather("paris"),)),
    Trial("Is it raining in Hamburg right now?", (_weather("hamburg"),)),
    Trial("How warm is it in Cairo, in fahrenheit?", (("get_weather", ("cairo", "fahrenheit")),)),
    Trial("what is 25 * 47", (_sum("25", "47"),)),
    Trial("How much is 1,250 divided by 8?", (_sum("1250", "8"),)),
    Trial("Add 17, 45 and 220.", (_sum("17", "45", "220"),)),
    Trial("What time is it?", (_TIME,)),
    Trial("Which day is it today?", (_TIME,)),
    Trial("Remind me to call the dentist tomorrow at 9.", (("create_reminder", ("dentist",)),)),
    Trial("Please set a reminder to water the plants.", (("create_reminder", ("plants",)),)),
    Trial("What time is it, and what is 25 times 47?", (_TIME, _sum("25", "47"))),
    Trial("Weather in Rome and in Oslo, please.", (_weather("rome"), _weather("oslo"))),
    Trial("What is 12 + 30? And is it cold in Helsinki?", (_sum("12", "30"), _weather("helsinki"))),
    Trial(
        "Compare the weather in Lima, Quito and Bogota.",
        (_weather("lima"), _weather("quito"), _weather("bogota")),
    ),
    Trial("Tell me the time and remind me to buy milk.", (_TIME, ("create_reminder", ("milk",)))),
    Trial("Hello!"),
    Trial("Thanks, that was helpful."),
    Trial("Who wrote Hamlet?"),
    Trial("Explain what a database index is."),
    Trial("Write a haiku about autumn."),
    Trial("What can you do for me?"),
    Trial("My name is Ada and I live in Turin."),
    Trial("Translate 'good morning' into Spanish."),
    _office("Where is my order 88213?", ("find_order", ("88213",))),
    _office("Has order A-440 been shipped yet?", ("find_order", ("a-440",))),
    _office("Convert 250 USD to EUR.", ("convert_currency", ("250", "usd", "eur"))),
    _office("How many Swiss francs (CHF) are 90 GBP?", ("convert_currency", ("90", "gbp", "chf"))),
    _office("How many vacation days do I get according to the handbook?", ("search_handbook", ("vacation",))),
    _office("Book the room Aurora at 14:00.", ("book_room", ("aurora",))),
    _office(
        "Send an email to kim@example.com saying that I'll be late.", ("send_email", ("kim@example.com",))
    ),
    _office("Check orders 17 and 18.", ("find_order", ("17",)), ("find_order", ("18",))),
    _office("Book room Delta and look up order 5.", ("book_room", ("delta",)), ("find_order", ("5",))),
    _office("Good morning, how are you?"),
    _office("What is the capital of Australia?"),
    _office("Give me three tips for better meetings."),
    _office("I don't like long emails."),
    Trial("And in Madrid?", (_weather("madrid"),), before=("What's the weather in Paris?",)),
    Trial(
        "What's the weather where I live?",
        (_weather("turin"),),
        before=("My name is Ada and I live in Turin.",),
    ),
    Trial("What's the weather in Rome?", (_weather("rome"),), before=("Hello!", "Who wrote Hamlet?")),
    Trial("What is my favourite colour?", before=("My favourite colour is teal.",)),
    Trial("And order 88214?", (("find_order", ("88214",)),), "office", ("Where is my order 88213?",)),
    Trial(
        "And to GBP?", (("convert_currency", ("250", "usd", "gbp")),), "office", ("Convert 250 USD to EUR.",)
    ),
)

UNSEEN = (
    Trial("How's the weather in Lisbon today?", (_weather("lisbon"),)),
    Trial("Tell me the temperature in Nairobi in celsius.", (("get_weather", ("nairobi", "celsius")),)),
    Trial("Should I expect snow in Montreal at the moment?", (_weather("montreal"),)),
    Trial("Calculate 99 minus 13.", (_sum("99", "13"),)),
    Trial("What do you get if you multiply 3.5 by 12?", (_sum("3.5", "12"),)),
    Trial("(14 + 6) * 7 = ?", (_sum("14", "6", "7"),)),
    Trial("Can you tell me the current time?", (_TIME,)),
    Trial("What's today's date?", (_TIME,)),
    Trial("Remind me to pay the rent on Friday.", (("create_reminder", ("rent",)),)),
    Trial("Don't let me forget the meeting with Sam: set a reminder.", (("create_reminder", ("sam",)),)),
    Trial("What is 8 * 9, and what is the weather in Kyoto?", (_sum("8", "9"), _weather("kyoto"))),
    Trial("Give me the weather for Berlin and Vienna.", (_weather("berlin"), _weather("vienna"))),
    Trial("What's the date today, and how much is 365 - 42?", (_TIME, _sum("365", "42"))),
    Trial(
        "Is it windy in Dublin? Also remind me to pack an umbrella.",
        (_weather("dublin"), ("create_reminder", ("umbrella",))),
    ),
    Trial("Compute 5 * 6 and 7 * 8.", (_sum("5", "6"), _sum("7", "8"))),
    Trial("Hi there"),
    Trial("What is the tallest mountain in the world?"),
    Trial("Write a short poem about the sea."),
    Trial("What does HTTP stand for?"),
    Trial("I had a really long day."),
    Trial("Give me a recipe for pancakes."),
    Trial("Why is the sky blue?"),
    Trial("Summarise what we talked about."),
    _office("What's the status of order 70055?", ("find_order", ("70055",))),
    _office("I'm waiting for order ZX-9. Where is it?", ("find_order", ("zx-9",))),
    _office("How much is 1000 JPY in USD?", ("convert_currency", ("1000", "jpy", "usd"))),
    _office("Change 45 EUR into SEK please", ("convert_currency", ("45", "eur", "sek"))),
    _office("Look up the parental leave rules in the handbook.", ("search_handbook", ("parental",))),
    _office("Reserve the meeting room Neptune for 10:30.", ("book_room", ("neptune",))),
    _office("Email lee@example.org: the report is ready.", ("send_email", ("lee@example.org",))),
    _office(
        "Convert 10 USD to EUR and 20 GBP to EUR.",
        ("convert_currency", ("10", "usd")),
        ("convert_currency", ("20", "gbp")),
    ),
    _office(
        "Find order 300 and search the handbook for travel costs.",
        ("find_order", ("300",)),
        ("search_handbook", ("travel",)),
    ),
    _office("Who painted the Mona Lisa?"),
    _office("You are very kind, thank you."),
    _office("What makes a good team?"),
    _office("How do I learn Python?"),
    Trial("What about Bergen?", (_weather("bergen"),), before=("How warm is it in Oslo?",)),
    Trial(
        "What's the weather in my city?",
        (_weather("geneva"),),
        before=("I work in Geneva.", "Tell me a joke."),
    ),
    Trial("And 6 * 8?", (_sum("6", "8"),), before=("What is 6 * 7?",)),
    Trial("Which city do I work in?", before=("I work in Geneva.",)),
    Trial("Also order 302, please.", (("find_order", ("302",)),), "office", ("Find order 300.",)),
    Trial(
        "And 20 GBP?", (("convert_currency", ("20", "gbp", "eur")),), "office", ("Convert 10 USD to EUR.",)
    ),
)

ANSWERS = (
    AnswerTrial(
        "What time is it, and what is 25 times 47?",
        (
            ("get_current_time", "{}", '{"time": "14:22", "date": "2025-03-04"}'),
            ("calculate", '{"expression": "25 * 47"}', "1175"),
        ),
        ("14:22", "1175"),
    ),
    AnswerTrial(
        "What's the weather in Paris?",
        (("get_weather", '{"city": "Paris"}', '{"temperature_c": 18, "sky": "cloudy", "wind_kmh": 12}'),),
        ("18", "cloudy"),
    ),
    AnswerTrial(
        "Where is my order 88213?",
        (("find_order", '{"order_id": "88213"}', '{"status": "in transit", "eta": "2025-05-02"}'),),
        ("in transit", "2025-05-02"),
    ),
    AnswerTrial(
        "Compare the weather in Rome and Oslo.",
        (
            ("get_weather", '{"city": "Rome"}', '{"temperature": "24 C"}'),
            ("get_weather", '{"city": "Oslo"}', '{"temperature": "7 C"}'),
        ),
        ("rome", "24", "oslo", "7"),
    ),
    AnswerTrial(
        "How many vacation days do I get?",
        (
            (
                "search_handbook",
                '{"query": "vacation days"}',
                "Full-time employees get 28 days of vacation a year. Part-time: pro rata.",
            ),
        ),
        ("28",),
    ),
    AnswerTrial(
        "Convert 250 USD to EUR.",
        (
            (
                "convert_currency",
                '{"amount": 250, "source": "USD", "target": "EUR"}',
                '{"result": 231.4, "rate": 0.9256}',
            ),
        ),
        ("231.4",),
    ),
    AnswerTrial(
        "Remind me to call the dentist tomorrow at 9.",
        (
            (
                "create_reminder",
                '{"text": "call the dentist", "when": "tomorrow at 9"}',
                '{"ok": true, "id": "r-19"}',
            ),
        ),
        ("dentist",),
    ),
    AnswerTrial(
        "Who is on call this week?",
        (
            (
                "search_handbook",
                '{"query": "on call"}',
                '{"hits": [{"page": 4, "text": "On call this week: Noor Hassan"}]}',
            ),
        ),
        ("noor hassan",),
    ),
    AnswerTrial(
        "Has order A-440 been shipped yet?",
        (("find_order", '{"order_id": "A-440"}', '{"error": "no such order"}'),),
        ("no",),
    ),
    AnswerTrial(
        "What is the population of Peru and its capital?",
        (
            (
                "look_up",
                '{"topic": "Peru"}',
                '{"country": {"name": "Peru", "capital": "Lima", "population": 34352719}}',
            ),
        ),
        ("lima", "34352719"),
    ),
)
