"""Who watches a process: one file each, which nothing else imports."""

from clew.hooks import Hook, Hooks
from clew.process import Process, system_process


def watched_process(*others: Hook) -> Process:
    """Return the value of a real process, watched by its log, and by others."""
    from clew.telemetry.log import LogHook

    return system_process(Hooks([LogHook(), *others]))
