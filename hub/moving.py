"""Moving runs: who is planned and asks now, who starts, who has ended and how.

Nothing here waits for a container: each tick compares what the store says of a run with what
Docker says of its container, and moves the run by what it sees. A killed service loses nothing
but the seconds until the next tick. A run that has to give its slice back is stopped, saves, and
waits again with its age: another attempt, under another lease.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub import metrics
from hub.broker import Broker
from hub.containers import LastWords, last_words, run_spec
from hub.core import planning, runs
from hub.core.lease import OPEN, Kind, Lease, Stage, State, Why
from hub.core.runs import Run, RunStage
from hub.core.told import progress_of, steps_of
from hub.edge.engine import Container
from hub.errands import Errands
from hub.errors import NotFound, Refusal, Unavailable, Unknown
from hub.handing import Handing
from hub.pruning import Pruning
from hub.results import Results
from hub.runfiles import RunFiles

log = logging.getLogger("madang.moving")
# after its own time-out the runner still saves; then it is stopped from outside
_OVERTIME = timedelta(seconds=60)
_RESULTS_WAIT = timedelta(minutes=1)
_LIKE_IT = 5  # runs that went well, by which is guessed how long the next will take


class Mover:
    """Moves the runs of one installation; one service ticks it."""

    def __init__(
        self, broker: Broker, files: RunFiles,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.broker = broker
        self.settings = broker.settings
        self.files = files
        self.clock = clock
        self.errands = Errands()
        self.secrets = Handing(broker.settings, broker.members)
        self.tell: Callable[[Run], None] = lambda _: None  # of a run that has ended; never waits
        self.wake: Callable[[], None] = lambda: None  # there is something for the next tick
        self._store = broker.edges.store
        self._engine = broker.edges.engine
        self._results = Results(self._engine, files, self.settings.output_mib << 20)
        self._pruning = Pruning(self._store, files, self.settings.keep_days)

    def tick(self) -> None:
        """Move every run that has not ended by what its lease and its container show."""
        self._pruning.tick(self.clock())
        self._promote()
        moving = self._store.runs(user=None, limit=sys.maxsize, stages=planning.IN_LINE)
        self.secrets.sweep({x.lease_id for x in moving})
        try:
            state = self.broker.state()
            self._clear_old(state, {x.lease_id for x in moving})
            if not moving:
                return
            containers = {c.lease: c for c in self._engine.containers() if c.kind == Kind.RUN}
        except (Unknown, Unavailable):
            return
        for run in reversed(moving):  # who has waited longest asks first
            if not self.errands.busy(run.id):
                self._apart(run.id, self._move, run, containers, state)

    def _apart(self, id: str, work: Callable[..., None], *args: object) -> None:
        """Whatever one run's trouble is, it must not hold up the others."""
        try:
            work(*args)
        except Unknown as e:
            log.warning("run %s is looked at again later: %s", id, e)
        except Exception:
            log.exception("run %s is looked at again later", id)

    def _promote(self) -> None:
        """Those planned runs whose turn it is stand in the line; they ask in the same tick."""
        planned, ended = self._store.planned()
        if not planned:
            return
        in_line = self._store.runs(user=None, limit=sys.maxsize, stages=planning.IN_LINE)
        now = self.clock()
        turn = planning.promote(
            planned, in_line, ended, most=self.settings.runs_in_line, now=now
        )
        for id, why in turn.gone.items():
            self.update(id, lambda r, why=why: runs.cancelled(r, why, at=now))  # type: ignore[misc]
        if turn.ask:
            with self._store.write() as unit:
                for i, run in enumerate(filter(None, map(unit.run, turn.ask))):
                    # each a little later, or their ids would say who is first in the line
                    at = now + i * timedelta(microseconds=1)
                    unit.put_run(planning.enters(run, at=at))

    def _move(self, run: Run, containers: Mapping[str, Container], state: State) -> None:
        container = containers.get(run.lease_id)
        lease = state.leases.get(run.lease_id) or self._store.lease(run.lease_id)
        if container is not None and (container.running or container.finished_at):
            self._follow(run, container, lease)
        elif lease is None:
            self._ask_again(run)
        elif run.stage is RunStage.STOPPING or lease.stage not in (Stage.WAITING, Stage.GRANTED):
            # one that was made and not started is removed first, so that none comes up late
            if container is None or not runs.gives_way(run, lease):
                self._without_container(run, lease)
        elif lease.stage is Stage.GRANTED:
            # also where a container was made and not started: the start finishes it
            self.errands.start(run.id, self.start, run, lease)

    def _clear_old(self, state: State, known: set[str]) -> None:
        for lease in state.leases.values():
            if lease.request.kind is Kind.RUN and lease.id not in known:
                self._apart(lease.request.name, self._clear, lease)

    def _clear(self, lease: Lease) -> None:
        """A lease that no run needs any more goes, and its container: a service died before that.

        The run has ended, or is at another attempt.
        """
        run = self._store.run(lease.request.name)
        if run is not None and not run.done and run.lease_id == lease.id:
            return  # new
        if lease.stage in OPEN:
            self.broker.withdraw(lease.id, "its run is over")
        elif lease.stage is Stage.DRAINING:  # aside: what cannot be killed takes Docker long
            self.errands.stop(f"{lease.id} left", self._engine.remove, lease.id)

    def _follow(self, run: Run, container: Container, lease: Lease | None) -> None:
        if not container.running:
            self._finish(run, container, lease)
            return
        if run.stage in (RunStage.WAITING, RunStage.STARTING):
            # the service died between the start and telling of it
            self._now_running(run)
        if lease is not None and lease.why is Why.HAND:
            run = self._update_attempt(
                run, lambda r: runs.cancelled(r, lease.cause, at=self.clock())
            )
            if run.lease_id != container.lease:
                return
        late = self._overdue(run, self.clock())
        if run.stage is RunStage.STOPPING or runs.gives_way(run, lease) or late:
            self.stop(run)
        self._note_progress(run)

    def _overdue(self, run: Run, at: datetime) -> bool:
        if run.started_at is None:
            return False
        return at > run.started_at + timedelta(seconds=run.timeout) + _OVERTIME

    def _note_progress(self, run: Run) -> None:
        said = self._engine.logs(run.lease_id, tail=200).decode(errors="replace")
        done, cells, _ = progress_of(said)
        steps = steps_of(said)
        # a chatty cell pushes our own lines out of the log's end: what was known stands
        now = replace(
            run, cells_done=done or run.cells_done, cells=cells or run.cells,
            steps_done=steps[0] if steps[1] else run.steps_done, steps=steps[1] or run.steps,
        )
        if now != run:
            self._update_attempt(run, lambda r: replace(
                r, cells_done=now.cells_done, cells=now.cells, steps_done=now.steps_done,
                steps=now.steps,
            ))

    # ---- ends --------------------------------------------------------------------------------

    def _finish(self, run: Run, container: Container, lease: Lease | None) -> None:
        """Keep the log, say how it ended, remove the container, give the slice back."""
        code = container.exit_code if container.exit_code is not None else -1
        last = LastWords(code, container.oom, self._engine.logs(run.lease_id))
        kept = self._keep_results(run, container.finished_at)
        after = self._end(run, lease, last, container.finished_at, kept)
        self.broker.ended(run.lease_id, f"run {after.stage.value}")
        self._engine.remove(run.lease_id)
        self.wake()  # its slice is somebody's

    def _keep_results(self, run: Run, at: datetime | None) -> Callable[[Run], Run]:
        try:
            return self._results.keep(run)
        except Unknown:
            # whatever is odd about its files: the end itself does not wait for them for ever
            if at is None or self.clock() - at < _RESULTS_WAIT:
                raise
            log.exception("run %s ends without a copy of its results", run.id)
            return lambda r: r

    def _without_container(self, run: Run, lease: Lease) -> None:
        """Its lease is over or to end, and no container runs: what the tick has kept tells, if any.

        Without that it was cancelled before it ran, it gave way, or it was lost.
        """
        kept = last_words(self.settings.data, run.lease_id)
        if kept and kept.exit_code is not None:
            self._end(run, lease, kept, lease.ended_at, lambda r: r)
        else:
            if kept:
                self.files.keep_log(run.id, run.attempt, kept.log)
            now = self.clock()
            self._update_attempt(run, lambda r: planning.mended(
                runs.vanished(r, lease, at=now), at=now
            ))
        self.broker.withdraw(run.lease_id, "its run is over")

    def _end(
        self, run: Run, lease: Lease | None, last: LastWords, at: datetime | None,
        told: Callable[[Run], Run],
    ) -> Run:
        """The run after its container's end; `last.exit_code` is known, `told` adds its results."""
        self.files.keep_log(run.id, run.attempt, last.log)
        # judged at its end: a service that was away for a night must not call a failure a time-out
        now = self.clock()
        at = at or now
        said, overdue = last.log.decode(errors="replace"), self._overdue(run, at)
        code = -1 if last.exit_code is None else last.exit_code
        return self._update_attempt(run, lambda r: planning.mended(told(runs.ended(
            r, code, said, lease, at=at, oom=last.oom, overdue=overdue
        )), at=now))

    # ---- starting and stopping ---------------------------------------------------------------

    def start(self, run: Run, lease: Lease) -> None:
        """Start the container of a run that has been given a slice."""
        began = time.monotonic()
        try:
            digest = self._engine.images().get(run.image, "")
        except Unknown as e:
            log.warning("run %s is started later: %s", run.id, e)
            return
        run = self.update(run.id, lambda r: runs.starting(r, lease, digest))
        if run.stage is not RunStage.STARTING or run.lease_id != lease.id:
            return
        try:
            options = self.broker.container_options(lease, user=run.user, kind=Kind.RUN)
            spec = run_spec(
                self.settings, run, lease, options, notebook=self.files.input(run.input_id),
                snapshot=self.files.snapshot(run.input_id), handed=self.secrets.hand(run),
            )
            self._engine.start_run(spec, confirm=lambda: self.broker.may_start(lease.id))
        except (Refusal, Unknown, OSError) as e:
            self._not_started(run, e)
            return
        metrics.START.labels(Kind.RUN.value).observe(time.monotonic() - began)
        self._now_running(run)

    def _now_running(self, run: Run) -> None:
        lease = self._store.lease(run.lease_id)
        # one whose lease was ended from outside meanwhile is told to stop, not removed at once
        if lease is None or lease.why is None:
            self.broker.started(run.lease_id)
        self.update(run.id, lambda r: runs.running(r, run.attempt, at=self.clock()))

    def _not_started(self, run: Run, error: Exception) -> None:
        if isinstance(error, Unknown):
            # the container may be there all the same: the next ticks will see
            log.warning("run %s: the start gave no answer: %s", run.id, error)
            return
        now = self.clock()
        lease = self._store.lease(run.lease_id)
        if lease is not None and lease.why is not None:
            self._update_attempt(run, lambda r: runs.vanished(r, lease, at=now))
            return
        # Docker, the card or the disk failed: a retry may mend that; what was asked for, it cannot
        mendable = isinstance(error, Unavailable | OSError) and not isinstance(
            error, FileNotFoundError)
        self._update_attempt(run, lambda r: planning.not_started(
            r, str(error), mendable=mendable, at=now
        ))
        self.broker.withdraw(run.lease_id, f"could not start: {error}")

    def stop(self, run: Run) -> None:
        """Tell its container to save and end; does not wait for it."""
        self.errands.stop(run.id, self._stop, run)

    def _stop(self, run: Run) -> None:
        try:
            self._engine.stop(run.lease_id, self.settings.run_stop_timeout)
        except (Unknown, Unavailable) as e:
            log.warning("run %s does not stop yet: %s", run.id, e)

    # ---- asking ------------------------------------------------------------------------------

    def ask(self, run: Run) -> Lease:
        """Ask for a slice for this attempt, with the age that the run has in the line.

        Raises:
            Refusal: it is not to be had, or nothing answers.
        """
        former = self._store.lease(run.former_lease) if run.former_lease else None
        return self.broker.ask(
            user=run.user, kind=Kind.RUN, name=run.id, profile=run.profile, image=run.image,
            id=run.lease_id, group=run.group or (former.request.group if former else ""),
            asked_at=run.lined_at or run.asked_at, again=run.attempt > 1,
            # the longest of the last few: it may have had less to do for once
            needs=max(self._store.took(run, _LIKE_IT), default=None),
        )

    def _ask_again(self, run: Run) -> None:
        """It was planned, or gave its slice back; or the service died before it had asked."""
        try:
            lease = self.ask(run)
        except Unavailable as e:
            log.warning("run %s asks again later: %s", run.id, e)
        except Refusal as e:
            self._not_started(run, e)
        else:
            if lease.stage is Stage.GRANTED:
                self.errands.start(run.id, self.start, run, lease)

    # ---- inside ------------------------------------------------------------------------------

    def update(self, id: str, change: Callable[[Run], Run]) -> Run:
        """Change a run inside one transaction; what somebody else wrote meanwhile is kept.

        Raises:
            NotFound: no such run.
        """
        with self._store.write() as unit:
            run = unit.run(id)
            after = run if run is None else change(run)
            if after is not None and after != run:
                unit.put_run(after)
        if after is None:  # it has ended: nothing moves it any more
            found = self._store.run(id)
            if found is None:
                raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
            return found
        if after.done:
            self.over(after)
        return after

    def _update_attempt(self, seen: Run, change: Callable[[Run], Run]) -> Run:
        """`update` by what was seen of one attempt: a later one has its own end and its tries."""
        return self.update(seen.id, lambda r: change(r) if r.lease_id == seen.lease_id else r)

    def over(self, run: Run) -> None:
        """A run has ended: it is counted, and what is kept of it is kept from now on."""
        self.files.used(run.input_id)
        self.tell(run)
        metrics.run_done(run)
        log.info("run %s of %s: %s (%s)", run.id, run.user, run.stage.value, run.message)
