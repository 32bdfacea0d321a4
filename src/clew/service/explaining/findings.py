"""From what is known of a run to what is to be said of it. Pure."""

from collections.abc import Iterator

from clew.service.explaining import ended, live, shown
from clew.service.explaining.facts import Explanation, Facts, Finding, several
from clew.service.explaining.times import slow, spells


def explained(facts: Facts) -> Explanation:
    """Return what is to be known of a run, what matters most first, and where its time went."""
    spent = spells(facts)
    found = list(_findings(facts))
    if (why := slow(facts, spent)) is not None:
        found.insert(1, why)
    return Explanation(found, max(0, facts.until - facts.run.created_at), spent)


def _findings(facts: Facts) -> Iterator[Finding]:
    yield from live.findings(facts) if facts.run.status.live else ended.findings(facts)
    if facts.takeovers:
        yield Finding(
            "taken_over",
            f"Its work was taken over {several(len(facts.takeovers), 'time')}, because a worker had died, "
            "had been stopped or had given it up; the turn under way was made again.",
            "The servers' logs say what became of the workers.",
        )
    yield from shown.findings(facts)
