"""Where an endpoint's key comes from: the settings, a file, or a program such as Azure's command line."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from clew.clock import Clock
from clew.model.chat import ModelError
from clew.model.endpoint import Endpoint

_TIMEOUT = 10.0
_LONGEST = 64 * 1024
"""Bytes that a program prints at most: what a pipe holds. One that prints more never ends, and is ended."""

_EARLY = 60_000
"""Milliseconds before its end at which a token is asked for anew."""

_TOKEN = ("accessToken", "access_token", "token", "key")
_EXPIRES = ("expires_on", "expiresOn", "expiry", "expiration")
_UNTIL_REFUSED = 2**62


class KeySource:
    """Gives the key of one endpoint, and remembers it for as long as it is good."""

    def __init__(self, endpoint: Endpoint, clock: Clock) -> None:
        self._endpoint, self._clock = endpoint, clock
        self._key = endpoint.key.strip() if endpoint.key else None
        self._good_until = _UNTIL_REFUSED
        self._lock = asyncio.Lock()
        self._changes = endpoint.key_file is not None or endpoint.key_command is not None

    async def key(self) -> str | None:
        """Return the key; None if the endpoint takes none.

        Raises:
            ModelError: it can't be had.
        """
        if not self._changes or (self._key and self._clock.now() < self._good_until):
            return self._key or None
        async with self._lock:
            if not self._key or self._clock.now() >= self._good_until:
                said = await (self._read() if self._endpoint.key_file is not None else self._ask())
                self._key, self._good_until = _token(said)
        return self._key

    def refused(self, key: str | None) -> bool:
        """Forget a key that the endpoint refused; return whether another can be had."""
        if not self._changes:
            return False
        if self._key == key:
            self._key = None
        return True

    async def _read(self) -> str:
        try:
            return await asyncio.to_thread(_read, self._endpoint.key_file or "")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise _unavailable(f"The file with the model's key can't be read: {reason}") from None

    async def _ask(self) -> str:
        program, *arguments = self._endpoint.key_command or [""]
        heard, said = os.pipe()
        try:
            try:
                process = await asyncio.create_subprocess_exec(
                    program,
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=said,
                    stderr=asyncio.subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                reason = error.strerror
                raise _unavailable(f"The program for the model's key can't be run: {reason}") from None
            finally:
                os.close(said)
            code = await _ended(process)
            if code:
                raise _unavailable(f"The program for the model's key ended with code {code}")
            return _waiting(heard).decode("utf-8", "replace").strip()
        finally:
            os.close(heard)


async def _ended(process: asyncio.subprocess.Process) -> int:
    """Return the code with which a program ended; one that takes too long is ended with all that it began."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await process.wait()
    except TimeoutError:
        raise _unavailable(f"The program for the model's key took longer than {_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _waiting(pipe: int) -> bytes:
    """Return what a program that has ended left in a pipe, whoever else may still write to it."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, _LONGEST)
    except BlockingIOError:
        return b""


def _read(path: str) -> str:
    return Path(path).expanduser().read_text(encoding="utf-8").strip()


def _unavailable(message: str) -> ModelError:
    return ModelError("server_error", f"{message}. See key_file and key_command of the model's settings.")


def _token(said: str) -> tuple[str, int]:
    """Return the token that was given, and until when it is good (milliseconds since the epoch)."""
    try:
        value: Any = msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return _sendable(said), _UNTIL_REFUSED
    token = next((value[name] for name in _TOKEN if isinstance(value.get(name), str)), "")
    ends = next((when for name in _EXPIRES if (when := _seconds(value.get(name))) is not None), None)
    return _sendable(token.strip()), _UNTIL_REFUSED if ends is None else int(ends * 1000) - _EARLY


def _seconds(value: Any) -> float | None:
    """Return a time given in seconds since the epoch; other forms are passed over."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < 2**40 else None


def _sendable(token: str) -> str:
    if not token or not token.isascii() or not token.isprintable():
        raise _unavailable("What was given as the model's key is none")
    return token
