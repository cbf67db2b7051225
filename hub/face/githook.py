"""`python -I …/githook.py`: what git runs before and after it takes a push.

Its output is what the pusher reads, each line behind "remote: ". It looks at what was pushed in
this process, with git's limits on memory and time, and talks with the service through a descriptor
that it finds open: one line of JSON there, one back.
"""

import json
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hub.core import accepted
from hub.core.courses import Problem
from hub.core.coursetree import shown
from hub.core.releases import Draft
from hub.errors import Text
from hub.face import words
from hub.pushing import GitError, Pushed, Update

CHANNEL = "COURSE_CHANNEL"  # the number of the descriptor
HOOKS = ("pre-receive", "post-receive")
_ROOT = Path(__file__).resolve().parents[2]
_SHOWN = 20  # names of one kind
_MARKS = {"new": "+", "changed": "~", "gone": "-", "data": "*"}  # data: new or changed
_START = (
    "import sys; sys.path.insert(0, {root!r}); from hub.face.githook import main; "
    "sys.exit(main({name!r}))"
)


def install(folder: Path) -> None:
    """Write the hooks; they start this, with the Python that we run with."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in HOOKS:
        start = _START.format(root=str(_ROOT), name=name)
        text = f"#!/bin/sh\nexec {shlex.join([sys.executable, '-I', '-c', start])}\n"
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        part = folder / f".{name}-{secrets.token_hex(4)}"
        part.write_text(text)
        part.chmod(0o700)
        part.replace(path)


class Channel:
    """The way to the service."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=int(os.environ[CHANNEL]))
        self._file = self._socket.makefile("rwb")

    def ask(self, **said: Any) -> dict[str, Any]:
        """What the service answers.

        Raises:
            OSError: it is gone.
        """
        self._file.write(json.dumps(said).encode() + b"\n")
        self._file.flush()
        answer = self._file.readline()
        if not answer:
            raise OSError("the service is gone")
        found: dict[str, Any] = json.loads(answer)
        return found


def main(hook: str) -> int:
    """Check what is pushed, or publish it; 0 where git may go on."""
    # whoever pushes has gone: what was kept so far is taken back on the way out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    updates = [Update(*line.split(" ", 2)) for line in sys.stdin.read().splitlines()]
    language = words.SOURCE
    try:
        channel = Channel()
        told = channel.ask(hook=hook, main=next((x.new for x in updates if x.main), ""))
        language = str(told.get("language", language))
        if hook == "post-receive" or "refused" in told:
            _print(told.get("refused") or told["lines"])
            return 1 if "refused" in told else 0
        return 0 if Check(channel, told).all(updates) else 1
    except MemoryError:
        _print([words.say(language, "This push is too large to be checked.")])
    except (OSError, GitError) as e:
        _print([f"{type(e).__name__}: {shown(str(e))[:300]}"])
    _print([words.say(language, "It will be published in a moment.") if hook == "post-receive"
            else words.say(language, "Nothing was changed.")])
    return 1


def _print(lines: Iterator[str] | list[str]) -> None:
    sys.stdout.write("".join(f"{x}\n" for x in lines))
    sys.stdout.flush()


class Check:
    """Looks at one push, and tells what it has found."""

    def __init__(self, channel: Channel, told: Mapping[str, Any]) -> None:
        self._channel = channel
        self._language = str(told["language"])
        self._pushed = Pushed(Path(os.environ.get("GIT_DIR", ".")).resolve(), os.environ, told)

    def all(self, updates: list[Update]) -> bool:
        """Whether all of them are taken; git takes all or none."""
        for update in updates:
            refused = self._pushed.refusal(update)
            if refused is not None:
                self._say(refused)
                return self._refused()
        # what is published comes last: the others may still be refused
        return all(map(self._one, sorted((x for x in updates if x.read), key=lambda x: x.main)))

    def _one(self, update: Update) -> bool:
        draft = self._pushed.check(update)
        _print(report(draft, self._language))
        if not update.main:
            self._say(Text("{name} is a draft: nothing is published.", name=shown(update.name)))
            return True
        if not draft.ok:
            return self._refused()
        taken = False
        try:
            kept = accepted.as_json(self._pushed.keep(draft, update))
            refused = self._channel.ask(accept=kept).get("refused", [])
            taken = not refused
        finally:
            # also where we are ended, or the service is gone: git takes nothing then
            if not taken:
                self._pushed.take_back()
        _print(refused)
        return taken or self._refused()

    def _say(self, text: Text) -> None:
        _print([words.text(self._language, text)])

    def _refused(self) -> bool:
        self._say(Text("Refused; nothing was changed."))
        self._channel.ask(refused=True)
        return False


def report(draft: Draft, language: str) -> Iterator[str]:
    """A draft for people: what is wrong, what was changed, what will be handed out."""

    def say(text: Text) -> str:
        return words.text(language, text)

    yield from (line_of(x, language) for x in draft.problems)
    if draft.more:
        yield say(Text("… and {count} more.", count=draft.more))
    if not draft.ok:
        return
    changes = draft.changes()
    for kind, mark in _MARKS.items():
        some = [x for x in changes if x.change == kind]
        told = " (data)" if kind == "data" else ""
        yield from (f"  {mark} {x.path}{told}" for x in some[:_SHOWN])
        if len(some) > _SHOWN:
            yield f"  {mark} " + say(Text("… and {count} more.", count=len(some) - _SHOWN))
    yield say(Text(
        "{course}: {files} files, {notebooks} notebooks.", course=draft.course,
        files=len(draft.files), notebooks=sum(x.notebook for x in draft.files),
    ))
    if later := sum(x.visible_from is not None for x in draft.files):
        yield say(Text("Visible later only: {count}.", count=later))


def line_of(problem: Problem, language: str) -> str:
    """A problem as compilers say it: an editor in a terminal finds the place."""
    place = f"{problem.path}:{problem.line}" if problem.line else problem.path
    kind = words.say(language, "refused") if problem.fatal else words.say(language, "note")
    return ": ".join(x for x in (place, kind, words.text(language, problem.message)) if x)
