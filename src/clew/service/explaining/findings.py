"""From what is known of a run to what is to be said of it. Pure."""

from collections.abc import Iterator

from clew.service.explaining import ended, live, shown
from clew.service.explaining.situation import Explanation, Finding, Situation, several
from clew.service.explaining.times import slow, spells


def explained(situation: Situation) -> Explanation:
    """Return what is to be known of a run, what matters most first, and where its time went."""
    spent = spells(situation)
    found = list(_findings(situation))
    if (why := slow(situation, spent)) is not None:
        found.insert(1, why)
    return Explanation(found, max(0, situation.until - situation.run.created_at), spent)


def _findings(situation: Situation) -> Iterator[Finding]:
    yield from live.findings(situation) if situation.run.status.live else ended.findings(situation)
    if situation.takeovers:
        yield Finding(
            "taken_over",
            f"Its work was taken over {several(len(situation.takeovers), 'time')}, because a worker had "
            "died, had been stopped or had given it up; the turn under way was made again.",
            "The servers' logs say what became of the workers.",
        )
    yield from shown.findings(situation)
