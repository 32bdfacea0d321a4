"""From what clients send to what the use cases are asked for. Pure."""

from collections.abc import Iterator, Sequence
from typing import get_args

import msgspec

from clew.core.content import (
    Attachment,
    Content,
    ImageFileContent,
    ImageFileValue,
    ImageUrlContent,
    ImageUrlValue,
    text_content,
)
from clew.core.options import Json, TruncationStrategy
from clew.core.records import RunConfig
from clew.core.tools import NamedTool, ToolChoice, ToolResources
from clew.service.commands import Given, NewMessage, NewThread, NewWebhook, StartRun, Submit
from clew.wire import requests
from clew.wire.dialects import Dialect
from clew.wire.errors import ApiError, invalid
from clew.wire.explain import explain, too_long
from clew.wire.store_requests import CreateVectorStore, new_store, no_sources


def agent_fields(body: requests.CreateAgent | requests.UpdateAgent) -> Json:
    """Return the fields of an agent that a body gives; ``null`` counts as not given."""
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    fields["tool_resources"] = given(body.tool_resources, "tool_resources")
    return {name: value for name, value in fields.items() if value is not None}


def new_thread(body: requests.CreateThread, dialect: Dialect) -> NewThread:
    """Return the thread that a body describes, with its messages."""
    return NewThread(
        metadata=body.metadata or {},
        resources=given(body.tool_resources, "tool_resources") or Given(),
        token_budget=body.token_budget,
        messages=_new_messages(body.messages or (), "messages", dialect),
    )


def thread_fields(body: requests.UpdateThread) -> Json:
    """Return the fields of a thread that a body gives; ``null`` counts as not given."""
    fields = {
        "metadata": body.metadata,
        "tool_resources": given(body.tool_resources, "tool_resources"),
        "token_budget": body.token_budget,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _new_messages(bodies: Sequence[requests.CreateMessage], path: str, dialect: Dialect) -> list[NewMessage]:
    return [new_message(body, dialect, path=f"{path}[{index}].") for index, body in enumerate(bodies)]


def new_message(body: requests.CreateMessage, dialect: Dialect, *, path: str = "") -> NewMessage:
    """Return the message that a body describes; ``path`` is where it stands in a larger body."""
    for where, said in _texts(body, path):
        if len(said) > dialect.message_text:
            raise too_long(where, dialect.message_text, len(said))
    if isinstance(body.content, str):
        content: list[Content] = [text_content(body.content)]
    else:
        content = [_part(part) for part in body.content]
    for index, attachment in enumerate(body.attachments or ()):
        _check_attachment(attachment, f"{path}attachments[{index}]")
    return NewMessage(
        role=body.role.value,
        content=content,
        attachments=list(body.attachments or ()),
        metadata=body.metadata or {},
    )


def _check_attachment(attachment: Attachment, path: str) -> None:
    if attachment.data_source is not None:
        raise no_sources(f"{path}.data_source")
    if not attachment.file_id:
        raise _missing(f"{path}.file_id")


def _texts(body: requests.CreateMessage, path: str) -> Iterator[tuple[str, str]]:
    """Yield a message's texts, each with its path."""
    if isinstance(body.content, str):
        yield f"{path}content", body.content
        return
    for index, part in enumerate(body.content):
        if isinstance(part, requests.TextPart):
            yield f"{path}content[{index}].text", part.text


_RUN_OPTIONS = tuple(
    name for name in requests.RunOptions.__struct_fields__ if name in RunConfig.__struct_fields__
)
"""What a run may be given in the place of its agent's, by the names that requests and configs share."""


def start_run(body: requests.CreateRun, thread_id: str, dialect: Dialect, *, wait: bool) -> StartRun:
    """Return the run on a thread that a body asks for."""
    if body.tool_resources is not None and not dialect.run_resources:
        name = "tool_resources"
        raise invalid(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    return StartRun(
        agent_id=_agent_id(body, dialect),
        thread=thread_id,
        messages=_new_messages(body.additional_messages or (), "additional_messages", dialect),
        options=_run_options(body),
        resources=given(body.tool_resources, "tool_resources"),
        additional_instructions=body.additional_instructions,
        metadata=body.metadata or {},
        expires_in=_milliseconds(body.expires_in),
        wait=wait,
    )


def start_thread_and_run(body: requests.CreateThreadAndRun, dialect: Dialect, *, wait: bool) -> StartRun:
    """Return the run with a thread of its own that a body asks for."""
    return StartRun(
        agent_id=_agent_id(body, dialect),
        thread=new_thread(body.thread or requests.CreateThread(), dialect),
        options=_run_options(body),
        resources=given(body.tool_resources, "tool_resources"),
        metadata=body.metadata or {},
        expires_in=_milliseconds(body.expires_in),
        wait=wait,
    )


def _agent_id(body: requests.RunOptions, dialect: Dialect) -> str:
    if not body.assistant_id.startswith(dialect.agent_prefix):
        raise invalid(
            f"Invalid 'assistant_id': '{body.assistant_id[:64]}'. "
            f"Expected an ID that begins with '{dialect.agent_prefix.rstrip('_')}'.",
            param="assistant_id",
            code="invalid_value",
        )
    return body.assistant_id


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _run_options(body: requests.RunOptions) -> Json:
    """Return the fields of a run's config that a body gives; ``null`` counts as not given."""
    _check_strategy(body.truncation_strategy)
    _check_choice(body.tool_choice)
    return {name: value for name in _RUN_OPTIONS if (value := getattr(body, name)) is not None}


def _check_strategy(strategy: TruncationStrategy | None) -> None:
    if strategy is not None and strategy.type == "last_messages" and strategy.last_messages is None:
        raise _missing("truncation_strategy.last_messages")


def _check_choice(choice: ToolChoice | None) -> None:
    if isinstance(choice, NamedTool) and choice.type == "function" and choice.function is None:
        raise _missing("tool_choice.function")


def _missing(path: str) -> ApiError:
    return invalid(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def submit(body: requests.SubmitToolOutputs) -> Submit:
    """Return the outputs or approvals that a body brings."""
    return Submit(
        outputs=tuple((each.tool_call_id or "", each.output or "") for each in body.tool_outputs or ()),
        approvals=tuple((each.tool_call_id or "", each.approve) for each in body.tool_approvals or ()),
    )


def new_webhook(body: requests.CreateWebhook) -> NewWebhook:
    """Return the webhook that a body describes; without ``events`` it is told all of them."""
    return NewWebhook(
        url=body.url,
        events=list(dict.fromkeys(body.events or get_args(requests.EventName))),
        metadata=body.metadata or {},
    )


def given(resources: ToolResources | None, path: str) -> Given | None:
    """Return resources as the use cases want them: a store that is described apart; None if none are given.

    Raises:
        ApiError: a store is named and another described, or what is described can't be.
    """
    if resources is None:
        return None
    search = resources.file_search
    if search is None or not search.vector_stores:
        return Given(named=resources)
    where = f"{path}.file_search.vector_stores"
    if search.vector_store_ids:
        raise invalid(f"Give '{path}.file_search.vector_store_ids' or '{where}', not both.", param=where)
    try:
        body = msgspec.convert(search.vector_stores[0], CreateVectorStore)
    except msgspec.ValidationError:
        raise _inside(
            explain(CreateVectorStore, msgspec.json.encode(search.vector_stores[0])), where
        ) from None
    named = msgspec.structs.replace(resources, file_search=None)
    return Given(named=named, new_store=new_store(body, f"{where}[0]."))


def _inside(error: ApiError, path: str) -> ApiError:
    said = error.body
    return ApiError(error.status, said.message, param=f"{path}[0].{said.param}", code=said.code)


def _part(part: requests.Part) -> Content:
    match part:
        case requests.TextPart(text=text):
            return text_content(text)
        case requests.ImageUrlPart(image_url=image):
            return ImageUrlContent(ImageUrlValue(image.url, image.detail or "auto"))
    return ImageFileContent(ImageFileValue(part.image_file.file_id, part.image_file.detail or "auto"))
