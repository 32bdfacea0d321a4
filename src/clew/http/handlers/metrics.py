"""Metrics: /metrics/summary. Clew's own."""

from clew.http.answers import Json
from clew.http.call import LATEST, Call, whole_number
from clew.service import metrics
from clew.wire.metrics import MetricsObject
from clew.wire.metrics import metrics as shown

_DAY = 24 * 3600


async def summary(call: Call[None]) -> Json[MetricsObject]:
    """Count the project's runs that ended within a time, by default the last 24 hours."""
    now = call.services.process.clock.now() // 1000
    until = whole_number(call.query.get("until") or str(now), "until", least=0, most=LATEST)
    since = whole_number(call.query.get("since") or str(max(0, until - _DAY)), "since", least=0, most=LATEST)
    counted = await metrics.summary(call.services, call.project, since, until)
    return Json(shown(counted, since, until))
