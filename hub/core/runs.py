"""Runs of notebooks: their stages, what a notebook's parameters are, what an exit code means."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from hub.errors import BadInput

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


def outcome(exit_code: int, *, oom: bool, stopping: bool) -> RunStage:
    """What the container's end means. Docker's OOM flag beats the code; a cancel beats both.

    137 without the flag is a SIGKILL from outside (the machine, an operator): LOST, not memory.
    """
    if stopping and exit_code != 0:
        return RunStage.CANCELLED
    if oom:
        return RunStage.OUT_OF_MEMORY
    if exit_code == _SIGKILLED:
        return RunStage.LOST
    return EXITS.get(exit_code, RunStage.FAILED)


_NAME = re.compile(r"[^A-Za-z0-9가-힣._-]+")
_CELL = re.compile(r"^madang: cell (\d+)/(\d+)\s*$", re.MULTILINE)
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


def parameters_of(notebook: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters a Python notebook declares in its cell tagged `parameters` (papermill's rule).

    A cell that does not parse as Python declares nothing.
    """
    for cell in notebook.get("cells", []):
        tags = cell.get("metadata", {}).get("tags")
        if isinstance(tags, list) and "parameters" in tags:
            return tuple(_assigned(_text(cell.get("source", ""))))
    return ()


def check_parameters(notebook: Mapping[str, Any], given: Mapping[str, Json]) -> None:
    """Refuse names that the notebook does not know; papermill itself would only warn.

    Raises:
        BadInput: naming the unknown ones and what the notebook knows.
    """
    known = [p.name for p in parameters_of(notebook)]
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


def _assigned(source: str) -> list[Parameter]:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return []
    found: list[Parameter] = []
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.append(Parameter(node.targets[0].id, ast.unparse(node.value)))
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            kind = ast.unparse(node.annotation)
            found.append(Parameter(node.target.id, ast.unparse(node.value), kind))
    return found


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
    return "" if str(path) == "." else str(path)


def _commit(notebook: Mapping[str, Any]) -> str:
    found: object = notebook
    for key in ("metadata", "madang", "commit"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""
