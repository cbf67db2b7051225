"""Runs: submit one or a sweep, plan it, cancel it, run it again. `moving` does the rest."""

import builtins
import json
import logging
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

from hub import allowed
from hub.broker import Broker
from hub.core import claims, planning, roster, runs, sizes, sweeps
from hub.core.hours import local_of, zone_of
from hub.core.lease import Kind, Request
from hub.core.notebook import Json
from hub.core.once import Once
from hub.core.runs import Run, RunStage, Submission, new_run
from hub.core.sweeps import Sweep, SweepLine
from hub.edge.store import Unit
from hub.errors import NotFound, Refusal, Text, Unavailable, Unknown
from hub.moving import Mover
from hub.rerunning import differences
from hub.runfiles import RunFiles
from hub.taking import Taking, note
from hub.telling import Telling

log = logging.getLogger("madang.batch")
_EVERY = sys.maxsize


@dataclass(frozen=True)
class Rerun:
    """A run that repeats an earlier one, and how it will differ from it."""

    run: Run
    differs: tuple[Text, ...]


class Batch:
    """Runs of one installation; one service ticks it, anybody may submit and cancel."""

    def __init__(
        self, broker: Broker, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.broker = broker
        self.settings = broker.settings
        self.files = RunFiles(broker.settings)
        self.mover = Mover(broker, self.files, clock)
        self.telling = Telling(broker.settings)
        self._store = broker.edges.store
        self.taking = Taking(self._store)
        self._engine = broker.edges.engine

    def close(self) -> None:
        """Let starts and stops under way finish; no new ones."""
        self.mover.errands.close()

    def tick(self) -> None:
        """Move every run that has not ended."""
        self.mover.tick()

    # ---- submitting ------------------------------------------------------------------------

    def submit(self, wanted: Submission, once: Once | None = None) -> Run:
        """Check the notebook, keep a copy of it, and stand in line, or be planned.

        Raises:
            BadInput: not a notebook, a parameter it does not know, a path that leaves the home,
                an image or a profile that is not to be had. Nothing is kept then.
            Unavailable: the disk is full or the store does not answer.
        """
        wanted = self._named(wanted)
        return self._kept(wanted, [self.made(wanted)], once)[0]

    def sweep(self, wanted: Submission, once: Once | None = None) -> Sweep:
        """The same for every point of a sweep: all of them or none.

        Raises:
            BadInput, Unavailable: as `submit`; or its values are none, or too many.
        """
        wanted = self._named(wanted)
        made = self.points(wanted)
        return Sweep(made[0].sweep, tuple(self._kept(wanted, made, once)))

    def made(self, wanted: Submission, day: date | None = None) -> Run:
        """The run, as yet kept nowhere; `day` is in its folder's name, today if not given.

        Raises:
            BadInput: as `submit`.
        """
        return new_run(wanted, id=_new_id(), **self._around(day))

    def points(self, wanted: Submission, day: date | None = None) -> builtins.list[Run]:
        """The same for a sweep.

        Raises:
            BadInput: as `sweep`.
        """
        return sweeps.new_runs(wanted, iter(_new_id, ""), _new_id(), **self._around(day))

    def _around(self, day: date | None) -> dict[str, Any]:
        now = self.mover.clock()
        return {
            "now": now, "image": self.settings.default_image, "limit": self.settings.run_timeout,
            "day": day or local_of(now, zone_of(self.settings.timezone)).date(),
        }

    def _named(self, wanted: Submission) -> Submission:
        """With the whole id of the run that it is to come after."""
        if not wanted.after:
            return wanted
        return replace(wanted, after=self.get(wanted.after, user=wanted.user).id)

    def _kept(
        self, wanted: Submission, made: Sequence[Run], once: Once | None
    ) -> builtins.list[Run]:
        self.check(made[0])
        self.telling.look_up(wanted.user, wanted.notify)
        return self.with_input(made, lambda: self.files.put_input(
            made[0].input_id, wanted.notebook, wanted.snapshot
        ), once)

    def with_input(
        self, made: Sequence[Run], keep: Callable[[], None], once: Once | None = None
    ) -> builtins.list[Run]:
        """Keep the input, then the runs, of this submission; ask where a slice may be had."""
        try:
            keep()
            with self._store.write() as unit:
                placed = self.place(unit, made)
                note(unit, once, made, self.mover.clock())
            for run in placed:
                if run.stage is RunStage.WAITING and len(placed) == 1:
                    self.mover.ask(run)
            self.mover.wake()
        except (Refusal, OSError) as e:
            self._forget(made, e)
            if isinstance(e, OSError):
                raise Unavailable("The notebook cannot be stored: {error}.", error=e) from e
            raise
        return placed

    def place(self, unit: Unit, made: Sequence[Run]) -> builtins.list[Run]:
        """Put these runs of one person into a write: in the line, or planned.

        Raises:
            Refusal: the person has too many.
        """
        has, in_line = unit.look.counts(made[0].user)
        planning.check_share(has, len(made), self.settings.runs_open)
        room, now = self.settings.runs_in_line - in_line, self.mover.clock()
        # the runs of a sweep come into the line with the next tick, each for itself
        placed = [
            planning.planned(x, now, room=room > 0 and len(made) == 1) for x in made
        ]
        for run in placed:
            unit.put_run(run)
        return placed

    def check(self, run: Run) -> None:
        """Refuse at once what would be refused when it asks, perhaps in the middle of a night.

        Raises:
            BadInput: an image, a profile, a group or a secret that is not to be had, or what it is
                to come after will never succeed.
            Unavailable: the disk is full, or no card was seen yet.
        """
        allowed.check_image(self.settings, run.image)
        allowed.check_disk(self.settings, self.broker.edges.homes)
        state, now = self.broker.state(), self.mover.clock()
        sizes.check_profile(state, run.profile)
        self.mover.secrets.check(run.user, run.secrets)
        self.telling.check(run.user, run.notify)
        groups = roster.groups_of(self.broker.members(), run.user)
        group = run.group or claims.default_group(state, groups, now)
        claims.check_request(state, Request(
            id=run.id, user=run.user, kind=Kind.RUN, name=run.id, profile=run.profile,
            image=run.image, asked_at=now, group=group, member_of=groups,
        ), now)
        if run.after:
            planning.check_after(self.get(run.after, user=run.user))

    # ---- again -----------------------------------------------------------------------------

    def rerun(
        self, id: str, changes: Mapping[str, Json], *, profile: str = "", image: str = "",
        once: Once | None = None,
    ) -> Rerun:
        """Repeat a run from what was kept of it: the same notebook, folder, parameters, image.

        Raises:
            NotFound: no such run, or its input is kept no more.
            BadInput, Unavailable: as `submit`.
        """
        old = self.get(id)
        try:
            notebook = json.loads(self.files.input(old.input_id))
        except FileNotFoundError as e:
            raise NotFound(
                "The input of run {id} is kept no more: that ends {days} days after its end. "
                "Submit the notebook again.", id=old.id, days=self.settings.keep_days,
            ) from e
        wanted = Submission(
            user=old.user, name=old.notebook, notebook=notebook,
            parameters={**old.parameters, **changes}, profile=profile or old.profile,
            image=image or old.image, cwd=old.cwd, timeout=old.timeout, group=old.group,
            retries=old.retries + old.retried, secrets=old.secrets, notify=old.notify,
        )
        made = self.made(wanted)
        self.check(made)
        found = self.compared(old, made)
        keep = partial(self.files.copy_input, made.id, self.files, old.input_id)
        return replace(found, run=self.with_input([made], keep, once)[0])

    def compared(self, old: Run, new: Run) -> Rerun:
        """A run that repeats `old`, and in what it differs."""
        return Rerun(new, differences(self._engine, self._store, self.files, old, new))

    # ---- cancelling ------------------------------------------------------------------------

    def cancel(self, id: str, by: str, reason: str = "") -> Run:
        """Take a run out of the line, or stop it: it saves and ends within the stop time-out.

        Cancelling a run that has ended changes nothing.

        Raises:
            NotFound: no such run.
        """
        run = self.get(id)
        if run.done:
            return run
        why = runs.cancelled_by(by, reason)
        run = self.mover.update(
            run.id, lambda r: runs.cancelled(r, why, at=self.mover.clock())
        )
        self.let_go(run, why)
        return run

    def cancel_sweep(self, id: str, by: str) -> Sweep:
        """Cancel all runs of a sweep that have not ended.

        Raises:
            NotFound: no such sweep.
        """
        self.get_sweep(id)
        why, now = runs.cancelled_by(by), self.mover.clock()
        with self._store.write() as unit:
            found = [
                runs.cancelled(x, why, at=now) for x in unit.look.runs_of("sweep", id)
            ]
            for run in found:
                unit.put_run(run)
        for run in found:
            if run.done:
                self.mover.over(run)
            self.let_go(run, why)
        return self.get_sweep(id)

    def let_go(self, run: Run, why: str) -> None:
        """A cancelled run's place in the line goes, or its container is told to save and end."""
        if run.done:
            self.broker.withdraw(run.lease_id, why)
        else:
            self.mover.stop(run)

    # ---- looking ---------------------------------------------------------------------------

    def get(self, id: str, *, user: str | None = None) -> Run:
        """A run by its id or by a prefix that only it has; `user`: among that person's.

        Raises:
            NotFound: none, or more than one.
        """
        run = self._store.run(id, user=user)
        if run is None:
            raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
        return run

    def list(
        self, *, user: str | None = None, limit: int = 100, sweep: str | None = None,
        schedule: str | None = None, ended_since: datetime | None = None,
    ) -> list[Run]:
        """Runs, newest first."""
        return self._store.runs(
            user=user, limit=limit, sweep=sweep, schedule=schedule, ended_since=ended_since
        )

    def heads(
        self, *, user: str | None = None, limit: int = 100, sweep: str | None = None,
        schedule: str | None = None,
    ) -> builtins.list[tuple[str, str, RunStage]]:
        """(id, user, stage) of runs, newest first."""
        return self._store.run_heads(user=user, limit=limit, sweep=sweep, schedule=schedule)

    def of_ids(self, ids: Sequence[str]) -> dict[str, Run]:
        """The runs of these ids, as far as there are any."""
        return self._store.runs_by_id(ids)

    def get_sweep(self, id: str, *, user: str | None = None) -> Sweep:
        """A sweep with all its runs, in the order of its points; `user`: if it is that person's.

        Raises:
            NotFound: no such sweep.
        """
        found = self._store.runs(user=user, limit=_EVERY, sweep=id) if id else []
        if not found:
            raise NotFound("There is no sweep {id}. `madang run list` shows yours.", id=id)
        return Sweep(id, tuple(reversed(found)))

    def sweeps(self, *, user: str | None = None, limit: int = 100) -> builtins.list[SweepLine]:
        """Sweeps, newest first."""
        return sweeps.lines(self._store.sweeps(user=user, limit=limit))

    def open_runs(self) -> builtins.list[Run]:
        """All runs in the line or running, newest first; planned ones are not among them."""
        return self._store.runs(user=None, limit=_EVERY, stages=planning.IN_LINE)

    def counts(self) -> dict[RunStage, int]:
        """How many runs have not ended, by stage."""
        return self._store.run_counts()

    def logs(self, id: str) -> bytes:
        """What the run has printed so far, in all attempts; empty before it has started."""
        run = self.get(id)
        *earlier, last = (self.files.log(run.id, x) for x in range(1, run.attempt + 1))
        if last is None:
            try:
                last = self._engine.logs(run.lease_id)
            except Unknown as e:
                raise Unavailable(
                    "Docker gives no answer just now; try again.", detail=str(e)
                ) from e
        return b"".join([*(x or b"" for x in earlier), last])

    # ---- inside ----------------------------------------------------------------------------

    def _forget(self, made: Sequence[Run], error: Exception) -> None:
        log.info("%d runs of %s are refused: %s", len(made), made[0].user, error)
        with self._store.write() as unit:  # first: where that fails they stay, and run
            for run in made:
                unit.drop_run(run.id)
        self.files.forget(made[0].input_id)


def _new_id() -> str:
    return secrets.token_hex(5)
