"""Runs: ask for a lease, start the container, follow it, end the lease whatever happens.

Nothing here waits for a container: each tick compares what the store says of a run with what
Docker says of its container, and moves the run by what it sees. A killed service loses nothing
but the seconds until the next tick.
"""

import json
import logging
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub import metrics
from hub.broker import Broker
from hub.containers import run_spec
from hub.core.lease import Kind, Lease, Stage
from hub.core.runs import (
    OPEN_RUNS,
    Run,
    RunStage,
    Submission,
    message_of,
    new_run,
    outcome,
    progress_of,
)
from hub.edge.engine import Container, ContainerSpec
from hub.errors import NotFound, Refusal, Unavailable, Unknown

log = logging.getLogger("madang.batch")
# after its own time-out the runner still saves; then it is stopped from outside
_MOST = 10_000  # open runs looked at in one tick; the newest, should there ever be more
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
        self._clock = clock
        # starts and stops take seconds and must not hold up the tick; never two for one run
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="madang-batch")
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let starts and stops under way finish; no new ones."""
        self._pool.shutdown(wait=True)

    # ---- verbs -----------------------------------------------------------------------------

    def submit(self, wanted: Submission) -> Run:
        """Check the notebook, keep a copy of it, and stand in line.

        Raises:
            BadInput: not a notebook, a parameter it does not know, a path that leaves the home,
                an image or a profile that is not to be had. Nothing is kept then.
            Unavailable: the disk is full or the store does not answer.
        """
        run = self._new_run(wanted)
        folder = self._folder(run.id)
        folder.mkdir(parents=True, mode=0o700)
        try:
            (folder / "input.ipynb").write_text(json.dumps(wanted.notebook))
            with self._store.write() as unit:
                unit.put_run(run)
            self._ask(run)
        except (Refusal, OSError) as e:
            self._forget(run, folder, e)
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
        waiting = run.stage is RunStage.WAITING
        run = self._update(
            run.id, lambda r: r if r.done else replace(
                r, stage=RunStage.CANCELLED if waiting else RunStage.STOPPING,
                ended_at=self._clock() if waiting else None, message=f"cancelled by {by}",
            ),
        )
        if waiting:
            self.broker.withdraw(run.id, f"cancelled by {by}")
        else:
            self._later(run.id, self._stop, run.id)
        return run

    def get(self, id: str) -> Run:
        """A run by its id or by a prefix that only it has.

        Raises:
            NotFound: none, or more than one.
        """
        run = self._store.run(id)
        if run is None:
            raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
        return run

    def list(self, *, user: str | None = None, limit: int = 100) -> list[Run]:
        """Runs, newest first."""
        return self._store.runs(user=user, limit=limit)

    def logs(self, id: str) -> bytes:
        """What the run has printed so far; empty before it has started."""
        run = self.get(id)
        kept = self._folder(run.id) / "log"
        if kept.exists():
            return kept.read_bytes()
        try:
            return self._engine.logs(run.id)
        except Unknown as e:
            raise Unavailable("Docker gives no answer just now; try again.", detail=str(e)) from e

    # ---- the tick --------------------------------------------------------------------------

    def tick(self) -> None:
        """Move every run that has not ended by what its lease and its container show."""
        runs = self._store.runs(user=None, limit=_MOST, stages=OPEN_RUNS)
        if not runs:
            return
        try:
            containers = {c.lease: c for c in self._engine.containers() if c.kind == Kind.RUN}
        except (Unknown, Unavailable):
            return
        for run in runs:
            if run.id in self._busy:
                continue
            try:
                self._move(run, containers.get(run.id))
            except (Unknown, Unavailable, OSError) as e:
                # one run's trouble (its log cannot be read or kept) must not hold up the others
                log.warning("run %s is looked at again later: %s", run.id, e)

    def _move(self, run: Run, container: Container | None) -> None:
        if container is not None:
            self._follow(run, container)
            return
        lease = self._store.lease(run.id)
        if lease is None:
            self._ask_again(run)
        elif lease.stage is Stage.GRANTED and run.stage in (RunStage.WAITING, RunStage.STARTING):
            self._later(run.id, self._start, run, lease)
        elif lease.stage not in (Stage.WAITING, Stage.GRANTED):
            self._without_container(run, lease)

    def _follow(self, run: Run, container: Container) -> None:
        if not container.running and container.exit_code is not None and container.finished_at:
            self._finish(run, container)
            return
        if not container.running:
            return
        if run.stage in (RunStage.WAITING, RunStage.STARTING):
            # the service died between the start and telling of it
            self._now_running(run)
        if run.stage is RunStage.STOPPING or self._overdue(run):
            self._later(run.id, self._stop, run.id)
        self._note_progress(run)

    def _overdue(self, run: Run) -> bool:
        if run.started_at is None:
            return False
        return self._clock() > run.started_at + timedelta(seconds=run.timeout) + _OVERTIME

    def _note_progress(self, run: Run) -> None:
        done, cells, _ = progress_of(self._engine.logs(run.id, tail=200).decode(errors="replace"))
        if (done, cells) != (run.cells_done, run.cells) and cells:
            self._update(run.id, lambda r: replace(r, cells_done=done, cells=cells))

    def _finish(self, run: Run, container: Container) -> None:
        """Keep the log, say how it ended, remove the container, give the slice back."""
        text = self._engine.logs(run.id)
        kept = self._folder(run.id)
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        (kept / "log").write_bytes(text)
        code = container.exit_code if container.exit_code is not None else -1
        stage = outcome(code, oom=container.oom, stopping=run.stage is RunStage.STOPPING)
        done, cells, said = progress_of(text.decode(errors="replace"))
        ended = self._update(
            run.id, lambda r: replace(
                r, stage=stage, exit_code=code, ended_at=container.finished_at or self._clock(),
                cells_done=done, cells=cells, message=message_of(stage, said, r.message),
            ),
        )
        self.broker.ended(run.id, f"run {stage.value}")
        self._engine.remove(run.id)
        (kept / "input.ipynb").unlink(missing_ok=True)
        metrics.run_done(ended)
        log.info("run %s of %s: %s (exit %s)", run.id, run.user, stage.value, code)

    def _without_container(self, run: Run, lease: Lease) -> None:
        """Its lease is over and there is no container: it was cancelled, or it was lost."""
        stage = RunStage.CANCELLED if run.stage is RunStage.STOPPING else RunStage.LOST
        if lease.stage is Stage.WITHDRAWN or (stage is RunStage.LOST and "ended by" in lease.cause):
            stage = RunStage.CANCELLED
        text = run.message or f"its container disappeared: {lease.cause}"
        ended = self._update(
            run.id, lambda r: replace(r, stage=stage, ended_at=self._clock(), message=text)
        )
        self.broker.ended(run.id, text)
        metrics.run_done(ended)
        log.warning("run %s of %s: %s (%s)", run.id, run.user, stage.value, text)

    # ---- starting and stopping ---------------------------------------------------------------

    def _start(self, run: Run, lease: Lease) -> None:
        run = self._update(
            run.id, lambda r: replace(r, stage=RunStage.STARTING, slice=str(lease.slice))
        )
        try:
            spec = self._spec(run, lease)
            if not self.broker.may_start(run.id):
                return
            self._engine.start_run(spec)
        except (Refusal, Unknown, OSError) as e:
            self._not_started(run, e)
            return
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
        text = f"could not start: {error}"
        ended = self._update(
            run.id, lambda r: replace(
                r, stage=RunStage.FAILED, ended_at=self._clock(), message=text
            ),
        )
        self.broker.ended(run.id, text)
        metrics.run_done(ended)
        log.error("run %s of %s %s", run.id, run.user, text)

    def _stop(self, id: str) -> None:
        try:
            self._engine.stop(id, self.settings.run_stop_timeout)
        except (Unknown, Unavailable) as e:
            log.warning("run %s does not stop yet: %s", id, e)

    def _spec(self, run: Run, lease: Lease) -> ContainerSpec:
        options = self.broker.container_options(lease, user=run.user, kind=Kind.RUN)
        return run_spec(
            self.settings, run, lease, options,
            notebook=(self._folder(run.id) / "input.ipynb").read_bytes(),
            digest=self._engine.images().get(run.image, ""),
        )

    # ---- inside ----------------------------------------------------------------------------

    def _new_run(self, wanted: Submission) -> Run:
        return new_run(
            wanted, id=secrets.token_hex(5), now=self._clock(),
            image=self.settings.default_image, limit=self.settings.run_timeout,
        )

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

    def _forget(self, run: Run, folder: Path, error: Exception) -> None:
        log.info("run of %s is refused: %s", run.user, error)
        with self._store.write() as unit:
            unit.drop_run(run.id)
        for found in folder.glob("*"):
            found.unlink()
        folder.rmdir()

    def _update(self, id: str, change: Callable[[Run], Run]) -> Run:
        """Change a run inside one transaction; what somebody else wrote meanwhile is kept."""
        with self._store.write() as unit:
            run = unit.runs.get(id)
            if run is None:  # it has ended: nothing moves it any more
                return self.get(id)
            after = change(run)
            if after != run:
                unit.put_run(after)
        return after

    def _later(self, id: str, work: Callable[..., None], *args: object) -> None:
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

        self._pool.submit(job)

    def _folder(self, id: str) -> Path:
        return self.settings.data / "runs" / id
