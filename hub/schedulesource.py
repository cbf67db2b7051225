"""Schedules that somebody writes in a file: kept as it says, whole or not at all."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub import allowed
from hub.core import schedulefile, schedules, sizes
from hub.core.runs import Run, Submission
from hub.core.schedulefile import Entry
from hub.core.schedules import Schedule
from hub.edge import cron
from hub.errors import BadInput, Refusal, Text, Unavailable
from hub.schedules import Schedules

log = logging.getLogger("madang.schedules")
# what a submission takes from an entry as it is
_SUBMITTED = ("profile", "image", "cwd", "timeout", "retries", "group", "parameters", "sweep")
# the key that a refusal is about, by its reason
_KEYS = {
    "image": "image", "unknown-profile": "profile", "unknown-parameter": "parameters",
    "parameters-too-large": "parameters", "sweep": "sweep", "timeout": "timeout", "path": "cwd",
    "retries": "retries", "not-a-notebook": "notebook",
}
_PAUSED = "paused"  # a file beside its inputs: the row may say something else, by hand


@dataclass(frozen=True)
class Read:
    """One schedule of the file, and the notebook that it names."""

    entry: Entry
    submission: Submission


def taken(entry: Entry, notebook: Callable[[Entry], dict[str, Any]], file: str) -> Read:
    """An entry as far as it can be told without the machine; `notebook` reads what it names.

    Raises:
        BadInput: reason "schedules-file": the first problem, with its line.
    """
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
            raise refused(file, entry.at(key), e) from e
    values = {k: entry.values[k] for k in _SUBMITTED if k in entry.values}
    return Read(entry, Submission(
        user=entry.user, name=Path(entry.notebook).name, notebook=notebook(entry),
        notify=tuple(entry.values.get("notify", ())),
        secrets=tuple(entry.values.get("secrets", ())),
        **{"parameters": {}, **values},
    ))


def refused(file: str, line: int, why: Refusal) -> BadInput:
    """A refusal of the file, for what was refused of one line."""
    return schedulefile.problem(file, line, Text(why.template, **why.values))


class Source:
    """The schedules of one source, and how they are made to be as it says.

    Args:
        source: what their rows say where they come from: "file:NAME".
        file: what is said of it in refusals.
    """

    def __init__(self, schedules: Schedules, source: str, file: str) -> None:
        self._schedules = schedules
        self._source = source
        self._file = file

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return not self._schedules.list(source=self._source)

    def apply(self, found: Sequence[Read]) -> None:
        """Keep these, and no others.

        Raises:
            BadInput: one cannot be; nothing is changed then.
            Unavailable: the disk is full or the store does not answer.
        """
        old = {x.id: x for x in self._schedules.list(source=self._source)}
        made = [self.made(x) for x in found]
        # all of them are good: only now anything is changed
        for one, new in zip(found, made, strict=True):
            self._put(old.pop(new.id, None), new, one.submission)
        if old:
            self._schedules.drop(list(old.values()))
            log.info("%s: %d schedules stand there no more", self._source, len(old))

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
            log.info("%s: schedule %s of %s (%s)", self._source, new.id, new.user, new.name)
        if said != new.paused or self._said(new.id) is None:
            self._say(new)

    def _said(self, id: str) -> bool | None:
        """Whether it was paused in the file when that was read last; None: nobody knows."""
        with suppress(FileNotFoundError):
            said = (self._schedules.files.folder(id) / _PAUSED).read_text()
            return {"true": True, "false": False}.get(said)
        return None

    def _say(self, new: Schedule) -> None:
        folder = self._schedules.files.folder(new.id)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / _PAUSED).write_text(json.dumps(new.paused))
        except OSError as e:
            raise Unavailable("The notebook cannot be stored: {error}.", error=e) from e

    def made(self, one: Read) -> Schedule:
        """The schedule, as yet kept nowhere.

        Raises:
            BadInput: reason "schedules-file": it cannot be, with its line.
        """
        # the same one again, whatever else is changed in it: its slots stay had
        key = json.dumps([one.entry.plan.source, one.entry.user, one.entry.plan.name.strip()])
        id = hashlib.sha256(key.encode()).hexdigest()[:10]
        try:
            return self._schedules.made(
                one.submission, one.entry.plan, id, check=self._check
            )
        except BadInput as e:
            raise refused(self._file, one.entry.at(_KEYS.get(e.reason, "")), e) from e

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
        same = replace(new, seen=there.seen, next_at=there.next_at, input=there.input)
        try:
            kept = self._schedules.files.input(there.input_id)
        except FileNotFoundError:
            return True
        return same != there or kept != json.dumps(wanted.notebook).encode()
