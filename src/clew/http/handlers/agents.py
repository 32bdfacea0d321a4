"""Agents: /assistants."""

from functools import partial

from msgspec.structs import replace

from clew.core.records import Agent, Json
from clew.http.call import Call, page_request
from clew.http.once import once
from clew.ids import AGENT
from clew.store import agents
from clew.store.statement import Transaction
from clew.wire import objects
from clew.wire.bodies import agent_fields
from clew.wire.errors import not_found
from clew.wire.objects import AgentObject, Deleted, ListObject
from clew.wire.requests import CreateAgent, UpdateAgent


async def create(call: Call[CreateAgent]) -> AgentObject:
    """Create an agent."""
    agent = Agent(
        id=call.services.ids.new(AGENT), project=call.project, created_at=call.now, **agent_fields(call.body)
    )
    done = await once(call, partial(agents.add, agent=agent), lambda _: objects.agent(agent), AgentObject)
    return done.receipt


async def get(call: Call[None]) -> AgentObject:
    """Read an agent."""
    agent_id = call.path["assistant_id"]
    agent = await call.services.db.fetch(agents.get, call.project, agent_id)
    if agent is None:
        raise not_found("assistant", agent_id)
    return objects.agent(agent)


async def update(call: Call[UpdateAgent]) -> AgentObject:
    """Change the fields of an agent that the body gives; lists and objects as a whole."""
    agent_id, fields = call.path["assistant_id"], agent_fields(call.body)
    return objects.agent(await call.services.db.write(_update, call.project, agent_id, fields))


async def _update(tx: Transaction, project: str, agent_id: str, fields: Json) -> Agent:
    await agents.hold(tx, project, agent_id)
    agent = await agents.get(tx, project, agent_id)
    if agent is None:
        raise not_found("assistant", agent_id)
    changed = replace(agent, **fields)
    await agents.save(tx, changed)
    return changed


async def delete(call: Call[None]) -> Deleted:
    """Delete an agent. Its runs and messages stay readable."""
    agent_id = call.path["assistant_id"]
    if not await call.services.db.write(agents.remove, call.project, agent_id):
        raise not_found("assistant", agent_id)
    return Deleted(agent_id, "assistant.deleted")


async def list_(call: Call[None]) -> ListObject[AgentObject]:
    """List the project's agents."""
    page = await call.services.db.fetch(agents.page, call.project, page_request(call))
    return objects.listed([objects.agent(each) for each in page.items], page.has_more)
