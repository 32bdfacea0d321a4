"""How a command fails: exit codes, and the exception that carries one."""

import click

FAILED, USAGE, NOT_FOUND, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 130


class Problem(click.ClickException):
    """Something the user can do something about: one line on stderr and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def of(cls, error: Exception) -> "Problem":
        """Return what a store, a bus or a download says, as a time-out where it is due to one."""
        return cls(str(error), TIMED_OUT if isinstance(error.__cause__, TimeoutError) else FAILED)
