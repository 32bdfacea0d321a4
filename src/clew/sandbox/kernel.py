"""Runs cells of Python on the inner side of a wall. Stands alone: only the standard library, no package of ours.

It is started inside with a socket as file 3 and a pipe as files 1 and 2. Over the socket come and go frames:
the length of a head and of a body, four bytes each, then the head (JSON) and the body (bytes). Into the pipe
goes what cells print, what a last expression is worth, and tracebacks, in the order in which they come.
Nothing here protects anybody: code that a cell runs can change all of it. The other side knows that.
"""

import _thread
import ast
import contextlib
import importlib.abc
import importlib.machinery
import io
import json
import linecache
import os
import queue
import resource
import signal
import stat
import struct
import sys
import threading
import traceback
import types

CONTROL = 3
DATA = "/mnt/data"
SIZES = struct.Struct("!II")
MOST_FRAME = 2 * 1024 * 1024
PIECE = 256 * 1024
MOST_DISK = 256 * 1024 * 1024
MOST_FILES = 20
MOST_LOOKED_AT = 200_000
MOST_PLOTS = 20
MOST_PLOT = 8 * 1024 * 1024
PLOTS = "clew_plots"
HERE = __file__


class Gone(Exception):
    """The other side is."""


class Wire:
    """Frames over the socket. Requests are read by one thread, answers are sent by another."""

    def __init__(self, file):
        self._file = file

    def _exactly(self, size):
        parts = []
        while size:
            part = os.read(self._file, min(size, PIECE))
            if not part:
                raise Gone
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def receive(self):
        """Return the head and the body of the next frame."""
        head, body = SIZES.unpack(self._exactly(SIZES.size))
        if head + body > MOST_FRAME:
            raise Gone
        return json.loads(self._exactly(head)), self._exactly(body)

    def send(self, head, body=b""):
        """Send a frame."""
        text = json.dumps(head).encode()
        rest = memoryview(SIZES.pack(len(text), len(body)) + text + body)
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def close(self):
        """Let go of the socket: what a forked child does."""
        with contextlib.suppress(OSError):
            os.close(self._file)


class Files:
    """The files of the folder, by plain names. No link is followed, nothing but plain files is touched."""

    def __init__(self, path):
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known = {}
        self._open = None

    def put(self, head, body):
        """Take in a piece of a file: the first replaces what stands there, the last makes it known."""
        name = head["name"]
        if head["first"]:
            self._shut()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._open = os.open(name, flags, 0o644, dir_fd=self._folder)
        try:
            rest = memoryview(body)
            while rest:
                rest = rest[os.write(self._open, rest) :]
        except OSError:
            self._shut()
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._folder)
            raise
        if head["last"]:
            self._known[name] = _mark(os.fstat(self._open))
            self._shut()

    def take(self, head):
        """Return the next piece of a file, an empty one at its end, and its size at the first."""
        if head["first"]:
            self._shut()
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._open = os.open(head["name"], flags, dir_fd=self._folder)
            found = os.fstat(self._open)
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_DISK:
                self._shut()
                raise OSError("it is no plain file, or too large")
        piece = os.read(self._open, PIECE)
        if not piece:
            self._shut()
        return piece

    def _shut(self):
        if self._open is not None:
            with contextlib.suppress(OSError):
                os.close(self._open)
            self._open = None

    def changed(self):
        """Return names and sizes of plain files that are new or others than before, and how many more."""
        seen, left = {}, []
        with os.scandir(self._folder) as found:
            for number, entry in enumerate(found):
                if number == MOST_LOOKED_AT:
                    break
                with contextlib.suppress(OSError, UnicodeEncodeError):
                    entry.name.encode()
                    about = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(about.st_mode) and not entry.name.startswith("."):
                        seen[entry.name] = _mark(about)
                        if self._known.get(entry.name) != seen[entry.name] and about.st_size <= MOST_DISK:
                            left.append((entry.name, about.st_size))
        self._known = seen
        left.sort()
        return left[:MOST_FILES], max(0, len(left) - MOST_FILES)


def _mark(about):
    return about.st_mtime_ns, about.st_size, about.st_ino


class Plots(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What cells show. It is the back end of matplotlib too, so that ``plt.show()`` shows at its place."""

    def __init__(self, send):
        self._send = send
        self.count = 0

    def find_spec(self, name, path, target=None):
        """Find the back end."""
        return importlib.machinery.ModuleSpec(name, self) if name == PLOTS else None

    def create_module(self, spec):
        """Make a plain module."""
        return None

    def exec_module(self, module):
        """Fill the back end in."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        module.FigureCanvas = FigureCanvasAgg
        module.show = lambda *args, **kwargs: self.flush()

    def flush(self):
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

    def show(self, png):
        """Show a picture."""
        if self.count >= MOST_PLOTS or len(png) > MOST_PLOT:
            print("[a plot was left out: there are too many, or it is too large]", file=sys.stderr)
            return
        self.count += 1
        self._send(png)


class Streams:
    """Files 1 and 2, as they are before each cell: whatever the one before has done to them."""

    def __init__(self):
        self._output = os.dup(1)
        os.set_inheritable(self._output, False)
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def restore(self):
        """Put them back."""
        os.dup2(self._nothing, 0)
        for number in (1, 2):
            os.dup2(self._output, number)
        made = [
            open(number, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
            for number in (1, 2)
        ]
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = sys.__stdout__ = made[0]
        sys.stderr = sys.__stderr__ = made[1]

    def flush(self):
        """Let go of what is held back."""
        for each in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                each.flush()

    def write(self, text):
        """Write, after all that was printed, whatever has become of ``print``."""
        self.flush()
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            rest = rest[os.write(self._output, rest) :]


class Cells:
    """Runs cells in one module, ``__main__``, one after another, on the main thread."""

    def __init__(self, wire):
        self._streams = Streams()
        self._number = 0
        self._main = types.ModuleType("__main__")
        self._main.__dict__["__builtins__"] = __builtins__
        self.plots = Plots(self._show)
        self._wire = wire
        self._request = 0
        self._lock = threading.Lock()
        self._running = False
        sys.modules["__main__"] = self._main
        sys.meta_path.insert(0, self.plots)
        signal.signal(signal.SIGINT, self._interrupted)

    def _show(self, png):
        self._wire.send({"id": self._request, "what": "plot"}, png)

    def _interrupted(self, number, frame):
        if self._running:
            raise KeyboardInterrupt

    def interrupt(self, request):
        """Interrupt a cell, if it is still the one that runs. Another thread calls this."""
        with self._lock:
            if self._running and self._request == request:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    def run(self, request, code):
        """Run a cell; return whether it raised."""
        self._streams.restore()
        self.plots.count = 0
        self._number += 1
        name = "<cell %d>" % self._number
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
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
            self._streams.write("SystemExit: %s\n" % (left.code,))
        except BaseException as raised:
            self._streams.write(_told(raised))
        else:
            return False
        finally:
            self._streams.flush()
        with contextlib.suppress(Exception):
            self.plots.flush()
        return True

    def _perform(self, code, name):
        tree = ast.parse(code, name)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";"):
            last = ast.Expression(tree.body.pop().value)
        space = self._main.__dict__
        if tree.body:
            exec(compile(tree, name, "exec"), space)
        if last is not None:
            self._value(eval(compile(last, name, "eval"), space))

    def _value(self, value):
        if value is None:
            return
        self._main.__dict__["_"] = value
        picture = getattr(value, "_repr_png_", None)
        png = picture() if callable(picture) else None
        if isinstance(png, bytes):
            self.plots.show(png)
        else:
            self._streams.write(repr(value) + "\n")


def _told(raised):
    """Return the traceback, without the frames of this file."""
    seen, each = set(), raised
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

    def __init__(self):
        self._wire = Wire(CONTROL)
        self._files = Files(DATA)
        self._cells = Cells(self._wire)
        self._asked = queue.SimpleQueue()

    def serve(self):
        """Serve until the other side is gone."""
        ours = os.getpid()
        os.register_at_fork(after_in_child=self._wire.close)
        _thread.start_new_thread(self._listen, ())
        self._wire.send({"id": 0, "what": "ready"})
        while True:
            head, body = self._asked.get()
            answer = self._answer(head, body)
            if os.getpid() != ours:
                os._exit(0)
            self._wire.send(*answer)

    def _listen(self):
        with contextlib.suppress(BaseException):
            while True:
                head, body = self._wire.receive()
                if head["do"] == "interrupt":
                    self._cells.interrupt(head["id"])
                else:
                    self._asked.put((head, body))
        os._exit(0)

    def _answer(self, head, body):
        answer, data = {"id": head["id"], "what": "done"}, b""
        try:
            if head["do"] == "run":
                answer["raised"] = self._cells.run(head["id"], body.decode())
                answer["left"], answer["unseen"] = self._files.changed()
            elif head["do"] == "put":
                self._files.put(head, body)
            elif head["do"] == "take":
                data = self._files.take(head)
        except OSError as error:
            answer["what"], answer["why"] = "trouble", (error.strerror or str(error))[:200]
        return answer, data


def _begin(limits, *packages):
    """Take the limits that count only inside, and find the packages."""
    for name, most in json.loads(limits).items():
        resource.setrlimit(getattr(resource, name), (most, most))
    sys.path.extend(packages)
    sys.path.insert(0, "")
    sys.argv = [""]
    os.chdir(DATA)


if __name__ == "__main__":
    _begin(*sys.argv[1:])
    Kernel().serve()
