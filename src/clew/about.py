"""What the code that runs now is at work on: a request or a run, by its id. Lines of the log name it.

Set once where a request comes in and once where a run is taken up; tasks inherit it.
"""

from contextvars import ContextVar

ABOUT: ContextVar[str] = ContextVar("clew.about", default="")
"""The id of the request or the run; empty where there is none."""
