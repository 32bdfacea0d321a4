"""From what clients send to what the use cases are asked for. Pure."""

from collections.abc import Iterator, Sequence
from typing import NoReturn, get_args

from clew.core.content import Content, ImageUrlContent, ImageUrlValue, text_content
from clew.core.options import Json, TruncationStrategy
from clew.core.records import RunConfig
from clew.core.tools import NamedTool, ToolChoice, ToolResources
from clew.service.commands import NewMessage, NewThread, NewWebhook, StartRun, Submit
from clew.wire import requests
from clew.wire.dialects import Dialect
from clew.wire.errors import ApiError, invalid
from clew.wire.explain import too_long


def agent_fields(body: requests.CreateAgent | requests.UpdateAgent) -> Json:
    """Return the fields of an agent that a body gives; ``null`` counts as not given."""
    check_resources(body.tool_resources, "tool_resources")
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None}


def new_thread(body: requests.CreateThread, dialect: Dialect) -> NewThread:
    """Return the thread that a body describes, with its messages."""
    check_resources(body.tool_resources, "tool_resources")
    return NewThread(
        metadata=body.metadata or {},
        tool_resources=body.tool_resources or ToolResources(),
        token_budget=body.token_budget,
        messages=_new_messages(body.messages or (), "messages", dialect),
    )


def thread_fields(body: requests.UpdateThread) -> Json:
    """Return the fields of a thread that a body gives; ``null`` counts as not given."""
    check_resources(body.tool_resources, "tool_resources")
    given = {
        "metadata": body.metadata,
        "tool_resources": body.tool_resources,
        "token_budget": body.token_budget,
    }
    return {name: value for name, value in given.items() if value is not None}


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
        content = [_part(part, f"{path}content[{index}]") for index, part in enumerate(body.content)]
    for index, attachment in enumerate(body.attachments or ()):
        refuse_file(attachment.file_id or "", f"{path}attachments[{index}].file_id")
    return NewMessage(role=body.role.value, content=content, metadata=body.metadata or {})


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
        options=_run_options(body, body.tool_resources),
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
        options=_run_options(body, body.tool_resources),
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


def _run_options(body: requests.RunOptions, resources: ToolResources | None) -> Json:
    """Return the fields of a run's config that a body gives; ``null`` counts as not given."""
    _check_strategy(body.truncation_strategy)
    _check_choice(body.tool_choice)
    check_resources(resources, "tool_resources")
    given: Json = {name: value for name in _RUN_OPTIONS if (value := getattr(body, name)) is not None}
    if resources is not None:
        given["tool_resources"] = resources
    return given


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


def check_resources(resources: ToolResources | None, path: str) -> None:
    """Refuse files and vector stores: this server keeps none yet, so no id can be right."""
    if resources is None:
        return
    if resources.code_interpreter is not None:
        for file_id in resources.code_interpreter.file_ids or ():
            refuse_file(file_id, f"{path}.code_interpreter.file_ids")
    if resources.file_search is not None:
        for store_id in resources.file_search.vector_store_ids or ():
            where = f"{path}.file_search.vector_store_ids"
            raise ApiError(404, f"No vector store found with id '{store_id}'.", param=where)
        if resources.file_search.vector_stores:
            raise invalid(
                "This server keeps no vector stores yet.",
                param=f"{path}.file_search.vector_stores",
                code="unsupported_tool",
            )


def refuse_file(file_id: str, path: str) -> NoReturn:
    """Refuse a file: this server keeps none yet, so no id can be right."""
    raise ApiError(404, f"No such File object: {file_id}", param=path)


def _part(part: requests.Part, path: str) -> Content:
    match part:
        case requests.TextPart(text=text):
            return text_content(text)
        case requests.ImageUrlPart(image_url=image):
            return ImageUrlContent(ImageUrlValue(image.url, image.detail or "auto"))
    refuse_file(part.image_file.file_id, f"{path}.image_file.file_id")
