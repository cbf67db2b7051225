"""Runs: ask for a lease, start the container, follow it, end the lease whatever happens.

Nothing here waits for a container: each tick compares what the store says of a run with what
Docker says of its container, and moves the run by what it sees. A killed service loses nothing
but the seconds until the next tick.
"""

import builtins
import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hub import metrics
from hub.broker import Broker
from hub.containers import last_words, run_spec
from hub.core import runs
from hub.core.lease import Kind, Lease, Stage
from hub.core.runs import OPEN_RUNS, Run, RunStage, Submission, new_run, progress_of
from hub.edge.engine import Container, ContainerSpec
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
        # starts and stops take seconds and must not hold up the tick; never two for one run
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="madang-start")
        # a stop waits for a run to save; stops must not keep starts waiting
        self._stops = ThreadPoolExecutor(16, thread_name_prefix="madang-stop")
        self._busy: set[str] = set()
        self._lock = threading.Lock()
        self._pruned = datetime.min.replace(tzinfo=UTC)

    def close(self) -> None:
        """Let starts and stops under way finish; no new ones."""
        self._pool.shutdown(wait=True)
        self._stops.shutdown(wait=True)

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
        run = self._update(run.id, lambda r: runs.cancelled(r, by, at=self._clock()))
        if run.done:
            self.broker.withdraw(run.id, f"cancelled by {by}")
        else:
            self._later(self._stops, run.id, self._stop, run.id)
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
        """What the run has printed so far; empty before it has started."""
        run = self.get(id)
        kept = self._files.log(run.id)
        if kept is not None:
            return kept
        try:
            return self._engine.logs(run.id)
        except Unknown as e:
            raise Unavailable("Docker gives no answer just now; try again.", detail=str(e)) from e

    # ---- the tick --------------------------------------------------------------------------

    def tick(self) -> None:
        """Move every run that has not ended by what its lease and its container show."""
        self._prune()
        moving = self.open_runs()
        if not moving:
            return
        try:
            state = self.broker.state()
            containers = {c.lease: c for c in self._engine.containers() if c.kind == Kind.RUN}
        except (Unknown, Unavailable):
            return
        for run in moving:
            if run.id in self._busy:
                continue
            try:
                self._move(run, containers.get(run.id), state.leases.get(run.id))
            except Unknown as e:
                log.warning("run %s is looked at again later: %s", run.id, e)
            except Exception:
                # whatever one run's trouble is, it must not hold up the others
                log.exception("run %s is looked at again later", run.id)

    def _move(self, run: Run, container: Container | None, lease: Lease | None) -> None:
        lease = lease or self._store.lease(run.id)
        if container is not None and (container.running or container.finished_at):
            self._follow(run, container)
        elif lease is None:
            self._ask_again(run)
        elif run.stage is RunStage.STOPPING or lease.stage not in (Stage.WAITING, Stage.GRANTED):
            self._without_container(run, lease)
        elif lease.stage is Stage.GRANTED:
            # also where a container was made and not started: the start finishes it
            self._later(self._pool, run.id, self._start, run, lease)

    def _follow(self, run: Run, container: Container) -> None:
        if not container.running:
            self._finish(run, container)
            return
        if run.stage in (RunStage.WAITING, RunStage.STARTING):
            # the service died between the start and telling of it
            self._now_running(run)
        if run.stage is RunStage.STOPPING or self._overdue(run, self._clock()):
            self._later(self._stops, run.id, self._stop, run.id)
        self._note_progress(run)

    def _overdue(self, run: Run, at: datetime) -> bool:
        if run.started_at is None:
            return False
        return at > run.started_at + timedelta(seconds=run.timeout) + _OVERTIME

    def _note_progress(self, run: Run) -> None:
        done, cells, _ = progress_of(self._engine.logs(run.id, tail=200).decode(errors="replace"))
        if (done, cells) != (run.cells_done, run.cells) and cells:
            self._update(run.id, lambda r: replace(r, cells_done=done, cells=cells))

    def _finish(self, run: Run, container: Container) -> None:
        """Keep the log, say how it ended, remove the container, give the slice back."""
        code = container.exit_code if container.exit_code is not None else -1
        text = self._engine.logs(run.id)
        self._end(run, code, oom=container.oom, log_text=text, at=container.finished_at)
        self.broker.ended(run.id, f"run {self.get(run.id).stage.value}")
        self._engine.remove(run.id)

    def _without_container(self, run: Run, lease: Lease) -> None:
        """Its lease is over or to end, and no container runs: what the tick has kept tells, if any.

        Without that it was cancelled before it ran, or it was lost.
        """
        kept = last_words(self.settings.data, run.id)
        if kept and kept.exit_code is not None:
            self._end(run, kept.exit_code, oom=kept.oom, log_text=kept.log, at=lease.ended_at)
        else:
            wanted = lease.stage is Stage.WITHDRAWN or "ended by" in lease.cause
            self._update(run.id, lambda r: runs.vanished(
                r, lease.cause, at=self._clock(), wanted=wanted
            ))
        self.broker.withdraw(run.id, "its run is over")

    def _end(
        self, run: Run, code: int, *, oom: bool, log_text: bytes, at: datetime | None
    ) -> None:
        self._files.keep_log(run.id, log_text)
        # judged at its end: a service that was away for a night must not call a failure a time-out
        at = at or self._clock()
        said, overdue = log_text.decode(errors="replace"), self._overdue(run, at)
        self._update(run.id, lambda r: runs.ended(r, code, said, at=at, oom=oom, overdue=overdue))

    # ---- starting and stopping ---------------------------------------------------------------

    def _start(self, run: Run, lease: Lease) -> None:
        began = time.monotonic()
        run = self._update(
            run.id, lambda r: r if r.stage is not RunStage.WAITING else replace(
                r, stage=RunStage.STARTING, slice=str(lease.slice)
            ),
        )
        if run.stage is not RunStage.STARTING:
            return
        try:
            spec = self._spec(run, lease)
            self._engine.start_run(spec, confirm=lambda: self.broker.may_start(run.id))
        except (Refusal, Unknown, OSError) as e:
            self._not_started(run, e)
            return
        metrics.START.labels(Kind.RUN.value).observe(time.monotonic() - began)
        self._now_running(run)

    def _now_running(self, run: Run) -> None:
        self.broker.started(run.id)
        self._update(
            run.id, lambda r: r if r.stage is not RunStage.STARTING else replace(
                r, stage=RunStage.RUNNING, started_at=self._clock()
            ),
        )

    def _not_started(self, run: Run, error: Exception) -> None:
        if isinstance(error, Unknown):
            # the container may be there all the same: the next ticks will see
            log.warning("run %s: the start gave no answer: %s", run.id, error)
            return
        self._update(run.id, lambda r: runs.not_started(r, str(error), at=self._clock()))
        self.broker.withdraw(run.id, f"could not start: {error}")

    def _stop(self, id: str) -> None:
        try:
            self._engine.stop(id, self.settings.run_stop_timeout)
        except (Unknown, Unavailable) as e:
            log.warning("run %s does not stop yet: %s", id, e)

    def _spec(self, run: Run, lease: Lease) -> ContainerSpec:
        options = self.broker.container_options(lease, user=run.user, kind=Kind.RUN)
        return run_spec(
            self.settings, run, lease, options,
            notebook=self._files.input(run.id),
            digest=self._engine.images().get(run.image, ""),
        )

    # ---- inside ----------------------------------------------------------------------------

    def _ask(self, run: Run) -> None:
        self.broker.ask(
            user=run.user, kind=Kind.RUN, name=run.id, profile=run.profile, image=run.image,
            id=run.id,
        )

    def _ask_again(self, run: Run) -> None:
        """The service died between keeping the run and asking for its slice."""
        try:
            self._ask(run)
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

    def _later(
        self, pool: ThreadPoolExecutor, id: str, work: Callable[..., None], *args: object
    ) -> None:
        with self._lock:
            if id in self._busy:
                return
            self._busy.add(id)

        def job() -> None:
            try:
                work(*args)
            except Exception:
                log.exception("run %s: %s failed", id, work.__name__)
            finally:
                self._busy.discard(id)

        pool.submit(job)
