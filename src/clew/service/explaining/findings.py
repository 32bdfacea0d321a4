"""From what is known of a run to what is to be said of it. Pure."""

from collections.abc import Iterator

from msgspec.structs import replace

from clew.core.records import Run
from clew.core.states import RunStatus
from clew.service.explaining import ended, live, shown
from clew.service.explaining.situation import Explanation, Finding, Situation, several
from clew.service.explaining.times import slow, spells


def explained(situation: Situation) -> Explanation:
    """Return what is to be known of a run, what matters most first, and where its time went."""
    spent = spells(situation)
    found = list(_findings(situation))
    if (why := slow(situation, spent)) is not None:
        found.insert(1, why)
    found = [_named(finding, situation.run) for finding in found]
    return Explanation(found, max(0, situation.until - situation.run.created_at), spent)


def _findings(situation: Situation) -> Iterator[Finding]:
    yield from live.findings(situation) if situation.run.status.live else ended.findings(situation)
    if taken := _taken_over(situation):
        yield Finding(
            "taken_over",
            f"Its work was taken over {several(taken, 'time')}, because a worker had "
            "died, had been stopped or had given it up; the turn under way was made again.",
            "The servers' logs say what became of the workers.",
        )
    yield from shown.findings(situation)


def _taken_over(situation: Situation) -> int:
    """Return how often a run changed hands; that a parked one is claimed to be cancelled is no such thing."""
    cancelled = situation.run.status in (RunStatus.CANCELLING, RunStatus.CANCELLED)
    return sum(not cancelled or each.former is not None for each in situation.takeovers)


def _named(finding: Finding, run: Run) -> Finding:
    """Return a finding whose advice names the run, its thread and its agent, so that it can be copied."""
    if finding.advice is None:
        return finding
    names = (("<run>", run.id), ("<thread>", run.thread_id), ("<agent>", run.assistant_id or "AGENT"))
    advice = finding.advice
    for place, name in names:
        advice = advice.replace(place, name)
    return replace(finding, advice=advice)
