"""What a failed run's ``last_error`` means, and what to do about it. Pure.

The words before the provider's own are Clew's: statuses and the shape of each sentence are those of
:mod:`clew.model` and :mod:`clew.engine`. The first row that matches counts. A test makes each of them happen.
"""

import re
from typing import NamedTuple

from clew.core.records import Failure
from clew.service.explaining.situation import Finding


class _Row(NamedTuple):
    code: str
    words: re.Pattern[str]
    says: str
    advice: str


def _row(code: str, words: str, says: str, advice: str) -> _Row:
    return _Row(code, re.compile(words, re.IGNORECASE), says, advice)


_LATER = "A later run may go through. CLEW_MODEL_RETRY_FOR says how long a run waits for its model."
_KEY = (
    "Set the right one where the server is started: CLEW_MODEL_API_KEY, or key, key_file or key_command of "
    "the model in clew.toml. `clew models try` says whether the endpoint takes it."
)

_ROWS = (
    _row(
        "tools_not_run",
        r"^this server does not run these tools",
        "The agent has tools of kinds that this server does not run.",
        "Take them out of the agent's tools, or declare them as functions that your program answers.",
    ),
    _row(
        "attempts",
        r"^the server gave up after \d+ attempts",
        "Its workers died or broke off again and again while they worked on it.",
        "Look for the run's id in the server's log: what broke them stands there. Then start a new run.",
    ),
    _row(
        "too_many_turns",
        r"^the run stopped after \d+ calls of the model",
        "The model called tools again and again and never came to an answer.",
        "Look at its steps (`clew steps list <run>`): tell the agent when to stop, or make what the tools "
        "answer clearer.",
    ),
    _row(
        "functions_not_offered",
        r"^the model called only functions that it was not offered",
        "The model made up names of functions.",
        "Look at its steps (`clew steps list <run>`) for the names. A stronger model, fewer tools, or "
        "instructions that name the tools help.",
    ),
    _row(
        "model_gone",
        r"^there is no model .{1,300} any more",
        "The run's model was taken out of the server's settings after the run began.",
        "Update the agent to one of the models that there are (`clew agents update <agent> --model NAME`).",
    ),
    _row(
        "not_stored",
        r"^the server could not (store the answer|make sense of the model|send)",
        "Something in the server itself went wrong.",
        "Look for the run's id in the server's log. If it is a fault of Clew's, please report it.",
    ),
    _row(
        "key_unavailable",
        r"^the (file|program) (with|for) the model's key",
        "The server could not get at the key of the model's endpoint.",
        "Mend key_file or key_command of the model in clew.toml; nothing need be started anew.",
    ),
    _row(
        "certificate",
        r"^the model endpoint's certificate",
        "The server does not trust the certificate of the model's endpoint.",
        "Name the authority's file in SSL_CERT_FILE or REQUESTS_CA_BUNDLE where the server is started.",
    ),
    _row(
        "proxy",
        r"^the proxy in https?_proxy",
        "The proxy on the way to the model's endpoint did not connect to it.",
        "Look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY where the server is started.",
    ),
    _row(
        "model_unreachable",
        r"^the connection to the model broke: it could not be reached",
        "Nobody answers at the address of the model's endpoint, though it was tried again for a while.",
        "Is the endpoint running, and is its URL right (CLEW_MODEL_URL, or url of the model in clew.toml)? "
        "`clew models try` and `clew doctor` ask it. " + _LATER,
    ),
    _row(
        "model_silent",
        r"^the model said nothing for",
        "The model's endpoint took the request and then said nothing.",
        "A model that thinks long needs a greater CLEW_MODEL_TIMEOUT (or timeout in clew.toml); one that is "
        "overloaded needs rest.",
    ),
    _row(
        "wrong_url",
        r"it redirects to|with a web page|does not speak chat completions|what it answered is no http",
        "What answers at the model's URL is no chat-completions endpoint.",
        "Set CLEW_MODEL_URL (or url of the model in clew.toml) to the endpoint's root, which mostly ends "
        "in /v1. `clew models try` says what it finds there.",
    ),
    _row(
        "content_filter",
        r"content.?(filter|management policy)|responsible.?ai",
        "The provider's content filter refused what it was asked.",
        "Change what is said in the thread or in the instructions, or the filter's settings at the provider.",
    ),
    _row(
        "context_exceeded",
        r"^the prompt is too long|the embedded model takes \d+",
        "The conversation is longer than the model can read, and cutting it did not help.",
        "Shorten the newest message or the instructions, start a new thread, or use a model with a longer "
        "context.",
    ),
    _row(
        "quota",
        r"insufficient.?quota|exceeded your current quota|billing|out of credits?|payment required|answered "
        r"402",
        "The provider's quota or credit is used up.",
        "Look at plan and billing at the provider; waiting alone does not help.",
    ),
    _row(
        "rate_limited",
        r"answered 429|rate.?limit|too many requests|throttl",
        "The model's endpoint was asked too often, and still was after the server had waited and asked "
        "again.",
        "Start fewer runs at once, raise CLEW_MODEL_RETRY_FOR so that runs wait longer, or give the model a "
        "fallback in clew.toml.",
    ),
    _row(
        "key_refused",
        r"answered 40[13]\b|invalid.?api.?key|incorrect api key",
        "The model's endpoint does not take the server's key, or the key may not use this model.",
        _KEY,
    ),
    _row(
        "model_unknown",
        r"answered 404\b|model.{0,80}(not found|does not exist|not exist|unknown)|unknown model",
        "The model's endpoint does not know the model, or has nothing at that URL.",
        "Compare the run's model with the names that the endpoint has, then update the agent "
        "(`clew agents update <agent> --model NAME`), or set CLEW_MODEL_NAME.",
    ),
    _row(
        "broke_off",
        r"in the middle of its answer|broke off|hung up|ended its answer before|empty answer|can ?not be "
        r"read",
        "The model's endpoint broke off in the middle, or what it sent makes no sense.",
        "What it had said by then is in the thread, as an incomplete message. Run it again; if that goes on, "
        "look at the endpoint's own log.",
    ),
    _row(
        "endpoint_error",
        r"answered 5\d\d\b",
        "The model's endpoint had an error of its own, and still had it when it was asked again.",
        "Look at the endpoint's log or its provider's status page. " + _LATER,
    ),
    _row(
        "embedded_model",
        r"embedded model|weights",
        "The embedded model could not answer.",
        "`clew doctor` says what this machine lacks; the server's log says more.",
    ),
)  # fmt: skip

_BY_CODE = {
    "rate_limit_exceeded": "rate_limited",
    "invalid_prompt": "request_refused",
}

_REFUSED = Finding(
    "request_refused",
    "The model's endpoint refused the request as wrong.",
    "What it says names the field, mostly: an option of the agent or a tool's parameters that this model "
    "does not take. `clew models try` finds out what it takes.",
)
_OTHER = Finding(
    "server_error",
    "The model failed in a way that is not known here.",
    "Look for the run's id in the server's log, then run it again.",
)


def failure(error: Failure) -> Finding:
    """Return what a run's error means."""
    row = next((row for row in _ROWS if row.words.search(error.message)), None)
    if row is None:
        named = _BY_CODE.get(error.code)
        row = next((row for row in _ROWS if row.code == named), None)
    if row is None:
        return _REFUSED if error.code == "invalid_prompt" else _OTHER
    return Finding(row.code, row.says, row.advice)
