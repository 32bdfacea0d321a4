"""Agents: /assistants."""

from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from clew.core.options import Json
from clew.core.records import Agent
from clew.core.tools import MOST_TOOLS, Tool
from clew.http.call import Call, page_request
from clew.http.once import once
from clew.ids import AGENT
from clew.store import agents
from clew.store.statement import Transaction
from clew.tools.toolbox import NotSwitchedOn, Toolbox, TooManyFunctions
from clew.wire import objects
from clew.wire.bodies import agent_fields
from clew.wire.errors import invalid, not_found
from clew.wire.objects import AgentObject, Deleted, ListObject
from clew.wire.requests import CreateAgent, UpdateAgent


def check_tools(toolbox: Toolbox, tools: Sequence[Tool]) -> None:
    """Refuse tools that this server could run and is not set to, and more functions than a model takes."""
    try:
        toolbox.check(tools)
    except NotSwitchedOn as off:
        raise invalid(
            f"Invalid tool value(s): {off.kind}. This server runs it only if CLEW_SERVER_TOOLS names it.",
            param="tools",
            code="unsupported_tool",
        ) from None
    except TooManyFunctions as many:
        message = (
            f"Invalid 'tools': they offer {many.count} functions together, and at most {MOST_TOOLS} may be."
        )
        raise invalid(message, param="tools", code="array_above_max_length") from None


async def create(call: Call[CreateAgent]) -> AgentObject:
    """Create an agent."""
    check_tools(call.services.toolbox, call.body.tools or ())
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
    check_tools(call.services.toolbox, call.body.tools or ())
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
