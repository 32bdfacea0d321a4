"""Core's errors in the words of the wire."""

from collections.abc import Iterator

import pytest

from clew.core import errors
from clew.core.states import RunStatus
from clew.wire.refusals import refusal

EXAMPLES: list[tuple[errors.Refused, int, str | None, str]] = [
    (errors.NotFound("agent", "x"), 404, None, "No assistant found with id 'x'."),
    (errors.NotFound("step", "x"), 404, None, "No run step found with id 'x'."),
    (errors.ThreadBusy("t", "r", "run"), 400, None, "Thread t already has an active run r."),
    (
        errors.ThreadBusy("t", "r", "message"),
        400,
        None,
        "Can't add messages to t while a run r is active.",
    ),
    (errors.ThreadChanged("t", 7), 412, "precondition_failed", "Thread 't' has changed since 7."),
    (errors.ThreadFull(9), 400, "message_limit_exceeded", "A thread holds at most 9 messages."),
    (
        errors.ThreadBudgetSpent("t"),
        400,
        "token_budget_exceeded",
        "Thread t has used up its token budget. Raise 'token_budget' by updating the thread.",
    ),
    (
        errors.ProjectBudgetSpent(9),
        429,
        "insufficient_quota",
        "The project has used up its budget of 9 tokens for today. It begins anew at 00:00 UTC.",
    ),
    (
        errors.UnknownToolChoice("f"),
        400,
        "invalid_value",
        "Invalid 'tool_choice': there is no function 'f' among the tools.",
    ),
    (
        errors.ModelNotFound("gpt-9", ("large", "small")),
        400,
        "model_not_found",
        "The requested model 'gpt-9' does not exist. There are: large, small.",
    ),
    (
        errors.OutputsNotAccepted(RunStatus.QUEUED),
        400,
        None,
        'Runs in status "queued" do not accept tool outputs.',
    ),
    (
        errors.OutputsMismatch(["a"], ("b",)),
        400,
        None,
        "Expected tool outputs for call_ids ['a'], got ['b']",
    ),
    (
        errors.ApprovalsMismatch(["a"], ()),
        400,
        None,
        "Expected tool approvals for call_ids ['a'], got []",
    ),
    (
        errors.ToolNotSwitchedOn("clew_clock"),
        400,
        "unsupported_tool",
        "Invalid tool value(s): clew_clock. This server runs it only if CLEW_SERVER_TOOLS names it.",
    ),
    (
        errors.TooManyFunctions(129, 128),
        400,
        "array_above_max_length",
        "Invalid 'tools': they offer 129 functions together, at most 128 may be.",
    ),
    (
        errors.NotCancellable(RunStatus.COMPLETED),
        400,
        None,
        "Cannot cancel run with status 'completed'.",
    ),
    (
        errors.KeyReused("k"),
        400,
        "idempotency_key_reused",
        "The idempotency key 'k' was used for another request. Use a new key for each.",
    ),
    (errors.UrlRefused("it is not a URL"), 400, "invalid_value", "Invalid 'url': it is not a URL."),
    (
        errors.FileTooLarge(9_000),
        413,
        "file_size_exceeded",
        "The file is too large: at most 9,000 bytes may be uploaded.",
    ),
    (errors.FileEmpty(), 400, "invalid_value", "The file is empty."),
    (
        errors.FilesFull(9_000),
        400,
        "file_quota_exceeded",
        "The project's files may have 9,000 bytes together, and this one is too much. Delete some first.",
    ),
    (errors.ContentGone("file-1"), 500, None, "The content of file-1 is missing on the server."),
    (errors.StoreFull(9_000), 400, "file_limit_exceeded", "A vector store holds at most 9,000 files."),
    (errors.StoreExpired("vs_1"), 400, "vector_store_expired", "Vector store vs_1 is expired."),
    (errors.NotSearchable("Not now."), 503, None, "Not now."),
    (
        errors.BatchNotCancellable("completed"),
        400,
        None,
        "Cannot cancel file batch with status 'completed'.",
    ),
    (errors.WebhookLimit(9), 400, None, "A project has at most 9 webhooks. Delete one first."),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "message"), EXAMPLES, ids=[type(each[0]).__name__ for each in EXAMPLES]
)
def test_an_error_has_its_words(error: errors.Refused, status: int, code: str | None, message: str) -> None:
    said = refusal(error)
    assert (said.status, said.body.code, said.body.message) == (status, code, message)


def _leaves(kind: type[errors.Refused]) -> Iterator[type[errors.Refused]]:
    for each in kind.__subclasses__():
        yield from _leaves(each)
    if not kind.__subclasses__():
        yield kind


def test_every_error_has_words() -> None:
    assert set(_leaves(errors.Refused)) == {type(each[0]) for each in EXAMPLES}
