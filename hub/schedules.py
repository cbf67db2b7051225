"""Schedules: make, change, pause, remove, run now. `occurring` makes runs of their slots."""

import builtins
import json
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from hub.batch import Batch
from hub.core import schedules
from hub.core.notebook import Json
from hub.core.once import Once
from hub.core.runs import Run, Submission
from hub.core.schedules import Occurrence, Plan, Schedule, Slot
from hub.edge import cron
from hub.errors import NotFound, Refusal, Unavailable

log = logging.getLogger("madang.schedules")
PERSON = "person"
_MOST = 100  # schedules of one person
_SHOWN = 3  # slots ahead that are told
_INPUT = frozenset({"notebook", "snapshot"})  # of a submission, what lies in files
_FIELDS = {"name": "notebook"}  # of a submission → of a schedule, where it is another


class Schedules:
    """Schedules of one installation; anybody may change theirs."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.files = batch.files.schedules
        self._store = batch.broker.edges.store
        # a row and its files change together: nobody makes runs of one old and one new
        self.lock = threading.RLock()

    # ---- verbs -----------------------------------------------------------------------------

    def add(self, wanted: Submission, plan: Plan) -> Schedule:
        """Keep a notebook, and when it is to run.

        Raises:
            BadInput: what no schedule or no run can be. Nothing is kept then.
            Refusal: the person has too many, or one of this name.
            Unavailable: the disk is full or the store does not answer.
        """
        made = self.made(wanted, plan, secrets.token_hex(5))
        self.batch.telling.look_up(wanted.user, wanted.notify)
        return self.put(made, wanted, check=self._check_others)

    def change(self, id: str, when: Mapping[str, Any], what: Mapping[str, Any]) -> Schedule:
        """Change fields of its plan and of its submission; all others stay as they are then.

        Raises:
            NotFound: no such schedule.
            BadInput, Unavailable: as `add`; nothing is changed then.
            Refusal: it stands in a file, and more than `paused` was to be changed.
        """
        if "notify" in what:
            self.batch.telling.look_up(self.get(id).user, what["notify"])
        with self.lock:
            old = self.get(id)
            if what or set(when) - {"paused"}:
                _check_source(old)
            # another notebook comes with its own folder, or with none
            what = {"snapshot": b"", **what} if "notebook" in what else what
            wanted = replace(self.submission(old), **what)
            made = self.made(wanted, replace(_plan(old), **when), id)
            asked = [*when, *(_FIELDS.get(x, x) for x in what if x not in _INPUT)]

            def changed(there: Schedule | None) -> Schedule:
                if there is None:
                    raise _none(id)
                return replace(there, seen=made.seen, **{x: getattr(made, x) for x in asked})

            return self.put(
                made, wanted if _INPUT & what.keys() else None, changed,
                check=self._check_others,
            )

    def remove(self, id: str) -> Schedule:
        """Forget a schedule; its runs stay, also those that have not ended.

        Raises:
            NotFound: no such schedule.
            Refusal: it stands in a file.
        """
        with self.lock:
            old = self.get(id)
            _check_source(old)
            self.drop([old])
        return old

    def run_now(
        self, id: str, parameters: Mapping[str, Json] = MappingProxyType({}),
        once: Once | None = None,
    ) -> list[Run]:
        """Make its runs now, beside its slots: one run, or those of a sweep.

        Args:
            parameters: in place of its own, this time; one that it sweeps has this value alone.

        Raises:
            NotFound: no such schedule.
            BadInput: a parameter that the notebook does not know.
            Refusal: a run is not taken.
        """
        with self.lock:
            found = self.get(id)
            asked = replace(
                found, parameters={**found.parameters, **parameters},
                sweep={k: x for k, x in found.sweep.items() if k not in parameters},
            )
            made = self.runs_of(asked, None)
            self.batch.check(made[0])
            return self.batch.with_input(made, lambda: self.keep_for(made, found), once)

    # ---- looking ---------------------------------------------------------------------------

    def get(self, id: str, *, user: str | None = None) -> Schedule:
        """A schedule; `user`: if it is that person's.

        Raises:
            NotFound: there is none.
        """
        found = self._store.schedule(id, user=user)
        if found is None:
            raise _none(id)
        return found

    def list(self, *, user: str | None = None, source: str | None = None) -> list[Schedule]:
        """Schedules by name."""
        return self._store.schedules(user=user, source=source)

    def occurrences(self, id: str, *, limit: int = 20) -> builtins.list[Occurrence]:
        """What became of its slots, newest first."""
        return self._store.occurrences(id, limit=limit)

    def upcoming(self, schedule: Schedule) -> builtins.list[Slot]:
        """Its next slots; none while it is paused."""
        now = self.batch.mover.clock()
        return [] if schedule.paused else cron.upcoming(
            schedule.cron, schedule.zone, now, _SHOWN
        )

    # ---- for the file and for the tick -----------------------------------------------------

    def made(
        self, wanted: Submission, plan: Plan, id: str, *,
        check: Callable[[Run], None] | None = None,
    ) -> Schedule:
        """The schedule, as yet kept nowhere; its run was tried out.

        Args:
            check: what the run must pass; all that one must that asks now, if not given.

        Raises:
            BadInput, Unavailable: as `add`.
        """
        now = self.batch.mover.clock()
        zone = plan.zone or self.batch.settings.timezone
        schedules.check_zone(zone)
        first = (self.batch.points(wanted) if wanted.sweep else [self.batch.made(wanted)])[0]
        (check or self.batch.check)(first)
        return Schedule(
            id=id, user=wanted.user, name=schedules.check_name(plan.name),
            cron=cron.check(plan.cron), zone=zone, notebook=wanted.name, profile=wanted.profile,
            made_at=now, seen=now, parameters=dict(wanted.parameters), sweep=dict(wanted.sweep),
            image=wanted.image, cwd=first.cwd, timeout=wanted.timeout, retries=wanted.retries,
            catch_up=schedules.catch_up_of(plan.catch_up),
            overlap=schedules.overlap_of(plan.overlap), paused=plan.paused, notify=wanted.notify,
            secrets=wanted.secrets, group=wanted.group, source=plan.source,
        )

    def put(
        self, made: Schedule, wanted: Submission | None,
        over: Callable[[Schedule | None], Schedule] | None = None, *,
        check: Callable[[Schedule], None] = lambda _: None,
    ) -> Schedule:
        """Keep a schedule with its input, new or in place of what it was; as it is then.

        Args:
            wanted: None where its input stays.
            over: what becomes of the one that is there in the write; `made`, if not given.

        Raises:
            Refusal: what `check` or `over` refuses.
            Unavailable: the disk is full or the store does not answer.
        """
        with self.lock:
            check(made)
            # the row names the folder: both change together, whoever is killed in between; a folder
            # that no row names is pruned
            place = f"{made.id}-{secrets.token_hex(4)}" if wanted else ""
            try:
                if wanted:
                    self.files.put_input(place, wanted.notebook, wanted.snapshot)
                kept = self._write(made, over or (lambda _: made), place)
            except (Refusal, OSError) as e:
                # an answer that was lost may have been a yes: then the row names it, else it is
                # pruned
                if wanted and not isinstance(e, Unavailable):
                    self.files.forget(place)
                if isinstance(e, OSError):
                    raise Unavailable("The notebook cannot be stored: {error}.", error=e) from e
                raise
        return kept

    def _write(
        self, made: Schedule, over: Callable[[Schedule | None], Schedule], place: str
    ) -> Schedule:
        with self._store.write() as unit:
            there = unit.look.schedule(made.id)
            kept = _with_seen(there, over(there))
            kept = replace(kept, input=place or (there.input if there else ""))
            unit.put_schedule(kept)
        if there is not None and there.input_id != kept.input_id:
            self.files.forget(there.input_id)
        return kept

    def drop(self, gone: Sequence[Schedule]) -> None:
        """Forget these, and what became of their slots."""
        with self.lock:
            with self._store.write() as unit:
                for one in gone:
                    unit.drop_schedule(one.id)
            for one in gone:
                self.files.forget(one.id)
                self.files.forget(one.input_id)

    def submission(self, schedule: Schedule) -> Submission:
        """What it runs.

        Raises:
            FileNotFoundError: its notebook is gone.
        """
        return Submission(
            user=schedule.user, name=schedule.notebook,
            notebook=json.loads(self.files.input(schedule.input_id)),
            snapshot=self.files.snapshot(schedule.input_id), parameters=schedule.parameters,
            sweep=schedule.sweep, profile=schedule.profile, image=schedule.image,
            cwd=schedule.cwd, timeout=schedule.timeout, retries=schedule.retries,
            notify=schedule.notify, secrets=schedule.secrets, group=schedule.group,
        )

    def runs_of(self, schedule: Schedule, slot: Slot | None) -> builtins.list[Run]:
        """The runs of a slot, as yet kept nowhere; None is beside the slots.

        Raises:
            BadInput: its notebook or its settings are not taken any more.
            FileNotFoundError: its notebook is gone.
        """
        wanted, day = self.submission(schedule), slot.local.date() if slot else None
        made = self.batch.points(wanted, day) if wanted.sweep else [self.batch.made(wanted, day)]
        return [
            replace(x, schedule=schedule.id, slot=slot.name if slot else "") for x in made
        ]

    def keep_for(self, made: Sequence[Run], schedule: Schedule) -> None:
        """The schedule's input is that of these runs.

        Raises:
            OSError: it cannot be.
        """
        self.batch.files.copy_input(made[0].input_id, self.files, schedule.input_id)

    def _check_others(self, made: Schedule) -> None:
        others = [x for x in self.list(user=made.user) if x.id != made.id]
        if any(x.name == made.name for x in others):
            raise Refusal(
                "{user} has a schedule {name} already. Choose another name, or replace that one "
                "(`--replace`).",
                reason="schedule", status=409, user=made.user, name=repr(made.name),
            )
        if len(others) >= _MOST:
            raise Refusal(
                "You have {most} schedules, and more are not taken. Remove one first.",
                reason="schedule", status=429, most=_MOST,
            )


def _check_source(schedule: Schedule) -> None:
    if schedule.source != PERSON:
        raise Refusal(
            "The schedule {name} stands in {file}: change it there. Here it can be paused.",
            reason="schedule", status=409, name=repr(schedule.name),
            file=schedule.source.partition(":")[2],
        )


def _plan(schedule: Schedule) -> Plan:
    catch_up = f"{schedule.catch_up}h" if schedule.catch_up else "none"
    return Plan(
        schedule.name, schedule.cron, schedule.zone, catch_up, schedule.overlap.value,
        schedule.paused, schedule.source,
    )


def _none(id: str) -> NotFound:
    return NotFound("There is no schedule {id}. `madang schedule list` shows yours.", id=id)


def _with_seen(there: Schedule | None, made: Schedule) -> Schedule:
    """With what has had its turn; other times, and those while it was paused, begin anew."""
    same = there is not None and (there.cron, there.zone) == (made.cron, made.zone)
    seen: datetime = made.seen
    if there is not None and same and not (there.paused and not made.paused):
        seen = there.seen
    return seen_until(made, seen)


def seen_until(schedule: Schedule, at: datetime) -> Schedule:
    """The schedule, all slots up to this moment having had their turn."""
    following = cron.following(schedule.cron, schedule.zone, at)
    return replace(schedule, seen=at, next_at=following.at)
