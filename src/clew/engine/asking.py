"""Asks a model for one turn: again while that may help, shorter if it was too long, another if it is away.

Everything that follows before the model's first word is nobody's loss but time: so it is asked again over a
span of seconds, in place at first; then the run is parked, and holds no place.
"""

import asyncio
import logging
from hashlib import sha256
from typing import Protocol

import anyio

from clew.clock import Clock
from clew.core.code import Inside
from clew.core.decisions import CallModel
from clew.core.events import Event, ModelAway, ModelFailed, ModelReplied, ModelStopped, PromptTooLong
from clew.core.records import Failure, Message, Run, Step
from clew.core.tools import CODE_INTERPRETER
from clew.engine import prompt
from clew.engine.histories import Histories
from clew.engine.images import Images
from clew.engine.prompt import Prompt
from clew.engine.recorder import TurnRecorder
from clew.model.catalogue import Choice, Models
from clew.model.chat import ChatRequest, ContextExceeded, ModelError
from clew.store import code, messages, steps
from clew.store.database import Database
from clew.store.statement import Transaction
from clew.tools.toolbox import Toolbox

IN_PLACE = 5_000
"""Milliseconds for which a turn is asked again by a worker that waits; then the run is parked."""

_UNREACHED_IN_PLACE = 500
_LEAST_PARKED = 1_000
"""Milliseconds for which it is worth to park a run."""

_REST = 0.06
"""Seconds between two looks at what an answer says, while the process is busy with words: nobody sees it."""

_FIRST_DELAY = 250
_LONGEST_DELAY = 30_000
_MOST_CUTS = 3
"""Times that one turn's prompt is cut because the model has refused its length."""

_log = logging.getLogger(__name__)


class Interruptible(Protocol):
    """What says that somebody wants attention."""

    interrupted: bool


class Asking:
    """Asks the models of a process."""

    def __init__(
        self, db: Database, *, models: Models, toolbox: Toolbox, clock: Clock, images: Images | None = None
    ) -> None:
        self._db, self._models, self._toolbox, self._clock = db, models, toolbox, clock
        self._images = images
        self._histories = Histories(db)

    async def turn(self, run: Run, call: CallModel, recorder: TurnRecorder, work: Interruptible) -> Event:
        """Ask for a run's next turn. Whatever happens becomes an event."""
        choices = self._models.chain(run.config.model)
        if not choices:
            known = ", ".join(self._models.names)
            message = f"There is no model {run.config.model!r} any more. There are: {known}."
            return ModelFailed(recorder.turn(), Failure("server_error", message))
        one = _Turn(self, run, call, recorder, work)
        try:
            return await one.ask(choices)
        except prompt.DoesNotFit:
            return PromptTooLong()
        except ModelError as error:
            _log.warning("run %s: the model failed: %s", run.id, error)
            return ModelFailed(recorder.turn(), Failure(error.code, error.message))
        except Exception:
            _log.exception("run %s: the model call broke", run.id)
            message = "The server could not make sense of the model. Its log says more."
            return ModelFailed(recorder.turn(), Failure("server_error", message))

    async def prompt(self, run: Run, call: CallModel, choice: Choice) -> prompt.Prompt:
        """Return what a model is asked for a run's next turn."""
        history = await self._histories.before(run.thread_id, run.id, prompt.history_limit(run))
        own_steps, own_messages = await self._db.read(_own_turns, run.id) if run.turns else ([], [])
        offered = self._toolbox.definitions(run.config) if run.config.offers else ()
        context = choice.entry.back_end.context_tokens(choice.model)
        to = prompt.Addressee(choice.endpoint, choice.model, context)
        inside = await self._inside(run)
        return prompt.build(run, to, history, own_steps, own_messages, call, offered, inside)

    async def _inside(self, run: Run) -> list[Inside] | None:
        """Return the files that a run's code finds; None if it can run none."""
        if all(offer.kind != CODE_INTERPRETER for offer in run.config.offers.values()):
            return None
        resources = run.config.tool_resources.code_interpreter
        given = list((resources and resources.file_ids) or ())
        return await self._db.read(code.inside, run.project, run.thread_id, given)

    async def sent(self, asked: Prompt, project: str, choice: Choice) -> ChatRequest:
        """Return a request as it is sent: with its images.

        Raises:
            ModelError: the model can't see any.
        """
        if self._images is None or not asked.images:
            return asked.request
        sight = choice.entry.back_end.images
        if sight == "noted":
            return asked.request
        if sight == "refused":
            message = f"The model {choice.model!r} can't see images, and the thread shows some."
            raise ModelError("invalid_prompt", message, asked=False)
        return await self._images.shown(asked.request, project)

    async def sleep(self, ms: int) -> None:
        """Wait before the model is asked again."""
        await self._clock.sleep(ms)

    def now(self) -> int:
        """Return the time."""
        return self._clock.now()


class _Turn:
    """One turn being asked for."""

    def __init__(
        self,
        asking: Asking,
        run: Run,
        call: CallModel,
        recorder: TurnRecorder,
        work: Interruptible,
    ) -> None:
        self._asking, self._run, self._call = asking, run, call
        self._recorder, self._work = recorder, work
        self._began = asking.now()
        self._since = run.retrying_since or self._began
        self._attempts = 0

    async def ask(self, choices: list[Choice]) -> Event:
        """Ask the first choice; the others as long as it does not answer.

        As long as one of them may answer later, all are asked again: one that never will harms no other.

        Raises:
            DoesNotFit, ModelError: nobody answers.
        """
        span = choices[0].entry.retry_for
        while True:
            troubles: list[ModelError] = []
            for choice in choices:
                try:
                    return await self._attempt(choice)
                except ModelError as error:
                    if self._recorder.begun:
                        raise
                    troubles.append(error.with_traceback(None))  # its frames, this one too, have the prompt
                    self._note(choice, error)
                except prompt.DoesNotFit:
                    if choice is choices[-1] and not troubles:
                        raise
            passing = [each for each in troubles if each.again]
            if not passing:
                raise troubles[-1]
            asked_for = min((each.delay for each in passing if each.delay is not None), default=None)
            event = await self._wait(passing[-1], asked_for, span)
            if event is not None:
                return event

    async def _attempt(self, choice: Choice) -> Event:
        """Ask once, and shorter if that was too long."""
        recorder, work = self._recorder, self._work
        for left in range(_MOST_CUTS, -1, -1):
            asked = await self._asking.prompt(self._run, self._call, choice)
            recorder.asked(asked, choice.entry.prices)
            request = await self._asking.sent(asked, self._run.project, choice)
            stream = choice.entry.back_end.stream(request)
            try:
                async for chunks in stream:
                    if work.interrupted:
                        return ModelStopped(recorder.turn())
                    recorder.add(chunks)
                    if recorder.must_wait:
                        await recorder.let_through()
                    elif recorder.may_rest:
                        await asyncio.sleep(_REST)
                return ModelReplied(recorder.turn())
            except ContextExceeded as exceeded:
                if not left or not asked.shown:
                    raise
                _log.info("run %s: the prompt was too long for %s: %s", self._run.id, choice.model, exceeded)
            finally:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
        raise AssertionError

    def _note(self, choice: Choice, error: ModelError) -> None:
        self._attempts += 1
        key = f"{self._run.id}/{self._run.turns + 1}"
        level = logging.WARNING if error.asked else logging.DEBUG
        _log.log(
            level, "model call %s: attempt %d at %s failed: %s", key, self._attempts, choice.endpoint, error
        )

    async def _wait(self, error: ModelError, asked_for: int | None, span: int) -> Event | None:
        """Wait until the model is to be asked again; return what becomes of the run if not here.

        Raises:
            ModelError: there is no time left to ask again.
        """
        now = self._asking.now()
        ends = min(self._since + span, self._run.expires_at)
        delay = self._delay(now, asked_for)
        if now >= ends:
            raise error
        wakes = min(now + delay, ends)
        in_place = _UNREACHED_IN_PLACE if error.unreachable else IN_PLACE
        too_late = wakes >= self._run.expires_at
        if too_late or wakes - self._began > in_place or self._run.retrying_since is not None:
            exact = asked_for is not None and asked_for >= _LEAST_PARKED and not error.unreachable
            parked = wakes if exact else max(wakes, min(ends, now + self._pause(now)))
            _log.info("run %s: parked for %d ms: %s", self._run.id, parked - now, error)
            return ModelAway(parked, self._since)
        await self._asking.sleep(wakes - now)
        return None

    def _delay(self, now: int, asked_for: int | None) -> int:
        """Return how long to wait: as asked for, but never again and again at once."""
        if asked_for is not None and self._attempts == 1:
            return asked_for
        own = int(min(_FIRST_DELAY << min(self._attempts - 1, 7), _LONGEST_DELAY) * self._jitter(now))
        return max(own, asked_for or 0)

    def _pause(self, now: int) -> int:
        """Return how long a run is parked: the longer, the longer it has waited, so that many cost little."""
        waited = now - self._since
        return int(min(max(waited, IN_PLACE), _LONGEST_DELAY) * self._jitter(now))

    def _jitter(self, now: int) -> float:
        """Return a factor between 0.5 and 1.5, another for each run and each time."""
        digest = sha256(f"{self._run.id}/{self._run.turns}/{now}/{self._attempts}".encode()).digest()
        return 0.5 + digest[0] / 255


async def _own_turns(tx: Transaction, run_id: str) -> tuple[list[Step], list[Message]]:
    """Return a run's own steps and messages so far."""
    return await steps.of_run(tx, run_id), await messages.of_run(tx, run_id)
