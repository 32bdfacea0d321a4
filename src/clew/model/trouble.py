"""What an endpoint says when it does not answer, in whatever shape, as ``last_error`` says it. Pure."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from clew.core.records import ErrorCode
from clew.model.chat import ModelError
from clew.model.frames import decoded

LONGEST_WORDS = 2_000
"""Characters of a provider's words that are looked at."""

_DEEPEST = 8
_MOST_SAID = 32
"""Words, codes and fields of one problem that are looked at, of each so many."""

_MOST_FIELDS = 64
_LONGEST_NESTED = 64 * 1024
"""Characters of a text that is looked at for being JSON itself."""

_SAYS = (
    "message", "Message", "error", "errors", "detail", "details", "msg", "error_description", "description",
    "error_message", "errorMessage", "reason", "title", "raw", "metadata", "cause",
)  # fmt: skip
"""Fields in which words are looked for, in this order."""

_MARKS = ("code", "type", "status", "status_code", "statusCode", "__type", "errorCode")
_FIELDS = ("param", "loc", "field", "path", "location")

_LIMITED = re.compile(
    "rate.?limit|too.?many.?requests|quota|throttl|resource.?exhausted|overloaded_requests|\\b429\\b", re.I
)
_RETRIED = frozenset((408, 409, 425, 429))
"""Statuses below 500 that the same request may not get again."""

_NOT_AGAIN = re.compile(
    "invalid|auth|permission|forbidden|not.?found|unsupported|bad.?request|content.?filter", re.I
)


class Problem(NamedTuple):
    """What an endpoint says is wrong.

    ``marks`` are its codes and types, ``fields`` the names of what it complains of, where it gives them
    apart from the words.
    """

    words: str = ""
    status: int | None = None
    marks: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @property
    def limited(self) -> bool:
        """Whether it says that it was asked for too much."""
        return self.status == 429 or any(_LIMITED.search(said) for said in (*self.marks, self.words))

    @property
    def again(self) -> bool:
        """Whether the same request may be answered later."""
        if self.status is not None:
            return self.status >= 500 or self.status in _RETRIED
        return not any(_NOT_AGAIN.search(mark) for mark in self.marks)


def problem_of(said: Any, status: int | None = None) -> Problem:
    """Return what an error object, a string, a list or a whole body says."""
    words = list(dict.fromkeys(islice(_words(said, 0), _MOST_SAID)))
    marks = tuple(dict.fromkeys(islice(_found(said, _MARKS, 0), _MOST_SAID)))
    if status is None or status < 300:
        status = next((int(mark) for mark in marks if mark.isdecimal() and 300 <= int(mark) < 600), None)
    fields = tuple(dict.fromkeys(islice(_found(said, _FIELDS, 0), _MOST_SAID)))
    return Problem(": ".join(words)[:LONGEST_WORDS] or ", ".join(marks), status, marks, fields)


def _words(said: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    match said:
        case str() if said[:_LONGEST_NESTED].strip():
            yield from _of_text(said[:_LONGEST_NESTED].strip(), depth)
        case list():
            for each in said[:16]:
                yield from _words(each, depth + 1)
        case dict():
            before = _place(said)
            for name in _SAYS:
                for words in _words(said.get(name), depth + 1):
                    yield f"{before}: {words}" if before and name == "msg" else words


def _of_text(text: str, depth: int) -> Iterator[str]:
    """Yield words of text, which may be JSON in a string."""
    if text.startswith(("{", "[")):
        try:
            yield from _words(decoded(text.encode()), depth + 1)
            return
        except ValueError:
            pass
    yield " ".join(text[:LONGEST_WORDS].split())


def _place(said: dict[str, Any]) -> str:
    place = said.get("loc")
    if not isinstance(place, list):
        return ""
    return ".".join(str(each)[:100] for each in place[:8] if isinstance(each, str | int))


def _found(said: Any, names: Iterable[str], depth: int) -> Iterator[str]:
    """Yield what stands in fields of these names, at any depth."""
    if depth > _DEEPEST:
        return
    if isinstance(said, str) and len(said) <= _LONGEST_NESTED and said.lstrip().startswith("{"):
        try:
            said = decoded(said.encode())
        except ValueError:
            return
    if isinstance(said, list):
        for each in said[:16]:
            yield from _found(each, names, depth + 1)
    if isinstance(said, dict):
        for name in names:
            value = said.get(name)
            for each in value[:8] if isinstance(value, list) else [value]:
                if isinstance(each, str | int) and not isinstance(each, bool):
                    yield str(each)[:100]
        for value in islice(said.values(), _MOST_FIELDS):
            if isinstance(value, dict | list | str):
                yield from _found(value, names, depth + 1)


class Reported(ModelError):
    """The endpoint itself says what is wrong."""

    def __init__(self, code: ErrorCode, message: str, problem: Problem, delay: int | None) -> None:
        super().__init__(code, message, again=problem.again, delay=delay)
        self.problem = problem


def model_error(problem: Problem, message: str, *, delay: int | None = None) -> Reported:
    """Return the failure that a problem is, with the provider's words behind a message of ours."""
    code: ErrorCode = "server_error"
    if problem.limited:
        code = "rate_limit_exceeded"
    elif problem.status in (400, 413, 422):
        code = "invalid_prompt"
    said = f"{message}: {problem.words}" if problem.words else f"{message}."
    return Reported(code, said, problem, delay)


# --- how much is shown --------------------------------------------------------------------------------

_SHORTEST_SECRET = 8
_ADDRESS = re.compile(
    r"""\b[a-z][a-z0-9+.-]{0,30}://\S+          # a URL
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b      # IPv4
    | \[[0-9a-f:.]{2,60}\](?::\d+)?             # IPv6
    | \b[a-z][a-z0-9.-]{0,250}:\d{4,5}\b        # a host's port
    | \blocalhost\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_KEY = re.compile(r"\b(?!CLEW_[A-Z_]+\b)(?i:sk|pk|key|clew|api)[-_][A-Za-z0-9_\-*]{8,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """Take keys and addresses out of what a provider said: a run's error is shown to users.

    A secret shorter than eight characters is a dummy, and may be part of any word: it is left.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[key]")
    return _CONTROL.sub(" ", _KEY.sub("[key]", _ADDRESS.sub("[address]", text)))


# --- too long for the model's context ---------------------------------------------------------------

_TOO_LONG = re.compile(
    r"""context.{0,20}(?:length|window|size|limit) | maximum\ context | context_length
    | (?:prompt|input)\ (?:is\ )?too\ long | too\ many\ (?:input\ |prompt\ )?tokens
    | (?:prompt|input|request|messages?|conversation)\b
      .{0,60}\b(?:exceed(?:s|ed|ing)?|longer\ than|too\ (?:long|large))\b
      .{0,60}\b(?:tokens?|context|limit|maximum|length|size)
    | reduce\ (?:the|your)\ (?:length|prompt|input) | exceed_context | n_ctx | num_ctx | max_model_len
    | model_max_length | tokens?\b.{0,40}\b(?:exceeds?|limit|maximum)
    | larger\ than\ the\ (?:maximum|context) | maximum\ (?:prompt|input|sequence)\ length
    | (?:prompt|inputs?|sequence|current)\W{0,2}\ (?:token\ )?(?:length|size)\b
      .{0,60}\b(?:should|must|limit|exceed\w*|too|longer|only|maximum)\b
    | inputs?\W{0,2}\ (?:tokens?\b.{0,40}\bmust\b | must\b.{0,30}\btokens?\b)
    | (?<!max_)\b\d[\d,_]*\ tokens?\b[^.]{0,40}
      \b(?:only|more\ than|allowed|too\ (?:many|long|large|big)|capacity)\b
    | at\ most\ [\d,_]+\ (?:input\ |prompt\ )?tokens?\b | shorten\ (?:the|your)\b
    | 上下文.{0,8}(?:长度|窗口|限制|超) | (?:输入|提示词?|prompt|tokens?|请求).{0,12}(?:过长|超长|超过|超出)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER = re.compile(r"(?<![\w.])\d[\d,_]{2,11}(?![\w.]\d)")
_LIMIT = re.compile(
    r"""(?: context(?:[ _][a-z]+){0,3} | maximum(?:\ [a-z]+){0,5} | max[a-z_]* | limit(?:ed)?(?:\ [a-z]+){0,4}
    | at\ most | up\ to | [<>]=? | n_ctx | allowed | supports?(?:\ [a-z]+){0,4} | (?:no\ more|less)\ than )
    [^0-9]{0,12}? (?<![0-9]) ([0-9][0-9,_]{2,11})""",
    re.IGNORECASE | re.VERBOSE,
)
_GIVEN = re.compile(
    r"""\b(\d[\d,_]{0,11})\ (?:tokens?\ )?(?:in|from|of)\ (?:the|your)\ (?:messages?|prompt|input)\b
    | \b(\d[\d,_]{0,11})\ (?:input|prompt)\ tokens?\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ABOVE = re.compile(r"\d\s*>\s*([0-9][0-9,_]{2,11})")
_LIMIT_BEHIND = re.compile(r"(\d[\d,_]{2,11})(?: tokens?)?[ -](?:maximum|max\b|limit|context)", re.IGNORECASE)


class TooMany(NamedTuple):
    """A refusal for length: the tokens that the context holds, and those of the prompt, where it says so.

    A prompt of fewer than the context holds leaves too few for the answer.
    """

    limit: int | None
    given: int | None


def too_many(problem: Problem) -> TooMany | None:
    """Return what a refusal for the length of the prompt says; None if it is no such refusal."""
    if problem.status not in (None, 400, 413, 422, 500):
        return None
    said = " ".join((problem.words, *problem.marks))
    if not _TOO_LONG.search(said):
        return None
    words = problem.words.replace(f"<{problem.status}>", "")
    prompt = [_int(found) for both in _GIVEN.findall(words) for found in both if found]
    numbers = [_int(found) for found in _NUMBER.findall(words)]
    named = [_int(found) for each in (_ABOVE, _LIMIT, _LIMIT_BEHIND) for found in each.findall(words)]
    if not named and not numbers:
        return TooMany(None, None)
    limit = named[0] if named else min(numbers)
    larger = [number for number in numbers if number > limit]
    if not named and not larger:
        return TooMany(None, None) if len(numbers) > 1 else TooMany(limit, None)
    given = [number for number in prompt if number != limit] or larger
    return TooMany(limit, given[0] if given else None)


def _int(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))
