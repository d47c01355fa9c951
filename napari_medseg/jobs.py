"""Long work: a generator of small events that returns its result.

>>> job = predict(volume, segmenter)       # nothing has run yet
>>> for event in job: ...                  # Progress, or an event of the station's own
>>> result = finish(job)                   # or: to the end, for its result
>>> job = Child().run("napari_medseg.inference.predict:predict", volume, segmenter)

`Child.run` and `apart` give the same events and the same result from a process of their own, so
nothing above knows the difference. Closing a job runs its ``finally`` and leaves everything as it
was. A running job can be told something, with ``job.send(wish)`` instead of ``next(job)``; one that
does not look at what its ``yield`` gives runs as if it were told nothing. After `Listening` it has
nothing to do until it is told something: nobody asks it again before, and no processor is busy.
"""

from __future__ import annotations

import importlib
import io
import os
import pickle
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from napari_medseg.errors import MedsegError, WorkerDied

R = TypeVar("R")
Job: TypeAlias = Generator[object, Any, R]
Inbox: TypeAlias = queue.SimpleQueue[bytes | None]  # of a child; None: it is asked to end

START_TIMEOUT_S = 60.0
STOP_GRACE_S = 2.0  # the window must be gone within 5 s of its closing
KEY_BYTES = 32
STOP = b"."  # on the child's stdin, where one byte always finds room
BIG_ARRAY_BYTES = 1 << 20  # larger ones are saved to a file each and loaded whole, off the pipe
BIG_MESSAGE_BYTES = 1 << 15  # of what is pickled; a larger one is a file too, its name on the pipe


@dataclass(frozen=True)
class Progress:
    """How far a job is; `total` 0 means that nobody knows."""

    done: int
    total: int
    text: str = ""


@dataclass(frozen=True)
class Notice:
    """A sentence that the user should read, such as "not enough GPU memory: using the CPU"."""

    text: str


@dataclass(frozen=True)
class Listening:
    """The job waits to be told something; told nothing all the same, it goes on as it can.

    `heard` is how many things a child was told before; with more on their way it does not wait.
    """

    heard: int = 0


def finish(job: Job[R], on_event: Callable[[object], object] | None = None) -> R:
    """Run a job to its end and return its result; what `on_event` returns is told to the job."""
    wish = None
    while True:
        try:
            event = job.send(wish)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        wish = None if on_event is None else on_event(event)


def apart(function: str, *args: object, **kwargs: object) -> Job[Any]:
    """The job ``"package.module:function"`` in a child process of its own.

    Raises
    ------
    MedsegError
        The one that the job raised in the child.
    WorkerDied
        The child crashed, ran out of memory or was killed; it took nothing else with it.
    """
    with Child() as child:
        return (yield from child.run(function, *args, **kwargs))


class Child:
    """A process that runs one job at a time and stays warm in between.

    Closing the pipe, also by the death of this process, ends the child. It runs at low priority,
    so that the window stays fluid. Nothing but our own messages ever crosses the pipe: both ends
    hold a random key that is never on a command line. The child reads the pipe on a thread of its
    own, also while it computes or speaks: never do both ends wait for the other one to listen.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection[Any, Any] | None = None
        self._folder: Path | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, if it is not running; `run` does so by itself."""
        with self._lock:
            if self.alive:
                return
            self._clean()
            self._folder = Path(tempfile.mkdtemp(prefix="medseg-"))  # 0700: others cannot look in
            key = secrets.token_bytes(KEY_BYTES)
            try:
                with Listener(None, authkey=key) as listener:
                    self._process = _launch(str(listener.address), self._folder)
                    _hand_over(key, self._process)
                    self._pipe = _accept(listener, self._process)
            except BaseException:
                self._clean()
                raise

    def run(self, function: str, *args: object, **kwargs: object) -> Job[Any]:
        """The events and the result of ``"package.module:function"``, run in the child.

        What is sent into this job is sent into the one in the child, after the event that the
        child is computing then.
        """
        self.start()
        ended, told = False, 0
        try:
            self._say("run", function, args, kwargs)
            while True:
                kind, value = self._receive()
                ended = kind != "event"
                if kind == "event" and not (isinstance(value, Listening) and value.heard < told):
                    told += self._tell((yield value))
                elif kind == "event":
                    continue  # said before the last wish arrived
                elif kind == "result":
                    return value
                else:
                    raise value
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._died() from error
        finally:
            if not ended:
                self.close()  # stopped half-way: the child is not asked twice

    def close(self) -> None:
        """End the process: asked first, killed after two seconds; safe from any thread."""
        process = self._process
        if process is None:
            return
        _ask_to_end(process)
        try:
            process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
        with self._lock:  # who held it, to start the process or to write to it, saw it end
            if self._process is process:
                self._clean()

    def _tell(self, wish: object) -> bool:
        """Pass it on, if it is anything."""
        if wish is not None:
            self._say("tell", wish, (), {})
        return wish is not None

    def _say(self, *message: object) -> None:
        """A child that was closed hears nothing any more."""
        with self._lock:
            if self._pipe is not None and self._folder is not None:
                _send(self._pipe, message, self._folder)

    def _clean(self) -> None:
        """Leave nothing, neither a process nor a file; with the lock."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
        if self._pipe is not None:
            with suppress(OSError):
                self._pipe.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._pipe = self._folder = None

    def _receive(self) -> tuple[str, Any]:
        pipe, folder = self._pipe, self._folder
        if pipe is None or folder is None:
            raise self._died()
        try:
            message: tuple[str, Any] = _unpack(pipe.recv_bytes(), folder)
            return message
        except (EOFError, OSError, TypeError) as error:  # TypeError: closed from another thread
            raise self._died() from error

    def _died(self) -> WorkerDied:
        code: object = "unknown"
        if (process := self._process) is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(STOP_GRACE_S)
        return WorkerDied(
            f"the background process ended unexpectedly (exit code {code}); "
            "nothing else was touched, start it again"
        )


def _launch(address: str, folder: Path) -> subprocess.Popen[bytes]:
    """The child; `subprocess`, for multiprocessing's spawn would run the user's script again."""
    return subprocess.Popen(
        [sys.executable, "-m", "napari_medseg.jobs", address, str(folder)],
        stdin=subprocess.PIPE,
        bufsize=0,
    )


def _hand_over(key: bytes, process: subprocess.Popen[bytes]) -> None:
    """Give the child its key; its stdin stays open, for its end tells it that we are gone."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended at once: `_accept` sees that
        process.stdin.write(key)


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    """Not on the pipe, which may be full: asking never waits."""
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # it has ended; ValueError: and was cleaned up meanwhile
        process.stdin.write(STOP)


def _accept(listener: Listener, process: subprocess.Popen[bytes]) -> Connection[Any, Any]:
    """The child's connection; a child that dies at birth does not hang us."""
    answer: queue.Queue[Connection[Any, Any] | Exception] = queue.Queue()

    def wait() -> None:
        try:
            answer.put(listener.accept())
        except (OSError, EOFError, AuthenticationError) as error:
            answer.put(error)

    threading.Thread(target=wait, daemon=True).start()
    for _ in range(int(START_TIMEOUT_S * 10)):
        with suppress(queue.Empty):
            got = answer.get(timeout=0.1)
            if isinstance(got, Exception):
                raise WorkerDied(f"a background process must connect, got {got}") from got
            return got
        if process.poll() is not None:
            raise WorkerDied(f"a background process must start, it ended with {process.returncode}")
    raise WorkerDied(f"a background process must start within {START_TIMEOUT_S:.0f} s, it did not")


class _Packer(pickle.Pickler):
    """Pickles for our own pipe; big arrays go to files beside it."""

    def __init__(self, stream: io.BytesIO, folder: Path) -> None:
        super().__init__(stream, protocol=5)
        self._folder = folder

    def persistent_id(self, obj: Any) -> str | None:
        plain = isinstance(obj, np.ndarray) and not obj.dtype.hasobject
        if not plain or obj.nbytes < BIG_ARRAY_BYTES:
            return None
        name = f"{secrets.token_hex(8)}.npy"
        np.save(self._folder / name, obj, allow_pickle=False)
        return name


class _Unpacker(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, folder: Path) -> None:
        super().__init__(stream)
        self._folder = folder

    def persistent_load(self, pid: Any) -> Any:
        path = self._folder / str(pid)
        array = np.load(path, allow_pickle=False)
        path.unlink()
        return array


def _send(pipe: Connection[Any, Any], message: object, folder: Path) -> None:
    stream = io.BytesIO()
    _Packer(stream, folder).dump(message)
    packed = stream.getvalue()
    if len(packed) > BIG_MESSAGE_BYTES:
        name = secrets.token_hex(8)
        (folder / name).write_bytes(packed)
        packed = name.encode()
    pipe.send_bytes(packed)


def _unpack(packed: bytes, folder: Path) -> Any:
    if not packed.startswith(pickle.PROTO):  # then it is the name of a file
        path = folder / packed.decode()
        packed = path.read_bytes()
        path.unlink()
    return _Unpacker(io.BytesIO(packed), folder).load()


class _StopError(Exception):
    """The parent asked the child to end."""


def _serve(pipe: Connection[Any, Any], inbox: Inbox, folder: Path) -> None:
    """The child's life: one job after another until it is asked to end."""
    while (packed := inbox.get()) is not None:
        verb, name, args, kwargs = _unpack(packed, folder)
        if verb == "tell":
            continue  # it came too late: that job has ended
        module, function = name.split(":")
        try:
            job = getattr(importlib.import_module(module), function)(*args, **kwargs)
            _send(pipe, ("result", _pump(job, pipe, inbox, folder)), folder)
        except _StopError:
            return
        except MedsegError as error:
            _send(pipe, ("error", error), folder)
        except Exception as error:  # a bug: its traceback must reach the parent
            died = WorkerDied(f"{type(error).__name__}: {error}")
            died.add_note(traceback.format_exc())
            _send(pipe, ("error", died), folder)


def _pump(job: Job[Any], pipe: Connection[Any, Any], inbox: Inbox, folder: Path) -> Any:
    """Send each event; between two of them hear what the parent wants, and tell the job."""
    wish, heard = None, 0
    try:
        while True:
            try:
                event = job.send(wish)
            except StopIteration as done:
                return done.value
            waits = isinstance(event, Listening)
            _send(pipe, ("event", Listening(heard) if waits else event), folder)
            wish, more = _heard(inbox, folder, waits)
            heard += more
    finally:
        job.close()


def _heard(inbox: Inbox, folder: Path, wait: bool) -> tuple[object, int]:
    """The last thing the parent told, and how many; None if nothing, unless that is waited for."""
    wish, count = None, 0
    with suppress(queue.Empty):
        while True:
            packed = inbox.get(block=wait and wish is None)
            if packed is None:
                raise _StopError
            _, wish, *_ = _unpack(packed, folder)
            count += 1
    return wish, count


def _read(pipe: Connection[Any, Any], inbox: Inbox) -> None:
    """Take each message off the pipe as it comes, so that the parent never waits to say it."""
    with suppress(EOFError, OSError):
        while True:
            inbox.put(pipe.recv_bytes())
    inbox.put(None)


def _heed(inbox: Inbox, folder: Path) -> None:
    """End when the parent asks to, between two steps.

    Leave at once, even in a long one, when it was killed: nobody wants the answer.
    """
    while os.read(0, 1):
        inbox.put(None)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _main() -> None:
    if hasattr(os, "nice"):
        os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with suppress(OSError):
        os.dup2(2, 1)  # what a library prints must not mix with the parent's output
    address, folder = sys.argv[1], Path(sys.argv[2])
    key = os.read(0, KEY_BYTES)
    inbox: Inbox = queue.SimpleQueue()
    threading.Thread(target=_heed, args=(inbox, folder), daemon=True).start()
    with Client(address, authkey=key) as pipe, suppress(EOFError, OSError):
        threading.Thread(target=_read, args=(pipe, inbox), daemon=True).start()
        _serve(pipe, inbox, folder)


if __name__ == "__main__":
    importlib.import_module("napari_medseg.jobs")._main()  # so that each class is there once
