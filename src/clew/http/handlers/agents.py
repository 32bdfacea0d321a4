"""Agents: /assistants."""

from clew.http.answers import Json
from clew.http.call import Call, page_request
from clew.http.idempotency import key_of
from clew.service import agents
from clew.wire import objects
from clew.wire.bodies import agent_fields
from clew.wire.objects import AgentObject, Deleted, ListObject
from clew.wire.requests import CreateAgent, UpdateAgent


async def create(call: Call[CreateAgent]) -> Json[AgentObject]:
    """Create an agent."""
    fields = agent_fields(call.body)
    return Json(objects.agent(await agents.create(call.services, call.project, fields, key_of(call))))


async def get(call: Call[None]) -> Json[AgentObject]:
    """Read an agent."""
    return Json(objects.agent(await agents.read(call.services, call.project, call.path["assistant_id"])))


async def update(call: Call[UpdateAgent]) -> Json[AgentObject]:
    """Change the fields of an agent that the body gives; lists and objects as a whole."""
    agent_id, fields = call.path["assistant_id"], agent_fields(call.body)
    return Json(objects.agent(await agents.update(call.services, call.project, agent_id, fields)))


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete an agent. Its runs and messages stay readable."""
    agent_id = call.path["assistant_id"]
    await agents.delete(call.services, call.project, agent_id)
    return Json(Deleted(agent_id, "assistant.deleted"))


async def list_(call: Call[None]) -> Json[ListObject[AgentObject]]:
    """List the project's agents."""
    page = await agents.page(call.services, call.project, page_request(call))
    return Json(objects.listed([objects.agent(each) for each in page.items], page.has_more))
