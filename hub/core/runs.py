"""Runs of notebooks: their stages, how they move, what an exit code means."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from hub.core.notebook import Json, check_notebook, check_parameters, commit_of
from hub.core.nouns import Lease, Stage, Why
from hub.errors import BadInput, Refusal


class RunStage(StrEnum):
    """Where a run stands. From SUCCEEDED on it never moves again."""

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


OPEN_RUNS = frozenset(
    {RunStage.WAITING, RunStage.STARTING, RunStage.RUNNING, RunStage.STOPPING}
)
DONE = frozenset(RunStage) - OPEN_RUNS


@dataclass(frozen=True)
class Run:
    """One execution of one notebook with one set of parameters.

    `folder` is relative to the owner's home. `timeout` in seconds, 0 for none. `cells` counts code
    and text cells; `message` is one line for people. `attempt` counts from 1: a run that had to
    give its slice back waits again, and begins again.
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
    """What somebody wants run; `notebook` is the parsed JSON, `cwd` relative to the home."""

    user: str
    name: str
    notebook: Mapping[str, Any]
    parameters: Mapping[str, Json]
    profile: str
    image: str = ""
    cwd: str = ""
    timeout: int = 0


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
_CELL = re.compile(r"^madang: cell (\d{1,6})/(\d{1,6})\s*$", re.MULTILINE)
_SAID = re.compile(r"^madang: (?!cell )[a-z-]+ ?(.*)$", re.MULTILINE)


def progress_of(text: str) -> tuple[int, int, str]:
    """(cell begun last, cells, last word of the runner) out of a run's log; zeros before the first.

    The student's own code prints into the same log: this is for showing, never for deciding.
    """
    cells = _CELL.findall(text)
    said = _SAID.findall(text)
    done, total = (int(cells[-1][0]), int(cells[-1][1])) if cells else (0, 0)
    return done, total, said[-1].strip()[:500] if said else ""


def check_share(runs: Iterable[Run], user: str, most: int) -> None:
    """Refuse one more run to somebody who has `most` open ones among `runs`.

    Raises:
        Refusal: "too-many-runs" (429).
    """
    if sum(x.user == user for x in runs) >= most:
        raise Refusal(
            "You have {most} runs waiting or running, and more are not taken at once. Wait for "
            "some to end, or cancel some.", reason="too-many-runs", status=429, most=most,
        )


def new_run(
    wanted: Submission, *, id: str, now: datetime, image: str, limit: int
) -> Run:
    """The run that a submission asks for, in the line. `limit`: longest time allowed, seconds.

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
    stem = _NAME.sub("-", PurePosixPath(wanted.name).stem).strip("-.")[:40] or "notebook"
    seed = wanted.parameters.get("seed")
    return Run(
        id=id, user=wanted.user, notebook=wanted.name, profile=wanted.profile,
        image=wanted.image or image, parameters=dict(wanted.parameters), stage=RunStage.WAITING,
        asked_at=now, cwd=_inside_home(wanted.cwd), folder=f"runs/{now:%Y-%m-%d}-{stem}-{id}",
        timeout=wanted.timeout or limit, commit=commit_of(wanted.notebook),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
    )


def starting(run: Run, lease: Lease) -> Run:
    """The run whose container is about to be started under `lease`; any other one as it is."""
    if run.stage is not RunStage.WAITING or run.lease_id != lease.id:
        return run
    return replace(run, stage=RunStage.STARTING, slice=str(lease.slice), message="")


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
        cells_done=0, message=f"{cause}; it waits again",
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
    return replace(
        run, stage=stage, exit_code=code, ended_at=at, cells_done=done, cells=cells,
        message=message_of(stage, word, run.message or by_hand),
    )


def cancelled(run: Run, why: str, *, at: datetime) -> Run:
    """The run as a cancel leaves it: out of the line, or to be stopped; an ended one as it is."""
    if run.done:
        return run
    if run.stage is RunStage.WAITING:
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
    text = f"its container disappeared: {lease.cause}"
    return replace(run, stage=RunStage.LOST, ended_at=at, message=text)


def not_started(run: Run, why: str, *, at: datetime) -> Run:
    """A run whose container could not be started; one that was being cancelled is cancelled."""
    if run.stage is RunStage.STOPPING:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at)
    return replace(run, stage=RunStage.FAILED, ended_at=at, message=f"could not start: {why}")


def message_of(stage: RunStage, said: str, before: str) -> str:
    """The one line for people: what is certain first, then what the runner said last."""
    if stage is RunStage.OUT_OF_MEMORY:
        return "out of memory: the container's memory limit was reached"
    if stage is RunStage.LOST:
        return "killed from outside"
    return (before if stage is RunStage.CANCELLED else "") or said


def _inside_home(cwd: str) -> str:
    path = PurePosixPath(cwd)
    if path.is_absolute() or ".." in path.parts:
        raise BadInput("The folder {cwd} is not inside the home.", reason="path", cwd=cwd)
    return str(path) if cwd else ""
