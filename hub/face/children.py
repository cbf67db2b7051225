"""Child processes of the supervisor: each in its own session, with a log that is rotated.

A child writes to its log file itself, not through a pipe: what reads a pipe can die, and then
the writer does. So rotation copies the log and cuts it (the file is opened for appending).
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOG_BYTES = 10 * 2**20
_LOG_KEPT = 5
_STEADY = 60  # seconds after which a child counts as well again
_LONGEST = 30.0  # seconds between two starts of a child that keeps dying


def adopt_orphans() -> None:
    """Make this process the parent of its descendants whose parent died.

    The hub's service is a child of the hub: after `kill -9` of the hub it lives on, keeps its
    port, and the next hub cannot start another. As its new parent we can end it.
    """
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _die_with_parent() -> None:
    # in the child, before exec: no Python locks, just the call
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


@dataclass(frozen=True)
class Program:
    """What is to be kept running.

    Args:
        patience: seconds it may take to stop after SIGTERM before it is killed.
        restarted: called after each start but the first.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    patience: float = 20.0
    restarted: Callable[[], None] | None = None


class Child:
    """One program, running or about to."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._begun = 0.0
        self._wait = 0.0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self.process.pid if self.process and self.process.returncode is None else None

    def start(self) -> None:
        """Start it now.

        Raises:
            OSError: it cannot be: no disk, no memory. It is due again after a pause.
        """
        try:
            self._start()
        except OSError:
            self._pause(1.0)
            raise

    def _start(self) -> None:
        program = self.program
        program.log.parent.mkdir(parents=True, exist_ok=True)
        with program.log.open("ab") as log:
            self.process = subprocess.Popen(
                program.argv, env={**os.environ, **program.env}, cwd=program.cwd,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                # the supervisor has one thread, and what is called takes no lock
                start_new_session=True, preexec_fn=_die_with_parent)  # noqa: PLW1509
        self.starts += 1
        self._begun = time.monotonic()

    def due(self) -> bool:
        """Whether it is down and the pause after its last death is over."""
        return self.pid is None and time.monotonic() >= self._not_before

    def died(self) -> int | None:
        """Its exit code, once, when it has just been seen dead; sets the pause before a restart.

        The first restart comes at once; one that dies soon again waits 1, 2, 4 … 30 s.
        """
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        if time.monotonic() - self._begun >= _STEADY:
            self._wait = 0.0
        self._pause(0.0)
        return code

    def _pause(self, least: float) -> None:
        wait = max(least, self._wait)
        self._not_before = time.monotonic() + wait
        self._wait = min(max(1.0, wait * 2), _LONGEST)

    def stop(self) -> None:
        """Ask it to stop, then kill it and whatever is left in its session."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(self.program.patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def rotate(self) -> None:
        """Cut the log when it has grown too long; keep the last few, where there is room for them.

        Raises:
            OSError: it cannot be cut.
        """
        log = self.program.log
        if not log.exists() or log.stat().st_size < _LOG_BYTES:
            return
        for number in range(_LOG_KEPT - 1, 0, -1):
            older = log.with_name(f"{log.name}.{number}")
            if older.exists():
                older.rename(log.with_name(f"{log.name}.{number + 1}"))
        newest = log.with_name(f"{log.name}.1")
        try:
            shutil.copy2(log, newest)
        except OSError:  # a full disk: what is cut is lost, and makes room
            newest.unlink(missing_ok=True)
        os.truncate(log, 0)


def end_orphans(orphans: Sequence[int], patience: float = 5.0) -> None:
    """End adopted processes: SIGTERM, then SIGKILL; and take their exit codes."""
    left = [x for x in orphans if _running(x)]
    for pid in left:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + patience
    while left and time.monotonic() < end:
        time.sleep(0.05)
        left = [x for x in left if _running(x)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False
