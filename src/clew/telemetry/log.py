"""The log: how runs end that don't complete, which calls of models fail, which webhooks don't hear.

Nothing else imports this; :mod:`clew.engine.assemble` puts it among a process's hooks.
"""

import logging

from clew.hooks import DeliveryTried, ModelCalled, Record, RunChanged

_log = logging.getLogger("clew")

_TROUBLE = frozenset(("failed", "expired", "incomplete"))


class LogHook:
    """Writes a line for what an operator should know of."""

    wants: frozenset[type[Record]] = frozenset((RunChanged, ModelCalled, DeliveryTried))

    def hear(self, record: Record) -> None:
        """Write a line, if the record is worth one."""
        match record:
            case RunChanged(status=status) if status in _TROUBLE:
                _log.warning(
                    "run %s of thread %s %s: %s: %s",
                    *(record.run_id, record.thread_id, status, record.code, record.message or "-"),
                )
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
