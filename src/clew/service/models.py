"""Models: which there are, and what is known of them."""

from typing import NamedTuple

from clew.core.errors import ModelNotFound
from clew.model.catalogue import DEFAULT, ModelEntry
from clew.model.remote import RemoteModel
from clew.service.context import Services

_MOST_LISTED = 1_000


class KnownModel(NamedTuple):
    """One name, and what is known of the model from its owner or its endpoint; None is what nobody knows."""

    name: str
    context_tokens: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    reasoning: bool | None = None


def check(services: Services, name: str | None) -> None:
    """Refuse a model's name that nobody answers to.

    Raises:
        ModelNotFound: it is so.
    """
    if name is not None and not services.models.knows(name):
        raise ModelNotFound(name, services.models.names)


async def every(services: Services) -> list[KnownModel]:
    """Return the models that agents can ask for: those that have a name here, then what the default lists."""
    models = services.models
    found = {name: _known(models.entries.get(name), name) for name in models.names}
    default = models.entries.get(DEFAULT)
    if default is not None and default.name is None and isinstance(default.back_end, RemoteModel):
        for name in (await default.back_end.models())[:_MOST_LISTED]:
            found.setdefault(name, _known(default, name))
    return list(found.values())


async def read(services: Services, name: str) -> KnownModel | None:
    """Return one model; None if no list has it."""
    if name in services.models.names:
        return _known(services.models.entries.get(name), name)
    return next((model for model in await every(services) if model.name == name), None)


def _known(entry: ModelEntry | None, name: str) -> KnownModel:
    if entry is None or not isinstance(entry.back_end, RemoteModel):
        return KnownModel(name)
    endpoint = entry.back_end.endpoint
    context = endpoint.context_tokens or entry.back_end.learned.context_of(entry.name or name)
    return KnownModel(name, context, endpoint.tools, endpoint.vision, endpoint.reasoning)
