"""Agents: created, read, changed, deleted."""

from functools import partial

from msgspec.structs import replace

from clew.core.errors import NotFound
from clew.core.options import Json
from clew.core.records import Agent
from clew.core.tools import ToolResources
from clew.ids import AGENT
from clew.service import models, resources
from clew.service.commands import Given
from clew.service.context import Services
from clew.service.once import Key, once
from clew.service.vector_stores import Making, making
from clew.store import agents
from clew.store.pages import Page, PageRequest
from clew.store.statement import Transaction


async def create(services: Services, project: str, fields: Json, key: Key | None = None) -> Agent:
    """Create an agent with these fields.

    Raises:
        KeyReused: the key was used for another request.
        ModelNotFound: nobody answers to its model's name.
        ToolNotSwitchedOn, TooManyFunctions: its tools can't be used here.
    """
    models.check(services, fields.get("model"))
    services.toolbox.check(fields.get("tools", ()))
    now = services.process.clock.now()
    given = fields.get("tool_resources", Given())
    fields = fields | {"tool_resources": ToolResources()}  # until what is given is found, or made
    agent = Agent(id=services.process.ids.new(AGENT), project=project, created_at=now, **fields)
    make = making(services, now)
    function = partial(_add, agent=agent, given=given, make=make)
    made = (await once(services, project, key, function, lambda stored: stored, Agent)).receipt
    if resources.has_to_read((), given):
        services.wake_ingestion()
    return made


async def _add(tx: Transaction, agent: Agent, given: Given, make: Making) -> Agent:
    if not given.plain:
        settled = await resources.settled(tx, make, agent.project, given)
        agent = replace(agent, tool_resources=settled)
    await agents.add(tx, agent)
    return agent


async def read(services: Services, project: str, agent_id: str) -> Agent:
    """Return an agent.

    Raises:
        NotFound: there is none.
    """
    agent = await services.db.fetch(agents.get, project, agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    return agent


async def update(services: Services, project: str, agent_id: str, fields: Json) -> Agent:
    """Change fields of an agent, lists and objects as a whole; return it as it is now.

    Raises:
        NotFound: there is none.
        ModelNotFound: nobody answers to its model's name.
        ToolNotSwitchedOn, TooManyFunctions: its tools can't be used here.
    """
    models.check(services, fields.get("model"))
    services.toolbox.check(fields.get("tools", ()))
    make = making(services, services.process.clock.now())
    changed = await services.db.write(_update, project, agent_id, fields, make)
    if resources.has_to_read((), fields.get("tool_resources")):
        services.wake_ingestion()
    return changed


async def _update(tx: Transaction, project: str, agent_id: str, fields: Json, make: Making) -> Agent:
    await agents.hold(tx, project, agent_id)
    if (given := fields.get("tool_resources")) is not None:
        fields = fields | {"tool_resources": await resources.settled(tx, make, project, given)}
    agent = await agents.get(tx, project, agent_id)
    if agent is None:
        raise NotFound("agent", agent_id)
    changed = replace(agent, **fields)
    await agents.save(tx, changed)
    return changed


async def delete(services: Services, project: str, agent_id: str) -> None:
    """Delete an agent. Its runs and messages stay readable.

    Raises:
        NotFound: there is none.
    """
    if not await services.db.write(agents.remove, project, agent_id):
        raise NotFound("agent", agent_id)


async def page(services: Services, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's agents."""
    return await services.db.fetch(agents.page, project, wanted)
