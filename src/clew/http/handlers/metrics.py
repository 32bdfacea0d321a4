"""Metrics: /metrics/summary. Clew's own."""

from clew.http.call import LATEST, Call, whole_number
from clew.store.metrics import summary as count
from clew.wire.metrics import MetricsObject, metrics

_DAY = 24 * 3600


async def summary(call: Call[None]) -> MetricsObject:
    """Count the project's runs that ended within a time, by default the last 24 hours."""
    now = call.now // 1000
    until = whole_number(call.query.get("until") or str(now), "until", least=0, most=LATEST)
    since = whole_number(call.query.get("since") or str(max(0, until - _DAY)), "since", least=0, most=LATEST)
    last = until * 1000 + 999
    counted = await call.services.db.scan(count, call.project, since * 1000, last)
    return metrics(counted, since, until)
