"""The log: how runs end, which calls of models fail, which webhooks don't hear.

Nothing else imports this; :mod:`clew.engine.assemble` puts it among a process's hooks.
"""

import logging

from clew.hooks import DeliveryTried, ModelCalled, Record, RunChanged

_log = logging.getLogger("clew")

_TROUBLE = frozenset(("failed", "expired", "incomplete"))
_ENDS = frozenset(("completed", "cancelled")) | _TROUBLE


class LogHook:
    """Writes a line for what an operator should know of."""

    wants: frozenset[type[Record]] = frozenset((RunChanged, ModelCalled, DeliveryTried))

    def hear(self, record: Record) -> None:
        """Write a line, if the record is worth one."""
        match record:
            case RunChanged(status=status) if status in _ENDS:
                _log_end(record)
            case ModelCalled(code=code) if code is not None:
                _log.warning(
                    "run %s, turn %d: the model %s failed after %d ms: %s: %s",
                    *(record.run_id, record.turn, record.model, record.ms, code, record.message),
                )
            case DeliveryTried(problem=problem) if problem is not None:
                level = logging.INFO if record.outcome == "will be told again" else logging.WARNING
                _log.log(
                    level,
                    "webhook %s, %s of %s, attempt %d: %s %s",
                    *(record.webhook_id, record.event, record.run_id, record.attempts, problem),
                    record.outcome,
                )


def _log_end(run: RunChanged) -> None:
    """Write the line that every run leaves: how it ended, why, and what it took."""
    level = logging.WARNING if run.status in _TROUBLE else logging.INFO
    if not _log.isEnabledFor(level):
        return
    fields = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "agent_id": run.agent_id,
        "project": run.project,
        "model": run.model,
        "status": run.status,
        "code": run.code,
        "tokens": run.tokens,
        "ms": run.total_ms,
        "attempts": run.attempts,
    }
    why = f": {run.code}: {run.message or '-'}" if run.status in _TROUBLE else ""
    said = "run %s of thread %s %s%s"
    _log.log(level, said, run.run_id, run.thread_id, run.status, why, extra={"fields": fields})
