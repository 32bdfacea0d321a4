"""Runs cells of Python on the inner side of a wall. Stands alone, on the standard library.

It is started inside with a socket as file 3 and a pipe as files 1 and 2. Over the socket come and go frames:
the length of a head and of a body, four bytes each, then the head (lines of text) and the body (bytes). Into
the pipe goes what cells print, what a last expression is worth, and tracebacks, in the order in which they
come. Nothing here protects anybody: code that a cell runs can change all of it. The other side knows that.

A session waits for this to start, so it imports next to nothing: ``json``, ``ast``, ``signal`` and
``threading`` would make it take four times as long.
"""

from __future__ import annotations

import _ast
import _queue
import _signal  # type: ignore[import-not-found, unused-ignore]
import _thread
import io
import os
import resource
import stat
import struct
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CONTROL = 3
SIZES = struct.Struct("!II")
MOST_FRAME = 2 * 1024 * 1024
PIECE = 256 * 1024
MOST_DISK = 256 * 1024 * 1024
MOST_FILES = 20
MOST_LOOKED_AT = 200_000
MOST_PLOTS = 20
MOST_PLOT = 8 * 1024 * 1024
PLOTS = "clew_plots"
RESERVE = 16


class Gone(Exception):
    """The other side is."""


_ONLY_TREE = 0x400


class Wire:
    """Frames over the socket. Requests are read by one thread, answers are sent by another."""

    def __init__(self, file: int) -> None:
        self._file = file

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = os.read(self._file, min(size, PIECE))
            if not part:
                raise Gone
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self) -> tuple[list[str], bytes]:
        """Return the head and the body of the next frame."""
        head, body = SIZES.unpack(self._exactly(SIZES.size))
        if head + body > MOST_FRAME:
            raise Gone
        return self._exactly(head).decode().split("\n"), self._exactly(body)

    def send(self, head: list[str], body: bytes = b"") -> None:
        """Send a frame."""
        text = "\n".join(head).encode()
        rest = memoryview(SIZES.pack(len(text), len(body)) + text + body)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self) -> None:
        """Let go of the socket: what a forked child does."""
        try:
            os.close(self._file)
        except OSError:
            pass


class Files:
    """The files of the folder, by plain names. No link is followed, nothing but plain files is touched."""

    def __init__(self, path: str) -> None:
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known: dict[str, tuple[int, int, int]] = {}
        self._open = -1

    def put(self, name: str, first: str, last: str, body: bytes) -> None:
        """Take in a piece of a file: the first replaces what stands there, the last makes it known."""
        if first == "1":
            self._shut()
            self._remove(name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._open = os.open(name, flags, 0o644, dir_fd=self._folder)
        try:
            rest = memoryview(body)
            while rest:
                rest = rest[os.write(self._open, rest) :]
        except OSError:
            self._shut()
            self._remove(name)
            raise
        if last == "1":
            self._known[name] = _mark(os.fstat(self._open))
            self._shut()

    def _remove(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._folder)
        except FileNotFoundError:
            pass

    def take(self, name: str, first: str) -> bytes:
        """Return the next piece of a file, an empty one at its end."""
        if first == "1":
            self._shut()
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._open = os.open(name, flags, dir_fd=self._folder)
            found = os.fstat(self._open)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_DISK:
                self._shut()
                raise OSError("it is no plain file, or too large")
        piece = os.read(self._open, PIECE)
        if not piece:
            self._shut()
        return piece

    def _shut(self) -> None:
        if self._open >= 0:
            os.close(self._open)
        self._open = -1

    def changed(self) -> tuple[list[tuple[str, int]], int]:
        """Return names and sizes of plain files that are new or others than before, and how many more."""
        seen: dict[str, tuple[int, int, int]] = {}
        left: list[tuple[str, int]] = []
        with os.scandir(self._folder) as found:
            for entry in found:
                try:
                    about = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISREG(about.st_mode) and entry.name.isprintable() and entry.name[0] != ".":
                    seen[entry.name] = _mark(about)
                    if self._known.get(entry.name) != seen[entry.name] and about.st_size <= MOST_DISK:
                        left.append((entry.name, about.st_size))
                if len(seen) == MOST_LOOKED_AT:
                    break
        self._known = seen
        left.sort()
        return left[:MOST_FILES], max(0, len(left) - MOST_FILES)


def _mark(about: os.stat_result) -> tuple[int, int, int]:
    return about.st_mtime_ns, about.st_size, about.st_ino


class Plots:
    """What cells show. It is the back end of matplotlib too, so that ``plt.show()`` shows at its place."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self.count = 0

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Find the back end."""
        return ModuleSpec(name, self) if name == PLOTS else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> None:
        """Make a plain module."""
        return

    def exec_module(self, module: Any) -> None:
        """Fill the back end in."""
        from matplotlib.backends.backend_agg import (  # type: ignore[import-not-found, unused-ignore]
            FigureCanvasAgg,
        )

        module.FigureCanvas = FigureCanvasAgg
        module.show = lambda *args, **kwargs: self.flush()

    def flush(self) -> None:
        """Show and close all figures that are open."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            if self.count >= MOST_PLOTS:
                break
            drawn = io.BytesIO()
            pyplot.figure(number).savefig(drawn, format="png", bbox_inches="tight")
            self.show(drawn.getvalue())
        pyplot.close("all")

    def forget(self) -> None:
        """Close all figures unseen: to draw them may take as long as what was interrupted."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close("all")

    def show(self, png: bytes) -> None:
        """Show a picture."""
        if self.count >= MOST_PLOTS or len(png) > MOST_PLOT:
            print("[a plot was left out: there are too many, or it is too large]", file=sys.stderr)
            return
        self.count += 1
        self._send(png)


class Streams:
    """Files 1 and 2, as they are before each cell: whatever the one before has done to them."""

    def __init__(self) -> None:
        self._output = os.dup(1)
        os.set_inheritable(self._output, False)
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def restore(self) -> None:
        """Put them back."""
        os.dup2(self._nothing, 0)
        for number in (1, 2):
            os.dup2(self._output, number)
        made = [
            open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
            for number in (1, 2)
        ]
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout, sys.stderr = made
        vars(sys).update(__stdout__=made[0], __stderr__=made[1])

    def flush(self) -> None:
        """Let go of what is held back."""
        for each in (sys.stdout, sys.stderr):
            try:
                each.flush()
            except Exception:
                pass

    def write(self, text: str) -> None:
        """Write, after all that was printed, whatever has become of ``print``."""
        self.flush()
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[os.write(self._output, rest) :]


def _keep_back(files: int) -> None:
    """Let code open so many files less than it may: a cell that has used its own up leaves some to us."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(0, most - files), most))


class Cells:
    """Runs cells in one module, ``__main__``, one after another, on the main thread."""

    def __init__(self, wire: Wire) -> None:
        self._streams = Streams()
        self._sources: list[str] = []
        self._main = type(sys)("__main__")
        self._main.__dict__["__builtins__"] = __builtins__
        self.plots = Plots(self._show)
        self._wire = wire
        self._request = ""
        self._lock = _thread.allocate_lock()
        self._running = False
        self._thread = _thread.get_ident()
        sys.modules["__main__"] = self._main
        sys.meta_path.insert(0, self.plots)
        _signal.signal(_signal.SIGINT, self._interrupted)

    def _show(self, png: bytes) -> None:
        self._wire.send(["plot", self._request], png)

    def _interrupted(self, number: int, frame: object) -> None:
        if self._running:
            raise KeyboardInterrupt

    def interrupt(self, request: str) -> None:
        """Interrupt a cell, if it is still the one that runs. Another thread calls this."""
        with self._lock:
            if self._running and self._request == request:
                _signal.pthread_kill(self._thread, _signal.SIGINT)

    def run(self, request: str, code: str) -> bool:
        """Run a cell; return whether it raised."""
        self._streams.restore()
        _keep_back(RESERVE)
        self.plots.count = 0
        self._sources.append(code)
        name = f"<cell {len(self._sources)}>"
        if "linecache" in sys.modules:
            self._tell_sources()
        try:
            with self._lock:
                self._request, self._running = request, True
            try:
                self._perform(code, name)
                self.plots.flush()
            finally:
                with self._lock:
                    self._running = False
        except SystemExit as left:
            if left.code in (None, 0):
                return False
            self._streams.write(f"SystemExit: {left.code}\n")
        except BaseException as raised:
            _keep_back(0)
            if isinstance(raised, KeyboardInterrupt):
                self.plots.forget()
            self._tell(raised)
        else:
            return False
        finally:
            _keep_back(0)
            self._streams.flush()
        try:
            self.plots.flush()
        except Exception:
            pass
        return True

    def _tell(self, raised: BaseException) -> None:
        try:
            self._tell_sources()
            self._streams.write(_told(raised))
        except Exception:
            self._streams.write(type(raised).__name__ + "\n")

    def _tell_sources(self) -> None:
        """Let tracebacks show the lines of cells."""
        import linecache

        for number, code in enumerate(self._sources, 1):
            name = f"<cell {number}>"
            linecache.cache[name] = (len(code), None, code.splitlines(True), name)

    def _perform(self, code: str, name: str) -> None:
        tree: Any = compile(code, name, "exec", _ONLY_TREE)
        last = None
        if tree.body and isinstance(tree.body[-1], _ast.Expr) and not code.rstrip().endswith(";"):
            last = _ast.Expression(tree.body.pop().value)
        space = self._main.__dict__
        if tree.body:
            exec(compile(tree, name, "exec"), space)  # noqa: S102 - it is what this is for
        if last is not None:
            self._value(eval(compile(last, name, "eval"), space))  # noqa: S307

    def _value(self, value: object) -> None:
        if value is None:
            return
        self._main.__dict__["_"] = value
        picture = getattr(value, "_repr_png_", None)
        png = picture() if callable(picture) else None
        if isinstance(png, bytes):
            self.plots.show(png)
        else:
            self._streams.write(repr(value) + "\n")


HERE = Cells.run.__code__.co_filename


def _told(raised: BaseException) -> str:
    """Return the traceback, without the frames of this file."""
    import traceback

    seen: set[int] = set()
    each: BaseException | None = raised
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        at = each.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename == HERE:
            at = at.tb_next
        each.__traceback__ = at
        while at is not None:
            if at.tb_next is not None and at.tb_next.tb_frame.f_code.co_filename == HERE:
                at.tb_next = None
            at = at.tb_next
        each = each.__cause__ or each.__context__
    if isinstance(raised, SyntaxError) and raised.__traceback__ is not None:
        ours = str(raised.filename).startswith("<cell ")
        raised.__traceback__ = None if ours else raised.__traceback__
    return "".join(traceback.format_exception(type(raised), raised, raised.__traceback__))


class Kernel:
    """Does what is asked, one request after another."""

    def __init__(self) -> None:
        self._wire = Wire(CONTROL)
        self._files = Files(".")
        self._cells = Cells(self._wire)
        self._asked: _queue.SimpleQueue[tuple[list[str], bytes]] = _queue.SimpleQueue()

    def serve(self) -> None:
        """Serve until the other side is gone."""
        ours = os.getpid()
        os.register_at_fork(after_in_child=self._wire.close)
        _thread.start_new_thread(self._listen, ())
        self._wire.send(["ready", "0"])
        while True:
            head, body = self._asked.get()
            answer = self._answer(head, body)
            if os.getpid() != ours:
                os._exit(0)
            self._wire.send(*answer)

    def _listen(self) -> None:
        try:
            while True:
                head, body = self._wire.receive()
                if head[0] == "interrupt":
                    self._cells.interrupt(head[1])
                else:
                    self._asked.put((head, body))
        finally:
            os._exit(0)

    def _answer(self, head: list[str], body: bytes) -> tuple[list[str], bytes]:
        do, number, *more = head
        try:
            if do == "run":
                raised = self._cells.run(number, body.decode())
                left, unseen = self._files.changed()
                told = [field for name, size in left for field in (name, str(size))]
                return ["done", number, str(int(raised)), str(unseen), *told], b""
            if do == "put":
                name, first, last = more
                self._files.put(name, first, last, body)
                return ["done", number], b""
            return ["done", number], self._files.take(*more)
        except OSError as error:
            why = error.strerror or str(error)
            return ["trouble", number, why[:200].replace("\n", " ")], b""


def _begin(limits: str, *packages: str) -> None:
    """Take the limits that count only inside, and find the packages. We stand in the folder of files."""
    for each in filter(None, limits.split(",")):
        name, _, most = each.partition("=")
        resource.setrlimit(getattr(resource, name), (int(most), int(most)))
    sys.path.extend(packages)
    sys.path.insert(0, "")
    sys.argv = [""]


if __name__ == "__main__":
    _begin(*sys.argv[1:])
    Kernel().serve()
