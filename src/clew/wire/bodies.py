"""From what clients send to what is kept. Pure: times and ids come in as parameters."""

from collections.abc import Iterator
from typing import NoReturn

from msgspec.structs import replace

from clew.core.content import Content, ImageUrlContent, ImageUrlValue, text_content
from clew.core.options import Json
from clew.core.records import Agent, Message, RunConfig
from clew.core.tools import ChosenFunction, NamedTool, ToolResources
from clew.wire import requests
from clew.wire.errors import ApiError, invalid
from clew.wire.explain import too_long


def agent_fields(body: requests.CreateAgent | requests.UpdateAgent) -> Json:
    """Return the fields of an agent that a body gives; ``null`` counts as not given."""
    check_resources(body.tool_resources, "tool_resources")
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None}


def new_message(
    body: requests.CreateMessage,
    *,
    id: str,
    project: str,
    thread_id: str,
    now: int,
    path: str,
    longest: int,
) -> Message:
    """Return the message that a body describes.

    ``path`` is where it stands in a larger body; a text may have ``longest`` characters.
    """
    for where, said in _texts(body, path):
        if len(said) > longest:
            raise too_long(where, longest, len(said))
    if isinstance(body.content, str):
        content: list[Content] = [text_content(body.content)]
    else:
        content = [_part(part, f"{path}content[{index}]") for index, part in enumerate(body.content)]
    for index, attachment in enumerate(body.attachments or ()):
        refuse_file(attachment.file_id or "", f"{path}attachments[{index}].file_id")
    return Message(
        id=id,
        project=project,
        thread_id=thread_id,
        created_at=now,
        role=body.role.value,
        content=content,
        completed_at=now,
        metadata=body.metadata or {},
    )


def _texts(body: requests.CreateMessage, path: str) -> Iterator[tuple[str, str]]:
    """Yield a message's texts, each with its path."""
    if isinstance(body.content, str):
        yield f"{path}content", body.content
        return
    for index, part in enumerate(body.content):
        if isinstance(part, requests.TextPart):
            yield f"{path}content[{index}].text", part.text


_OWN = frozenset(RunConfig.__struct_fields__) & frozenset(requests.RunOptions.__struct_fields__)
_OF_AGENT = frozenset(RunConfig.__struct_fields__) & frozenset(Agent.__struct_fields__)


def run_config(agent: Agent, body: requests.RunOptions) -> RunConfig:
    """Return the values in force for a run: its own where given, else its agent's."""
    own = {name: value for name in _OWN if (value := getattr(body, name)) is not None}
    config = RunConfig(**{**{name: getattr(agent, name) for name in _OF_AGENT}, **own})
    if isinstance(body, requests.CreateRun) and body.additional_instructions:
        parts = [part for part in (config.instructions, body.additional_instructions) if part]
        config = replace(config, instructions="\n\n".join(parts))
    if isinstance(body, requests.CreateRun | requests.CreateThreadAndRun) and body.tool_resources is not None:
        check_resources(body.tool_resources, "tool_resources")
        config = replace(config, tool_resources=body.tool_resources)
    _check_choices(config)
    return config


def _check_choices(config: RunConfig) -> None:
    strategy = config.truncation_strategy
    if strategy.type == "last_messages" and strategy.last_messages is None:
        path = "truncation_strategy.last_messages"
        raise invalid(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")
    match config.tool_choice:
        case NamedTool(type="function", function=ChosenFunction(name=name)):
            if name not in config.function_names():
                raise invalid(
                    f"Invalid 'tool_choice': there is no function '{name}' among the tools.",
                    param="tool_choice",
                    code="invalid_value",
                )
        case NamedTool(type="function"):
            path = "tool_choice.function"
            raise invalid(
                f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
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
