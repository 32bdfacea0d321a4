"""Metrics: counts of what has ended."""

from clew.service.context import Services
from clew.store.metrics import Summary
from clew.store.metrics import summary as count


async def summary(services: Services, project: str, since: int, until: int) -> Summary:
    """Count a project's runs that ended from ``since`` to the end of ``until``, seconds since the epoch."""
    return await services.db.scan(count, project, since * 1000, until * 1000 + 999)
