"""Runs: ask for a lease, start the container, follow it, end the lease whatever happens.

Nothing here waits for a container: each tick compares what the store says of a run with what
Docker says of its container, and moves the run by what it sees. A killed service loses nothing
but the seconds until the next tick. A run that has to give its slice back is stopped, saves, and
waits again with its age: another attempt, under another lease.
"""

import builtins
import logging
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub import metrics
from hub.broker import Broker
from hub.containers import LastWords, last_words, run_spec
from hub.core import runs
from hub.core.lease import OPEN, Kind, Lease, Stage, State, Why
from hub.core.runs import OPEN_RUNS, Run, RunStage, Submission, new_run, progress_of
from hub.edge.engine import Container, ContainerSpec
from hub.errands import Errands
from hub.errors import NotFound, Refusal, Unavailable, Unknown
from hub.runfiles import RunFiles

log = logging.getLogger("madang.batch")
# after its own time-out the runner still saves; then it is stopped from outside
_PRUNE = timedelta(hours=1)
_OVERTIME = timedelta(seconds=60)


class Batch:
    """Runs of one installation; one service ticks it, anybody may submit and cancel."""

    def __init__(
        self, broker: Broker, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.broker = broker
        self.settings = broker.settings
        self._store = broker.edges.store
        self._engine = broker.edges.engine
        self._files = RunFiles(broker.settings.data)
        self._clock = clock
        self._errands = Errands()
        self._pruned = datetime.min.replace(tzinfo=UTC)

    def close(self) -> None:
        """Let starts and stops under way finish; no new ones."""
        self._errands.close()

    # ---- verbs -----------------------------------------------------------------------------

    def submit(self, wanted: Submission) -> Run:
        """Check the notebook, keep a copy of it, and stand in line.

        Raises:
            BadInput: not a notebook, a parameter it does not know, a path that leaves the home,
                an image or a profile that is not to be had. Nothing is kept then.
            Unavailable: the disk is full or the store does not answer.
        """
        run = new_run(
            wanted, id=secrets.token_hex(5), now=self._clock(),
            image=self.settings.default_image, limit=self.settings.run_timeout,
        )
        try:
            self._files.put_input(run.id, wanted.notebook)
            with self._store.write() as unit:
                runs.check_share(unit.runs.values(), run.user, self.settings.runs_open)
                unit.put_run(run)
            self._ask(run)
        except (Refusal, OSError) as e:
            self._forget(run, e)
            if isinstance(e, OSError):
                raise Unavailable("The notebook cannot be stored: {error}.", error=e) from e
            raise
        return run

    def cancel(self, id: str, by: str) -> Run:
        """Take a run out of the line, or stop it: it saves and ends within the stop time-out.

        Cancelling a run that has ended changes nothing.

        Raises:
            NotFound: no such run.
        """
        run = self.get(id)
        if run.done:
            return run
        run = self._update(run.id, lambda r: runs.cancelled(
            r, f"cancelled by {by}", at=self._clock()
        ))
        if run.done:
            self.broker.withdraw(run.lease_id, f"cancelled by {by}")
        else:
            self._errands.stop(run.id, self._stop, run)
        return run

    def get(self, id: str, *, user: str | None = None) -> Run:
        """A run by its id or by a prefix that only it has; `user`: among that person's.

        Raises:
            NotFound: none, or more than one.
        """
        run = self._store.run(id, user=user)
        if run is None:
            raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
        return run

    def list(self, *, user: str | None = None, limit: int = 100) -> list[Run]:
        """Runs, newest first."""
        return self._store.runs(user=user, limit=limit)

    def open_runs(self) -> builtins.list[Run]:
        """All runs that have not ended, newest first."""
        return self._store.runs(user=None, limit=sys.maxsize, stages=OPEN_RUNS)

    def logs(self, id: str) -> bytes:
        """What the run has printed so far, in all attempts; empty before it has started."""
        run = self.get(id)
        *earlier, last = (self._files.log(run.id, x) for x in range(1, run.attempt + 1))
        if last is None:
            try:
                last = self._engine.logs(run.lease_id)
            except Unknown as e:
                raise Unavailable(
                    "Docker gives no answer just now; try again.", detail=str(e)
                ) from e
        return b"".join([*(x or b"" for x in earlier), last])

    # ---- the tick --------------------------------------------------------------------------

    def tick(self) -> None:
        """Move every run that has not ended by what its lease and its container show."""
        self._prune()
        moving = self.open_runs()
        try:
            state = self.broker.state()
            self._clear_old(state, {x.lease_id for x in moving})
            if not moving:
                return
            containers = {c.lease: c for c in self._engine.containers() if c.kind == Kind.RUN}
        except (Unknown, Unavailable):
            return
        for run in moving:
            if not self._errands.busy(run.id):
                self._apart(run.id, self._move, run, containers, state)

    def _apart(self, id: str, work: Callable[..., None], *args: object) -> None:
        """Whatever one run's trouble is, it must not hold up the others."""
        try:
            work(*args)
        except Unknown as e:
            log.warning("run %s is looked at again later: %s", id, e)
        except Exception:
            log.exception("run %s is looked at again later", id)

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
            self._errands.start(run.id, self._start, run, lease)

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
        elif lease.stage is Stage.DRAINING:
            self._engine.remove(lease.id)

    def _follow(self, run: Run, container: Container, lease: Lease | None) -> None:
        if not container.running:
            self._finish(run, container, lease)
            return
        if run.stage in (RunStage.WAITING, RunStage.STARTING):
            # the service died between the start and telling of it
            self._now_running(run)
        if lease is not None and lease.why is Why.HAND:
            run = self._update(run.id, lambda r: runs.cancelled(r, lease.cause, at=self._clock()))
        late = self._overdue(run, self._clock())
        if run.stage is RunStage.STOPPING or runs.gives_way(run, lease) or late:
            self._errands.stop(run.id, self._stop, run)
        self._note_progress(run)

    def _overdue(self, run: Run, at: datetime) -> bool:
        if run.started_at is None:
            return False
        return at > run.started_at + timedelta(seconds=run.timeout) + _OVERTIME

    def _note_progress(self, run: Run) -> None:
        said = self._engine.logs(run.lease_id, tail=200).decode(errors="replace")
        done, cells, _ = progress_of(said)
        if (done, cells) != (run.cells_done, run.cells) and cells:
            self._update(run.id, lambda r: replace(r, cells_done=done, cells=cells))

    def _finish(self, run: Run, container: Container, lease: Lease | None) -> None:
        """Keep the log, say how it ended, remove the container, give the slice back."""
        code = container.exit_code if container.exit_code is not None else -1
        text = self._engine.logs(run.lease_id)
        after = self._end(run, lease, LastWords(code, container.oom, text), container.finished_at)
        self.broker.ended(run.lease_id, f"run {after.stage.value}")
        self._engine.remove(run.lease_id)

    def _without_container(self, run: Run, lease: Lease) -> None:
        """Its lease is over or to end, and no container runs: what the tick has kept tells, if any.

        Without that it was cancelled before it ran, it gave way, or it was lost.
        """
        kept = last_words(self.settings.data, run.lease_id)
        if kept and kept.exit_code is not None:
            self._end(run, lease, kept, lease.ended_at)
        else:
            if kept:
                self._files.keep_log(run.id, run.attempt, kept.log)
            self._update(run.id, lambda r: runs.vanished(r, lease, at=self._clock()))
        self.broker.withdraw(run.lease_id, "its run is over")

    def _end(self, run: Run, lease: Lease | None, last: LastWords, at: datetime | None) -> Run:
        """The run after its container's end; `last.exit_code` is known."""
        self._files.keep_log(run.id, run.attempt, last.log)
        # judged at its end: a service that was away for a night must not call a failure a time-out
        at = at or self._clock()
        said, overdue = last.log.decode(errors="replace"), self._overdue(run, at)
        code = -1 if last.exit_code is None else last.exit_code
        return self._update(run.id, lambda r: runs.ended(
            r, code, said, lease, at=at, oom=last.oom, overdue=overdue
        ))

    # ---- starting and stopping ---------------------------------------------------------------

    def _start(self, run: Run, lease: Lease) -> None:
        began = time.monotonic()
        run = self._update(run.id, lambda r: runs.starting(r, lease))
        if run.stage is not RunStage.STARTING or run.lease_id != lease.id:
            return
        try:
            spec = self._spec(run, lease)
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
        self._update(run.id, lambda r: runs.running(r, run.attempt, at=self._clock()))

    def _not_started(self, run: Run, error: Exception) -> None:
        if isinstance(error, Unknown):
            # the container may be there all the same: the next ticks will see
            log.warning("run %s: the start gave no answer: %s", run.id, error)
            return
        lease = self._store.lease(run.lease_id)
        if lease is not None and lease.why is not None:
            self._update(run.id, lambda r: runs.vanished(r, lease, at=self._clock()))
            return
        self._update(run.id, lambda r: runs.not_started(r, str(error), at=self._clock()))
        self.broker.withdraw(run.lease_id, f"could not start: {error}")

    def _stop(self, run: Run) -> None:
        try:
            self._engine.stop(run.lease_id, self.settings.run_stop_timeout)
        except (Unknown, Unavailable) as e:
            log.warning("run %s does not stop yet: %s", run.id, e)

    def _spec(self, run: Run, lease: Lease) -> ContainerSpec:
        options = self.broker.container_options(lease, user=run.user, kind=Kind.RUN)
        return run_spec(
            self.settings, run, lease, options,
            notebook=self._files.input(run.id),
            digest=self._engine.images().get(run.image, ""),
        )

    # ---- inside ----------------------------------------------------------------------------

    def _ask(self, run: Run) -> None:
        former = self._store.lease(run.former_lease) if run.former_lease else None
        self.broker.ask(
            user=run.user, kind=Kind.RUN, name=run.id, profile=run.profile, image=run.image,
            id=run.lease_id, group=former.request.group if former else "", asked_at=run.asked_at,
            again=run.attempt > 1,
        )

    def _ask_again(self, run: Run) -> None:
        """It gave its slice back; or the service died between keeping it and asking for a slice."""
        try:
            self._ask(run)
        except Unavailable as e:
            log.warning("run %s asks again later: %s", run.id, e)
        except Refusal as e:
            self._not_started(run, e)

    def _forget(self, run: Run, error: Exception) -> None:
        log.info("run of %s is refused: %s", run.user, error)
        self._files.forget(run.id)
        with self._store.write() as unit:
            unit.drop_run(run.id)

    def _update(self, id: str, change: Callable[[Run], Run]) -> Run:
        """Change a run inside one transaction; what somebody else wrote meanwhile is kept.

        The end of a run passes here once: its input goes, and it is counted.
        """
        with self._store.write() as unit:
            run = unit.runs.get(id)
            if run is not None:
                after = change(run)
                if after != run:
                    unit.put_run(after)
        if run is None:  # it has ended: nothing moves it any more
            return self.get(id)
        if after.done:
            self._files.drop_input(id)
            metrics.run_done(after)
            log.info("run %s of %s: %s (%s)", id, after.user, after.stage.value, after.message)
        return after

    def _prune(self) -> None:
        """Once an hour: delete what is older than `keep_days` of ended runs and containers."""
        now = self._clock()
        if now - self._pruned < _PRUNE:
            return
        self._pruned = now
        self._files.prune(now - timedelta(days=self.settings.keep_days))
