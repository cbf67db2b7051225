"""A notebook's output as lines of a log: bounded, without refreshes, never mistaken for ours."""

import re
import sys
import time
from contextlib import suppress
from typing import TextIO

from madang.masking import Mask

LONGEST = 2000  # characters of a line
TRACEBACK = 60  # lines of an error
REPR = 20  # lines of a shown value
REFRESH = 10.0  # seconds between two states of a progress bar
STEPS = 2.0  # seconds between two lines of `madang.progress`: who reads the log's end finds cells

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_ESCAPE_BEGUN = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*)?\Z")
_PROGRESS = re.compile(r"madang: progress (\d{1,9})/(\d{1,9})")


def settle(text: str) -> str:
    """`text` as a terminal would show it: CR starts its line anew, BS takes a character back.

    Linear in the text: a search for what comes before a CR is not, in a line of megabytes.
    """
    if "\r" not in text and "\b" not in text:
        return text
    return "\n".join(_shown(line) for line in text.split("\n"))


def plain(text: str) -> str:
    """`text` as a terminal would show it, without colours."""
    return _ANSI.sub("", settle(text))


def _shown(line: str) -> str:
    if "\b" in line:
        kept: list[str] = []
        for c in line:
            if c != "\b" or not kept or kept[-1] == "\b":
                kept.append(c)
            else:
                kept.pop()
        line = "".join(kept)
    body = line.rstrip("\r")  # the last one may yet be followed by a line's end
    return body.rpartition("\r")[2] + line[len(body):]


class Echo:
    """Prints what cells print, and the lines `madang: …` that the service reads."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._open: dict[str, str] = {}  # per stream: the line that has no end yet
        self._shown = time.monotonic()
        self.mask = Mask()
        self.steps = (0, 0)  # done, of: what the notebook told last
        self._told, self._untold = -STEPS, False

    def say(self, text: str) -> None:
        """One line of ours, flushed."""
        self._flush_sure()
        self._write("madang: " + " ".join(self.mask.text(text).split()))

    def stream(self, name: str, text: str) -> None:
        """What a cell wrote to `name` (stdout, stderr); whole lines at once, the rest later."""
        *lines, rest = (self._open.get(name, "") + text).split("\n")
        for line in lines:
            self._line(line)
        self._open[name] = settle(rest)
        if rest and time.monotonic() - self._shown > REFRESH:
            shown, _ = self._parted(self._open[name])
            if shown:
                self._line(shown)
                self._shown = time.monotonic()

    def progress(self, done: int, of: int) -> None:
        """The notebook has come so far; told now, or with the next one, or at the cell's end."""
        self.steps, self._untold = (done, of), True
        if time.monotonic() - self._told >= STEPS:
            self._tell_steps()

    def end_cell(self) -> None:
        """All that was held back."""
        self.flush()
        if self._untold:
            self._tell_steps()

    def _tell_steps(self) -> None:
        self._told, self._untold = time.monotonic(), False
        # a line that a cell has not ended yet is not torn for it
        self._write("madang: progress {}/{}".format(*self.steps))

    def value(self, text: str) -> None:
        """A shown value in its plain form."""
        self._flush_sure()
        self._block(text.splitlines(), REPR, head=True)

    def error(self, traceback: list[str], fallback: str) -> None:
        """An error's traceback; the end of it is what tells."""
        self.flush()
        self._block("\n".join(traceback or [fallback]).splitlines(), TRACEBACK, head=False)

    def flush(self) -> None:
        """Lines that have no end yet, as they are."""
        for text in self._open.values():
            if text:
                self._line(text)
        self._open.clear()

    def _flush_sure(self) -> None:
        """The same in the middle of a stream: the beginning of a secret waits for its end."""
        parted = {k: self._parted(x) for k, x in self._open.items()}
        for shown, _ in parted.values():
            if shown:
                self._line(shown)
        self._open = {k: rest for k, (_, rest) in parted.items()}

    def _block(self, lines: list[str], most: int, *, head: bool) -> None:
        left = len(lines) - most
        if left > 0 and not head:
            self._write(f"… ({left} lines left out)")
        for line in lines[:most] if head else lines[-most:]:
            self._line(line)
        if left > 0 and head:
            self._write(f"… ({left} lines left out)")

    def _parted(self, text: str) -> tuple[str, str]:
        """An unfinished line, plain: what can be shown of it, and what may be half a secret."""
        if not self.mask:
            return text, ""
        escape = _ESCAPE_BEGUN.search(text)
        end = escape.start() if escape else len(text)
        line = plain(text[:end])
        sure = self.mask.sure(line)
        return line[:sure], line[sure:] + text[end:]

    def _line(self, line: str) -> None:
        # before it is cut: half a secret is not found any more
        line = self.mask.text(plain(line.rstrip("\r")))
        steps = _PROGRESS.fullmatch(line)
        if steps:  # of a script that the notebook has started: it speaks only by its lines
            self.progress(min(int(steps[1]), int(steps[2])), int(steps[2]))
            return
        if line.startswith("madang:"):
            line = " " + line  # a notebook must not move the service's idea of its progress
        if len(line) > LONGEST:
            line = f"{line[:LONGEST]}… ({len(line)} characters)"
        self._write(line)

    def _write(self, line: str) -> None:
        # when nobody reads the log any more, the notebook matters more
        with suppress(OSError, ValueError):
            print(self.mask.text(line), file=self._out, flush=True)
