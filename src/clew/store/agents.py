"""Agents in the store."""

from sqlalchemy import delete, insert, select, update

from clew.core.records import Agent
from clew.store import pages
from clew.store.pages import Page, PageRequest
from clew.store.statement import Mapper, Statement, Transaction, param
from clew.store.tables import agents

AGENT = Mapper(agents, Agent)
_ONE = (agents.c.id == param("id"), agents.c.project == param("project"))

INSERT_AGENT = Statement(insert(agents), columns=AGENT.names)
HOLD_AGENT = Statement(select(agents.c.seq).where(*_ONE).with_for_update(key_share=True))
SELECT_AGENT = Statement(select(*AGENT.columns).where(*_ONE))
UPDATE_AGENT = Statement(
    update(agents)
    .where(agents.c.id == param("agent_id"), agents.c.project == param("agent_project"))
    .values({name: param(name) for name in AGENT.names if name not in ("id", "project", "created_at")})
)
DELETE_AGENT = Statement(delete(agents).where(*_ONE))


async def add(tx: Transaction, agent: Agent) -> None:
    """Store a new agent."""
    await tx.run(INSERT_AGENT, AGENT.params(agent))


async def get(tx: Transaction, project: str, agent_id: str) -> Agent | None:
    """Return an agent of the project, or None."""
    row = await tx.one(SELECT_AGENT, {"id": agent_id, "project": project})
    return None if row is None else AGENT.read(row)


async def hold(tx: Transaction, project: str, agent_id: str) -> None:
    """Keep everybody else from changing the agent until the transaction ends."""
    await tx.hold(HOLD_AGENT, {"id": agent_id, "project": project})


async def save(tx: Transaction, agent: Agent) -> None:
    """Store an agent that has changed."""
    keys = {"agent_id": agent.id, "agent_project": agent.project}
    await tx.run(UPDATE_AGENT, {**AGENT.params(agent), **keys})


async def remove(tx: Transaction, project: str, agent_id: str) -> bool:
    """Delete an agent; its runs and messages stay. Return whether there was one."""
    return await tx.run(DELETE_AGENT, {"id": agent_id, "project": project}) > 0


async def page(tx: Transaction, project: str, wanted: PageRequest) -> Page:
    """Return one page of the project's agents."""
    return await pages.page(tx, AGENT, wanted, project=project)
