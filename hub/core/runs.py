"""Runs of notebooks: their stages, how they move, what an exit code means."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from hub.core.notebook import Json, check_notebook, check_parameters, commit_of
from hub.core.nouns import Lease, Stage, Why
from hub.core.told import progress_of, steps_of
from hub.errors import BadInput


class RunStage(StrEnum):
    """Where a run stands. From SUCCEEDED on it never moves again.

    PLANNED is kept and not in the line: its time has not come, or what it comes after has not
    succeeded, or its person has enough runs in the line.
    """

    PLANNED = "planned"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    TIMED_OUT = "timed-out"
    OUT_OF_MEMORY = "out-of-memory"
    KERNEL_DIED = "kernel-died"
    LOST = "lost"


# a run's message, where it is not what the runner said last; whoever shows it knows it by these
AGAIN = "{cause}; it waits again"
CANCELLED_WHY = "cancelled by {by}: {reason}"
CANCELLED = "cancelled by {by}"
DISAPPEARED = "its container disappeared: {cause}"
NOT_STARTED = "could not start: {error}"
OUT_OF_MEMORY = "out of memory: the container's memory limit was reached"
KILLED = "killed from outside"
AGAIN_LATER = "{cause}; it is tried once more"
AFTER_ENDED = "it was to begin after {run}, which has ended: {stage}"
REPLACED = "its schedule's next run has taken its place"
MESSAGES = (
    AGAIN, AGAIN_LATER, AFTER_ENDED, REPLACED, CANCELLED_WHY, CANCELLED, DISAPPEARED, NOT_STARTED,
    OUT_OF_MEMORY, KILLED,
)

OPEN_RUNS = frozenset({
    RunStage.PLANNED, RunStage.WAITING, RunStage.STARTING, RunStage.RUNNING, RunStage.STOPPING,
})
DONE = frozenset(RunStage) - OPEN_RUNS


@dataclass(frozen=True)
class Run:
    """One execution of one notebook with one set of parameters.

    `folder` is relative to the owner's home. `timeout` in seconds, 0 for none. `cells` counts code
    and text cells; `message` is one line for people. `attempt` counts from 1: a run that had to
    give its slice back waits again, and begins again. `group`: in whose name it asks. `lined_at`:
    since when it stands in the line, which is its age there. `retries` are left after an end that
    a retry can mend, `retried` were used. `steps` are the notebook's own count. `digest`: the
    image's. `slot`: the local time of its schedule that it was made for.
    """

    id: str
    user: str
    notebook: str
    profile: str
    image: str
    parameters: Mapping[str, Json]
    stage: RunStage
    asked_at: datetime
    folder: str
    cwd: str = ""
    timeout: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    cells_done: int = 0
    cells: int = 0
    message: str = ""
    slice: str = ""
    commit: str = ""
    seed: int | None = None
    attempt: int = 1
    group: str = ""
    lined_at: datetime | None = None
    sweep: str = ""
    schedule: str = ""
    slot: str = ""
    not_before: datetime | None = None
    after: str = ""
    retries: int = 0
    retried: int = 0
    metrics: Mapping[str, Json] = field(default_factory=dict)
    steps_done: int = 0
    steps: int = 0
    digest: str = ""
    memory_peak_mib: int | None = None
    gpu_memory_peak_mib: int | None = None
    error: Mapping[str, Json] | None = None
    secrets: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()

    @property
    def input_id(self) -> str:
        """Where the host keeps its notebook: the runs of a sweep share one."""
        return self.sweep or self.id

    @property
    def lease_id(self) -> str:
        """The lease of this attempt, and its container's label: a lease's id is used only once."""
        return _lease_of(self.id, self.attempt)

    @property
    def former_lease(self) -> str:
        """The lease of the attempt before; "" in the first."""
        return _lease_of(self.id, self.attempt - 1) if self.attempt > 1 else ""

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.stage in DONE


def _lease_of(id: str, attempt: int) -> str:
    return id if attempt == 1 else f"{id}-{attempt}"


@dataclass(frozen=True)
class Submission:
    """What somebody wants run; `notebook` is the parsed JSON, `cwd` relative to the home.

    `group`: in whose name; "" is the first of the person's that has not ended. `sweep`: name →
    values, empty for one run. `snapshot`: the notebook's folder as a tar.gz, empty without one.
    """

    user: str
    name: str
    notebook: Mapping[str, Any]
    parameters: Mapping[str, Json]
    profile: str
    image: str = ""
    cwd: str = ""
    timeout: int = 0
    group: str = ""
    sweep: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    not_before: datetime | None = None
    after: str = ""
    retries: int = 0
    snapshot: bytes = b""
    secrets: tuple[str, ...] = ()
    notify: tuple[str, ...] = ()


_INTERRUPTED = 75
# ended by a signal: SIGKILL, or SIGTERM before the runner could listen to it
_KILLED = frozenset({137, 143})
EXITS: Mapping[int, RunStage] = {
    0: RunStage.SUCCEEDED,
    _INTERRUPTED: RunStage.INTERRUPTED,
    124: RunStage.TIMED_OUT,
    138: RunStage.KERNEL_DIED,
}


def outcome(
    exit_code: int, *, oom: bool, stopping: bool, overdue: bool = False
) -> RunStage:
    """What the container's end means. Docker's OOM flag beats the code; a cancel beats both.

    The flag may be set by a killed child of a notebook that went well: 0 is success all the same.
    `overdue`: we stopped it, because its own time limit did not. 137 without the flag is a SIGKILL
    from outside (the machine, an operator), 143 a SIGTERM that came too early: LOST, not memory.
    """
    if stopping and exit_code != 0:
        return RunStage.CANCELLED
    if overdue and exit_code != 0:
        return RunStage.TIMED_OUT
    if oom and exit_code != 0:
        return RunStage.OUT_OF_MEMORY
    if exit_code in _KILLED:
        return RunStage.LOST
    return EXITS.get(exit_code, RunStage.FAILED)


_NAME = re.compile(r"[^A-Za-z0-9가-힣._-]+")
MOST_RETRIES = 10


def new_run(
    wanted: Submission, *, id: str, now: datetime, image: str, limit: int, day: date | None = None
) -> Run:
    """The run that a submission asks for, in the line. `limit`: longest time allowed, seconds.

    `day`: the date in its folder's name; that of `now` where it is not given.

    Raises:
        BadInput: not a notebook, an unknown parameter, a time-out out of range, a folder outside
            the home.
    """
    check_notebook(wanted.notebook, wanted.name)
    check_parameters(wanted.notebook, wanted.parameters)
    if not 0 <= wanted.timeout <= limit:
        raise BadInput(
            "A run may take up to {limit} seconds here; {timeout} were asked for.",
            reason="timeout", limit=limit, timeout=wanted.timeout,
        )
    if not 0 <= wanted.retries <= MOST_RETRIES:
        raise BadInput(
            "A run may be tried again up to {most} times; {retries} were asked for.",
            reason="retries", most=MOST_RETRIES, retries=wanted.retries,
        )
    stem = _NAME.sub("-", PurePosixPath(wanted.name).stem).strip("-.")[:40] or "notebook"
    return Run(
        id=id, user=wanted.user, notebook=wanted.name, profile=wanted.profile,
        image=wanted.image or image, parameters=dict(wanted.parameters), stage=RunStage.WAITING,
        asked_at=now, cwd=_inside_home(wanted.cwd), folder=f"runs/{day or now.date()}-{stem}-{id}",
        timeout=wanted.timeout or limit, commit=commit_of(wanted.notebook), group=wanted.group,
        seed=seed_of(wanted.parameters), lined_at=now, not_before=wanted.not_before,
        after=wanted.after, retries=wanted.retries, secrets=wanted.secrets, notify=wanted.notify,
    )


def seed_of(parameters: Mapping[str, Json]) -> int | None:
    """The parameter `seed` where it is a number."""
    seed = parameters.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def starting(run: Run, lease: Lease, digest: str = "") -> Run:
    """The run whose container is about to be started under `lease`; any other one as it is."""
    if run.stage is not RunStage.WAITING or run.lease_id != lease.id:
        return run
    return replace(
        run, stage=RunStage.STARTING, slice=str(lease.slice), digest=digest, message=""
    )


def running(run: Run, attempt: int, *, at: datetime) -> Run:
    """The run whose container of this attempt is up; one that is being stopped as it is."""
    if run.stage not in _BEFORE or run.attempt != attempt:
        return run
    return replace(run, stage=RunStage.RUNNING, started_at=at, message="")


_BEFORE = frozenset({RunStage.WAITING, RunStage.STARTING})


def gives_way(run: Run, lease: Lease | None) -> bool:
    """Whether the run has to give this lease's slice back, and shall have another one later.

    Not where a person ended its lease, or it: that is a cancel.
    """
    by_rule = lease is not None and lease.why not in (None, Why.HAND)
    return by_rule and run.stage is not RunStage.STOPPING


def again(run: Run, cause: str) -> Run:
    """The run in the line again, with its age, to be begun anew."""
    return replace(
        run, stage=RunStage.WAITING, attempt=run.attempt + 1, started_at=None, slice="",
        cells_done=0, steps_done=0, message=AGAIN.format(cause=cause),
    )


def ended(
    run: Run, code: int, said: str, lease: Lease | None, *, at: datetime, oom: bool, overdue: bool
) -> Run:
    """The run as its container's end shows it; `said` is its log, `at` when it ended.

    One that gives way and was in the middle goes back to the line; one that had come to its own
    end, good or bad, has ended.
    """
    cut_short = code == _INTERRUPTED or (code in _KILLED and not oom)
    if lease is not None and gives_way(run, lease) and cut_short and not overdue:
        return again(run, lease.cause)
    by_hand = lease.cause if lease is not None and lease.why is Why.HAND else ""
    stopping = run.stage is RunStage.STOPPING or by_hand != ""
    stage = outcome(code, oom=oom, stopping=stopping, overdue=overdue)
    done, cells, word = progress_of(said)
    steps_done, steps = steps_of(said)
    return replace(
        run, stage=stage, exit_code=code, ended_at=at, cells_done=done, cells=cells,
        steps_done=steps_done, steps=steps,
        message=message_of(stage, word, run.message or by_hand),
    )


def cancelled_by(by: str, reason: str = "") -> str:
    """The message of a run that somebody cancels."""
    return CANCELLED_WHY.format(by=by, reason=reason) if reason else CANCELLED.format(by=by)


def cancelled(run: Run, why: str, *, at: datetime) -> Run:
    """The run as a cancel leaves it: out of the line, or to be stopped; an ended one as it is."""
    if run.done:
        return run
    if run.stage in {RunStage.PLANNED, RunStage.WAITING}:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at, message=why)
    return replace(run, stage=RunStage.STOPPING, message=why)


def vanished(run: Run, lease: Lease, *, at: datetime) -> Run:
    """A run whose lease is over, without a container and without a word of how that ended.

    Cancelled where somebody wanted that, in the line again where it gave way, else lost.
    """
    if run.stage is RunStage.STOPPING:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at)
    if lease.stage is Stage.WITHDRAWN or lease.why is Why.HAND:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at, message=lease.cause)
    if gives_way(run, lease):
        return again(run, lease.cause)
    text = DISAPPEARED.format(cause=lease.cause)
    return replace(run, stage=RunStage.LOST, ended_at=at, message=text)


def not_started(run: Run, why: str, *, at: datetime) -> Run:
    """A run whose container could not be started; one that was being cancelled is cancelled."""
    if run.stage is RunStage.STOPPING:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at)
    text = NOT_STARTED.format(error=why)
    return replace(run, stage=RunStage.FAILED, ended_at=at, message=text)


def message_of(stage: RunStage, said: str, before: str) -> str:
    """The one line for people: what is certain first, then what the runner said last."""
    if stage is RunStage.OUT_OF_MEMORY:
        return OUT_OF_MEMORY
    if stage is RunStage.LOST:
        return KILLED
    return (before if stage is RunStage.CANCELLED else "") or said


def _inside_home(cwd: str) -> str:
    path = PurePosixPath(cwd)
    if path.is_absolute() or ".." in path.parts:
        raise BadInput("The folder {cwd} is not inside the home.", reason="path", cwd=cwd)
    return str(path) if cwd else ""
