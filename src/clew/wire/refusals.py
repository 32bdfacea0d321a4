"""What is said of a refusal: core's errors in the words, codes and statuses that clients match on.

Source: OpenAI's API, whose sentences its users' programs search for ids and statuses.
"""

from collections.abc import Callable
from typing import Any

from clew.core import errors
from clew.wire.errors import ApiError, changed, invalid, not_found

_NAMES: dict[errors.Kind, str] = {
    "agent": "assistant",
    "thread": "thread",
    "message": "message",
    "run": "run",
    "step": "run step",
    "webhook": "webhook",
    "file": "file",
    "vector_store": "vector store",
    "store_file": "file",
    "file_batch": "file batch",
}


def refusal(error: errors.Refused) -> ApiError:
    """Return a refusal as clients are told of it."""
    return _WORDS[type(error)](error)


def _not_found(error: errors.NotFound) -> ApiError:
    if error.kind == "file":
        return ApiError(404, f"No such File object: {error.id}", param=error.where or "id")
    refused = not_found(_NAMES[error.kind], error.id)
    if error.where is None:
        return refused
    return ApiError(404, refused.body.message, param=error.where)


def _thread_busy(error: errors.ThreadBusy) -> ApiError:
    if error.wanted == "run":
        return invalid(f"Thread {error.thread_id} already has an active run {error.run_id}.")
    return invalid(f"Can't add messages to {error.thread_id} while a run {error.run_id} is active.")


def _thread_changed(error: errors.ThreadChanged) -> ApiError:
    return changed(f"Thread '{error.thread_id}' has changed since {error.since}.")


def _thread_full(error: errors.ThreadFull) -> ApiError:
    return invalid(f"A thread holds at most {error.limit} messages.", code="message_limit_exceeded")


def _thread_budget_spent(error: errors.ThreadBudgetSpent) -> ApiError:
    return invalid(
        f"Thread {error.thread_id} has used up its token budget. "
        "Raise 'token_budget' by updating the thread.",
        code="token_budget_exceeded",
    )


def _project_budget_spent(error: errors.ProjectBudgetSpent) -> ApiError:
    return ApiError(
        429,
        f"The project has used up its budget of {error.budget} tokens for today. "
        "It begins anew at 00:00 UTC.",
        type="insufficient_quota",
        code="insufficient_quota",
        headers={"x-should-retry": "false"},
    )


def _unknown_tool_choice(error: errors.UnknownToolChoice) -> ApiError:
    return invalid(
        f"Invalid 'tool_choice': there is no function '{error.name}' among the tools.",
        param="tool_choice",
        code="invalid_value",
    )


def _model_not_found(error: errors.ModelNotFound) -> ApiError:
    return invalid(
        f"The requested model '{error.name}' does not exist. There are: {', '.join(error.known)}.",
        param="model",
        code="model_not_found",
    )


def _outputs_not_accepted(error: errors.OutputsNotAccepted) -> ApiError:
    return invalid(f'Runs in status "{error.status}" do not accept tool outputs.')


def _outputs_mismatch(error: errors.OutputsMismatch) -> ApiError:
    return invalid(f"Expected tool outputs for call_ids {list(error.expected)}, got {list(error.got)}")


def _approvals_mismatch(error: errors.ApprovalsMismatch) -> ApiError:
    return invalid(f"Expected tool approvals for call_ids {list(error.expected)}, got {list(error.got)}")


def _tool_not_switched_on(error: errors.ToolNotSwitchedOn) -> ApiError:
    return invalid(
        f"Invalid tool value(s): {error.kind}. This server runs it only if CLEW_SERVER_TOOLS names it.",
        param="tools",
        code="unsupported_tool",
    )


def _too_many_functions(error: errors.TooManyFunctions) -> ApiError:
    return invalid(
        f"Invalid 'tools': they offer {error.count} functions together, at most {error.limit} may be.",
        param="tools",
        code="array_above_max_length",
    )


def _not_cancellable(error: errors.NotCancellable) -> ApiError:
    return invalid(f"Cannot cancel run with status '{error.status}'.")


def _key_reused(error: errors.KeyReused) -> ApiError:
    return invalid(
        f"The idempotency key '{error.key}' was used for another request. Use a new key for each.",
        code="idempotency_key_reused",
    )


def _url_refused(error: errors.UrlRefused) -> ApiError:
    return invalid(f"Invalid 'url': {error.reason}.", param="url", code="invalid_value")


def _webhook_limit(error: errors.WebhookLimit) -> ApiError:
    return invalid(f"A project has at most {error.limit} webhooks. Delete one first.")


def _file_too_large(error: errors.FileTooLarge) -> ApiError:
    return ApiError(
        413,
        f"The file is too large: at most {error.limit:,} bytes may be uploaded.",
        param="file",
        code="file_size_exceeded",
    )


def _file_empty(_: errors.FileEmpty) -> ApiError:
    return invalid("The file is empty.", param="file", code="invalid_value")


def _files_full(error: errors.FilesFull) -> ApiError:
    return invalid(
        f"The project's files may have {error.limit:,} bytes together, and this one is too much. "
        "Delete some first.",
        param="file",
        code="file_quota_exceeded",
    )


def _content_gone(error: errors.ContentGone) -> ApiError:
    return ApiError(500, f"The content of {error.file_id} is missing on the server.", type="server_error")


def _store_full(error: errors.StoreFull) -> ApiError:
    return invalid(f"A vector store holds at most {error.limit:,} files.", code="file_limit_exceeded")


def _store_expired(error: errors.StoreExpired) -> ApiError:
    return invalid(f"Vector store {error.store_id} is expired.", code="vector_store_expired")


def _not_searchable(error: errors.NotSearchable) -> ApiError:
    return ApiError(503, error.reason, type="server_error", headers={"retry-after": "5"})


def _batch_not_cancellable(error: errors.BatchNotCancellable) -> ApiError:
    return invalid(f"Cannot cancel file batch with status '{error.status}'.")


_WORDS: dict[type[errors.Refused], Callable[[Any], ApiError]] = {
    errors.NotFound: _not_found,
    errors.ThreadBusy: _thread_busy,
    errors.ThreadChanged: _thread_changed,
    errors.ThreadFull: _thread_full,
    errors.ThreadBudgetSpent: _thread_budget_spent,
    errors.ProjectBudgetSpent: _project_budget_spent,
    errors.UnknownToolChoice: _unknown_tool_choice,
    errors.ModelNotFound: _model_not_found,
    errors.OutputsNotAccepted: _outputs_not_accepted,
    errors.OutputsMismatch: _outputs_mismatch,
    errors.ApprovalsMismatch: _approvals_mismatch,
    errors.ToolNotSwitchedOn: _tool_not_switched_on,
    errors.TooManyFunctions: _too_many_functions,
    errors.NotCancellable: _not_cancellable,
    errors.KeyReused: _key_reused,
    errors.UrlRefused: _url_refused,
    errors.WebhookLimit: _webhook_limit,
    errors.FileTooLarge: _file_too_large,
    errors.FileEmpty: _file_empty,
    errors.FilesFull: _files_full,
    errors.ContentGone: _content_gone,
    errors.StoreFull: _store_full,
    errors.StoreExpired: _store_expired,
    errors.NotSearchable: _not_searchable,
    errors.BatchNotCancellable: _batch_not_cancellable,
}
