"""Projects and their limits."""

from msgspec import Struct

_DAY = 24 * 3600 * 1000


class ProjectLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a project may take; None is no limit of its own.

    Attributes:
        runs: runs at work at once; more wait, first come, first served.
        streams: streams open at once on one server.
        long_polls: long-polls that are held at once on one server; more are answered at once.
        tokens_a_day: tokens that its runs may use on one day (UTC).
        file_bytes: bytes of all its files together.
        keep_days: days after which a thread in which nothing happens is deleted.
    """

    runs: int | None = None
    streams: int | None = None
    long_polls: int | None = None
    tokens_a_day: int | None = None
    file_bytes: int | None = None
    keep_days: int | None = None


NO_LIMITS = ProjectLimits()


def idle_before(keep_days: int, now: int) -> int:
    """Return the moment before which threads that are kept for so many days are idle for too long (ms)."""
    return now - keep_days * _DAY


class Project(Struct, frozen=True, kw_only=True):
    """A tenant that has a row. One without is as good, and has no limits of its own. Milliseconds."""

    name: str
    created_at: int
    limits: ProjectLimits = NO_LIMITS
