"""What the person at the terminal sees: steps with a reason, progress, errors with a way out."""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / ".madang"
LOG = WORK / "log" / "setup.log"
_TERMINAL = sys.stdout.isatty()
_TAIL = 15  # lines of a failed command that are shown
_QUIET = 20  # seconds between signs of life where there is no terminal


class Stop(Exception):
    """Setup cannot go on; its text says why and what to do."""


def say(text: str = "") -> None:
    """One line to the person."""
    print(text, flush=True)


@contextmanager
def step(title: str, why: str = "") -> Iterator[None]:
    """A piece of work that takes a while: its name and reason before, its time after."""
    say(f"• {title}" + (f"\n    {why}" if why else ""))
    begun = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - begun:.0f} s")


def run(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> None:
    """Run a command; its output goes to the setup log, its last line to the terminal.

    The environment is passed on whole: behind a campus proxy PIP_*, *_proxy and the CA variables
    are what makes it work.

    Raises:
        Stop: the command failed; with its last lines.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=_TAIL)
    with LOG.open("a") as log:
        log.write(f"\n$ {' '.join(argv)}\n")
        log.flush()
        code = _follow(argv, {**os.environ, **(env or {})}, cwd, log, tail)
    if code:
        shown = "\n".join(f"    {x}" for x in tail)
        raise Stop(f"`{' '.join(argv)}` failed (exit {code}):\n{shown}\n  All of it: {LOG}")


def _follow(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: TextIO, tail: deque[str]
) -> int:
    with _signs_of_life(tail), subprocess.Popen(
        argv, env=env, cwd=cwd, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if line.strip():
                tail.append(line.rstrip())
    return process.returncode


@contextmanager
def _signs_of_life(tail: deque[str]) -> Iterator[None]:
    """Shows the newest line of `tail`: in place on a terminal, now and then in a log."""
    over = threading.Event()

    def show() -> None:
        while not over.wait(0.2 if _TERMINAL else _QUIET):
            last = (tail[-1] if tail else "").strip()[:90]
            print(f"\r\033[K    {last}" if _TERMINAL else f"    … {last}",
                  end="" if _TERMINAL else "\n", flush=True)

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        if _TERMINAL:
            print("\r\033[K", end="", flush=True)
