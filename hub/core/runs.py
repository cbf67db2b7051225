"""Runs of notebooks: their stages, what a notebook's parameters are, what an exit code means."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from hub.errors import BadInput, Refusal

Json = None | bool | int | float | str | list[Any] | dict[str, Any]


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
    and text cells; `message` is one line for people.
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

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.stage in DONE


@dataclass(frozen=True)
class Parameter:
    """One name that the notebook's `parameters` cell sets; `default` is source text."""

    name: str
    default: str
    type: str = ""
    help: str = ""


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


_SIGKILLED = 137
_FORMAT = 4
EXITS: Mapping[int, RunStage] = {
    0: RunStage.SUCCEEDED,
    75: RunStage.INTERRUPTED,
    124: RunStage.TIMED_OUT,
    138: RunStage.KERNEL_DIED,
}


def outcome(
    exit_code: int, *, oom: bool, stopping: bool, overdue: bool = False
) -> RunStage:
    """What the container's end means. Docker's OOM flag beats the code; a cancel beats both.

    The flag may be set by a killed child of a notebook that went well: 0 is success all the same.
    `overdue`: we stopped it, because its own time limit did not. 137 without the flag is a SIGKILL
    from outside (the machine, an operator): LOST, not memory.
    """
    if stopping and exit_code != 0:
        return RunStage.CANCELLED
    if overdue and exit_code != 0:
        return RunStage.TIMED_OUT
    if oom and exit_code != 0:
        return RunStage.OUT_OF_MEMORY
    if exit_code == _SIGKILLED:
        return RunStage.LOST
    return EXITS.get(exit_code, RunStage.FAILED)


_NAME = re.compile(r"[^A-Za-z0-9가-힣._-]+")
_MAGIC = re.compile(r"^[%!].*$", re.MULTILINE)
_SOURCE_MOST = 16 * 1024  # characters: ast takes seconds and gigabytes for a notebook made to hurt
_PARAMETERS_MOST = 64 * 1024  # characters as JSON: each look at open runs reads them
_COMMIT_MOST = 64
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


def check_notebook(notebook: object, name: str) -> None:
    """Refuse what is not a notebook of format 4; nbformat in the image validates the rest.

    Raises:
        BadInput: saying what is missing.
    """
    if not isinstance(notebook, Mapping) or not isinstance(notebook.get("cells"), list):
        raise BadInput(
            "{name} is not a notebook: it has no list of cells.", reason="not-a-notebook", name=name
        )
    if notebook.get("nbformat") != _FORMAT:
        raise BadInput(
            "{name} is a notebook of format {found}; open it once in JupyterLab and save it, "
            "then it is of format 4.", reason="not-a-notebook", name=name,
            found=str(notebook.get("nbformat")),
        )
    for cell in notebook["cells"]:
        if not isinstance(cell, Mapping) or not isinstance(cell.get("metadata", {}), Mapping):
            raise BadInput(
                "{name} is not a notebook: a cell is broken.", reason="not-a-notebook", name=name
            )


def parameters_of(notebook: Mapping[str, Any]) -> tuple[Parameter, ...] | None:
    """The parameters a Python notebook declares in its cell tagged `parameters` (papermill's rule).

    None where that cannot be told: another language, code that does not parse, or more of it than
    a service should parse for one person. The runner in the container looks again.
    """
    meta = _mapping(notebook.get("metadata"))
    spec, info = _mapping(meta.get("kernelspec")), _mapping(meta.get("language_info"))
    language = str(spec.get("language") or info.get("name") or "python")
    for cell in notebook.get("cells", []):
        if "parameters" in _tags(cell):
            return _declared(_text(cell.get("source"))) if language == "python" else None
    return ()


def check_parameters(notebook: Mapping[str, Any], given: Mapping[str, Json]) -> None:
    """Refuse names that the notebook does not know; papermill itself would only warn.

    Raises:
        BadInput: naming the unknown ones and what the notebook knows; or values of over 64 KiB.
    """
    if len(json.dumps(given)) > _PARAMETERS_MOST:
        raise BadInput(
            "Parameters may have {most} characters together; put larger data into a file.",
            reason="parameters-too-large", most=_PARAMETERS_MOST,
        )
    found = parameters_of(notebook)
    if found is None:
        return
    known = [p.name for p in found]
    unknown = sorted(set(given) - set(known))
    if not unknown:
        return
    if not known:
        raise BadInput(
            "The notebook takes no parameters: it has no cell tagged “parameters”. "
            "Add the tag in Lab (gear icon, Cell Tags), or leave {unknown} out.",
            reason="unknown-parameter", unknown=", ".join(unknown),
        )
    raise BadInput(
        "The notebook does not know the parameter {unknown}. It knows: {known}.",
        reason="unknown-parameter", unknown=", ".join(unknown), known=", ".join(known),
    )


def _text(source: object) -> str:
    """A cell's source: text, or nbformat's list of lines; whatever else a file holds is no text."""
    if isinstance(source, list):
        return "".join(x for x in source if isinstance(x, str))
    return source if isinstance(source, str) else ""


def _tags(cell: object) -> list[object]:
    tags = _mapping(_mapping(cell).get("metadata")).get("tags")
    return tags if isinstance(tags, list) else []


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _declared(source: str) -> tuple[Parameter, ...] | None:
    """What Python source sets at its top level; None where it is too long or does not parse."""
    if len(source) > _SOURCE_MOST:
        return None
    try:
        body = ast.parse(_MAGIC.sub("", source)).body
        return tuple(p for node in body for p in _parameters(node))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _parameters(node: ast.stmt) -> list[Parameter]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
        kind = ast.unparse(node.annotation)
        return [Parameter(node.target.id, ast.unparse(node.value), kind)]
    if not isinstance(node, ast.Assign):
        return []
    value = ast.unparse(node.value)
    return [Parameter(t.id, value) for t in node.targets if isinstance(t, ast.Name)]


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
        timeout=wanted.timeout or limit, commit=_commit(wanted.notebook),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
    )


def ended(
    run: Run, code: int, said: str, *, at: datetime, oom: bool, overdue: bool
) -> Run:
    """The run as its container's end shows it; `said` is its log, `at` when it ended."""
    stage = outcome(code, oom=oom, stopping=run.stage is RunStage.STOPPING, overdue=overdue)
    done, cells, word = progress_of(said)
    return replace(
        run, stage=stage, exit_code=code, ended_at=at, cells_done=done, cells=cells,
        message=message_of(stage, word, run.message),
    )


def cancelled(run: Run, by: str, *, at: datetime) -> Run:
    """The run as a cancel leaves it: out of the line, or to be stopped; an ended one as it is."""
    if run.done:
        return run
    text = f"cancelled by {by}"
    if run.stage is RunStage.WAITING:
        return replace(run, stage=RunStage.CANCELLED, ended_at=at, message=text)
    return replace(run, stage=RunStage.STOPPING, message=text)


def vanished(run: Run, cause: str, *, at: datetime, wanted: bool) -> Run:
    """A run without a container: cancelled where that was `wanted`, else lost, with the cause."""
    stage = RunStage.CANCELLED if wanted or run.stage is RunStage.STOPPING else RunStage.LOST
    text = run.message or f"its container disappeared: {cause}"
    return replace(run, stage=stage, ended_at=at, message=text)


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


def _commit(notebook: Mapping[str, Any]) -> str:
    found = _mapping(_mapping(notebook.get("metadata")).get("madang")).get("commit")
    return found[:_COMMIT_MOST] if isinstance(found, str) else ""
