"""The operator's file of schedules: read when it has changed, refused whole where it is bad."""

import hashlib
import json
import logging
import re
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub import allowed, metrics
from hub.core import schedulefile, schedules, sizes
from hub.core.notebook import check_notebook
from hub.core.runs import Run, Submission
from hub.core.schedulefile import Entry
from hub.core.schedules import Schedule
from hub.edge import cron
from hub.errors import BadInput, Refusal, Text, Unavailable
from hub.schedules import Schedules

log = logging.getLogger("madang.schedules")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)")
# what a submission takes from an entry as it is
_SUBMITTED = ("profile", "image", "cwd", "timeout", "retries", "group", "parameters", "sweep")
# the key that a refusal is about, by its reason
_KEYS = {
    "image": "image", "unknown-profile": "profile", "unknown-parameter": "parameters",
    "parameters-too-large": "parameters", "sweep": "sweep", "timeout": "timeout", "path": "cwd",
    "retries": "retries", "not-a-notebook": "notebook",
}
_PAUSED = "paused"  # a file beside the input: the row may say something else, by hand
_Signs = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Read:
    """One schedule of the file, and the notebook that it names."""

    entry: Entry
    submission: Submission


def read(path: Path) -> list[Read]:
    """The schedules in a file, as far as the file alone can tell.

    Raises:
        BadInput: reason "schedules-file": the first problem, with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
        raise schedulefile.problem(path.name, 1, why) from e
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        said, place = str(e), _PLACE.search(str(e))
        line = int(place[1]) if place else text.count("\n") + 1
        raise schedulefile.problem(path.name, line, _PLACE.sub("", said)) from e
    found = schedulefile.entries(text, data, path.name)
    return [_read(x, path) for x in found]


def _read(entry: Entry, path: Path) -> Read:
    for key, check in (
        ("name", lambda: schedules.check_name(entry.plan.name)),
        ("cron", lambda: cron.check(entry.plan.cron)),
        ("zone", lambda: schedules.check_zone(entry.plan.zone or "UTC")),
        ("catch_up", lambda: schedules.catch_up_of(entry.plan.catch_up)),
        ("overlap", lambda: schedules.overlap_of(entry.plan.overlap)),
    ):
        try:
            check()
        except BadInput as e:
            raise _refused(path, entry.at(key), e) from e
    values = {k: entry.values[k] for k in _SUBMITTED if k in entry.values}
    return Read(entry, Submission(
        user=entry.user, name=Path(entry.notebook).name, notebook=_notebook(entry, path),
        notify=tuple(entry.values.get("notify", ())),
        secrets=tuple(entry.values.get("secrets", ())),
        **{"parameters": {}, **values},
    ))


def _notebook(entry: Entry, path: Path) -> dict[str, Any]:
    file, line = path.parent / entry.notebook, entry.at("notebook")
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        check_notebook(found, entry.notebook)
    except BadInput as e:
        raise _refused(path, line, e) from e
    except (OSError, ValueError, RecursionError) as e:
        why = Text("{notebook} cannot be read: {error}", notebook=entry.notebook, error=e)
        raise schedulefile.problem(path.name, line, why) from e
    return found


def _refused(path: Path, line: int, why: Refusal) -> BadInput:
    return schedulefile.problem(path.name, line, Text(why.template, **why.values))


class ScheduleFile:
    """Keeps the schedules of one file as the file says; the last good one stays in force."""

    def __init__(self, schedules: Schedules, path: Path | None) -> None:
        self._schedules = schedules
        self._path = path
        self._source = f"file:{path.name}" if path else ""
        self._known: _Signs | None = None
        self._notebooks: tuple[Path, ...] = ()
        self._told = ""

    def tick(self) -> None:
        """Read it where it is new; a bad one is told to the operator, once."""
        if self._path is None:
            return
        signs = _signs((self._path, *self._notebooks))
        if signs == self._known:
            return
        if not self._path.exists() and not self._schedules.list(source=self._source):
            return
        try:
            found = read(self._path)
            notebooks = tuple(self._path.parent / x.entry.notebook for x in found)
            # of new ones it is not known whether they have changed since: the next tick reads again
            known = signs if notebooks == self._notebooks else None
            self._notebooks = notebooks
            self._apply(found)
        except Unavailable as e:
            log.info("%s is read again: %s", self._path, e)
            return
        except Refusal as e:
            self._tell(str(e))
            known = _signs((self._path, *self._notebooks))
        self._known = known

    def _tell(self, problem: str) -> None:
        if problem != self._told:
            metrics.TOLD.inc()
            log.error("the schedules are left as they were: %s", problem)
        self._told = problem

    def _apply(self, found: list[Read]) -> None:
        old = {x.id: x for x in self._schedules.list(source=self._source)}
        made = [self._made(x) for x in found]
        # all of them are good: only now anything is changed
        for one, new in zip(found, made, strict=True):
            self._put(old.pop(new.id, None), new, one.submission)
        if old:
            self._schedules.drop(list(old.values()))
            log.info("%s: %d schedules stand there no more", self._path, len(old))
        self._told = ""

    def _put(self, there: Schedule | None, new: Schedule, wanted: Submission) -> None:
        """As the file says; a pause by hand, or its end, stays until the file's own changes."""
        said = self._said(new.id)
        by_hand = said is None or said == new.paused

        def over(there: Schedule | None) -> Schedule:
            if there is None:
                return new
            paused = there.paused if by_hand else new.paused
            return replace(new, made_at=there.made_at, paused=paused)

        if there is None or self._differs(there, over(there), wanted):
            self._schedules.put(new, wanted, over)
            log.info("%s: schedule %s of %s (%s)", self._path, new.id, new.user, new.name)
        if said != new.paused:
            self._say(new)

    def _said(self, id: str) -> bool | None:
        """Whether it was paused in the file when that was read last; None: nobody knows."""
        with suppress(FileNotFoundError):
            said = (self._schedules.files.folder(id) / _PAUSED).read_text()
            return {"true": True, "false": False}.get(said)
        return None

    def _say(self, new: Schedule) -> None:
        try:
            (self._schedules.files.folder(new.id) / _PAUSED).write_text(json.dumps(new.paused))
        except OSError as e:
            raise Unavailable("The notebook cannot be stored: {error}.", error=e) from e

    def _made(self, one: Read) -> Schedule:
        assert self._path is not None
        # the same one again, whatever else is changed in it: its slots stay had
        key = json.dumps([one.entry.plan.source, one.entry.user, one.entry.plan.name.strip()])
        id = hashlib.sha256(key.encode()).hexdigest()[:10]
        try:
            return self._schedules.made(
                one.submission, one.entry.plan, id, check=self._check
            )
        except BadInput as e:
            raise _refused(self._path, one.entry.at(_KEYS.get(e.reason, "")), e) from e

    def _check(self, run: Run) -> None:
        """What stays as it is. Cards, groups and people come and go: a slot's turn looks at them.

        Raises:
            BadInput: an image that is not allowed, a size that no card has.
        """
        allowed.check_image(self._schedules.batch.settings, run.image)
        if not sizes.known(run.profile):
            sizes.check_profile(self._schedules.batch.broker.state(), run.profile)

    def _differs(self, there: Schedule, new: Schedule, wanted: Submission) -> bool:
        """Whether the file says something else than it did."""
        same = replace(new, seen=there.seen, next_at=there.next_at)
        try:
            kept = self._schedules.files.input(there.id)
        except FileNotFoundError:
            return True
        return same != there or kept != json.dumps(wanted.notebook).encode()


def _signs(paths: Iterable[Path]) -> _Signs:
    found = []
    for path in paths:
        try:
            seen = path.stat()
            found.append((str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino))
        except OSError:
            found.append((str(path), 0, 0, 0))
    return tuple(found)
