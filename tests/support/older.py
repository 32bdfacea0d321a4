"""Rows of an older schema, in words that both databases know."""

_IN_THREAD = "id, project, created_at, thread_id"
_RUN = (
    f"{_IN_THREAD}, assistant_id, expires_at, config, status, usage, turns, metadata, "
    "epoch, version, position, starts, held"
)
_OF_RUN = "'p', 1, 'busy', 'a', 9000, '{}', '%s', '{}', 0, '{}', 0, 0, 2, 0, %s"
_MESSAGE = f"{_IN_THREAD}, role, content, status, attachments, metadata, held"

BUSY_THREAD = [
    *(
        "INSERT INTO threads (id, project, created_at, metadata, tool_resources, tokens_used, message_count) "
        f"VALUES ('{id}', 'p', 1, '{{}}', '{{}}', 0, {count})"
        for id, count in (("idle", 0), ("busy", 1))
    ),
    f"INSERT INTO runs ({_RUN}) VALUES ('run_over', {_OF_RUN % ('completed', 'NULL')})",
    f"INSERT INTO runs ({_RUN}) VALUES ('run_live', {_OF_RUN % ('requires_action', 'NULL')})",
    f"INSERT INTO runs ({_RUN}) VALUES ('run_held', {_OF_RUN % ('queued', '2')})",
    f"INSERT INTO messages ({_MESSAGE}) "
    "VALUES ('msg_held', 'p', 1, 'busy', 'user', '[]', 'completed', '[]', '{}', 1)",
]
"""An idle thread, and one with a live run in whose line a message and a run wait; schema 0003."""

LOCKS = [("busy", "run_live", 2), ("idle", None, 0)]
"""What the threads' rows then say of their locks."""
