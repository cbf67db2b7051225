"""One run from its job to its end: refuse or prepare, execute, save, say how it ended."""

# papermill, nbclient and nbformat have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import itertools
import os
import time
import traceback
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nbformat
from nbformat import NotebookNode
from papermill import PapermillExecutionError, execute_notebook

from madang import engine, figures, masking, packing, runjson
from madang.ahead import Ahead
from madang.bookkeeping import Plan
from madang.echo import Echo
from madang.files import fresh_folder, numbered, set_aside, write_atomic
from madang.job import (
    BadJob,
    Job,
    Kernel,
    check_parameters,
    choose_kernel,
    read_job,
    read_notebook,
)
from madang.runjson import RunFile
from madang.stopping import INTERRUPTED, TIMED_OUT, Stop

SUCCEEDED, FAILED, KERNEL_DIED, REFUSED = "succeeded", "failed", "kernel-died", "refused"
EXITS = {
    SUCCEEDED: 0, FAILED: 1, REFUSED: 2, INTERRUPTED: 75, TIMED_OUT: 124, KERNEL_DIED: 138,
}
# a disk that was full for a moment must not cost a night's result
_SAVE_TRIES, _SAVE_PAUSE = 4, 1.0
_FILES = "files"  # the snapshot's folder, in the run's
_LONGEST = 300  # characters of the last line


@dataclass(frozen=True)
class End:
    """How a run ended; `message` is one line for people."""

    stage: str
    message: str

    @property
    def code(self) -> int:
        """The process's exit code."""
        return EXITS[self.stage]

    @property
    def word(self) -> str:
        """The stage in the service's words: a refused job is a failed run."""
        return FAILED if self.stage == REFUSED else self.stage


def run(path: Path, stop: Stop, ahead: Ahead | None = None) -> int:
    """Do the job in the file `path`; the exit code. `ahead`: a process for its kernel."""
    began = time.monotonic()
    echo = Echo()
    try:
        end = _run(read_job(path), stop, echo, began, ahead)
    except BadJob as e:
        end = End(REFUSED, str(e))
    except OSError as e:
        end = End(FAILED, _unwritable(e))
    _tell(echo, end)
    return end.code


def refuse(why: str) -> None:
    """Say that there is nothing to run."""
    _tell(Echo(), End(REFUSED, why))


def _tell(echo: Echo, end: End) -> None:
    echo.flush()
    # masked before it is cut: half a secret is not found any more
    echo.say(f"{end.word} {echo.mask.text(end.message)[:_LONGEST]}")


def _run(job: Job, stop: Stop, echo: Echo, began: float, ahead: Ahead | None) -> End:
    nb = read_notebook(job.notebook, job.name)
    kernel = choose_kernel(nb, job.kernel)
    check_parameters(nb, job.parameters, kernel)
    cwd = _working_folder(job)
    _check_snapshot(job)
    environment, echo.mask = masking.read(job.secrets)
    record = RunFile(job, len(nb.cells), echo.mask)
    earlier = _earlier_folder(job)
    folder = earlier or _output_folder(job, echo)
    if earlier:
        _keep_earlier(job, earlier, echo)
    record.begin(folder)
    # an attempt that was ended before its copy was whole has begun nothing
    begun = earlier is not None and (job.snapshot is None or (folder / _FILES).exists())
    resume = str(int(job.resume or begun))
    os.environ |= {"RUN_DIR": str(folder), "RESUME": resume, "MADANG_RUN": job.id, **environment}
    stop.grace = job.grace
    plan = Plan(
        output=folder / f"{job.name}.ipynb", stop=stop, echo=echo, cells=len(nb.cells),
        deadline=began + job.timeout if job.timeout else None, mask=echo.mask,
        metadata={"run": job.id, "commit": job.record.get("commit"), "stage": "running"},
        ahead=ahead,
    )
    end = _save(plan, _execute(nb, job, kernel, plan, cwd))
    _keep(record, plan, end)
    return end


def _working_folder(job: Job) -> Path | None:
    if job.cwd is None or job.snapshot:
        return None
    cwd = Path.home() / job.cwd
    if not cwd.is_dir():
        raise BadJob(f"There is no folder {job.cwd} in the home to run in.")
    return cwd


def _check_snapshot(job: Job) -> None:
    if job.snapshot:
        try:
            packing.check(job.snapshot)
        except packing.Unpackable as e:
            raise BadJob(f"The copy of the notebook's folder cannot be used: {e}") from e


def _unpacked(snapshot: Path, folder: Path, below: PurePosixPath | None) -> Path:
    """The copy of the notebook's folder; another attempt finds it as the one before left it.

    `below`: a course is copied as a whole, and its notebook works in a folder of it.
    """
    files = folder / _FILES
    if not files.exists():
        packing.unpack(snapshot, files)
    inside = files / (below or "")
    return inside if inside.is_dir() else files


def _output_folder(job: Job, echo: Echo) -> Path:
    wanted = Path.home() / job.folder
    folder = fresh_folder(wanted)
    if folder != wanted:
        echo.say(f"folder {folder.relative_to(Path.home())}")
    return folder


def _earlier_folder(job: Job) -> Path | None:
    """Where an earlier attempt of this run has saved, with its checkpoints; None in the first."""
    if job.attempt == 1:
        return None
    wanted = Path.home() / job.folder
    named = (wanted.with_name(x) for x in numbered(wanted.name))
    there = itertools.takewhile(Path.is_dir, named)
    return next((x for x in there if runjson.read(x).get("id") == job.id), None)


def _keep_earlier(job: Job, folder: Path, echo: Echo) -> None:
    """The earlier attempt's notebook and record get names of their own; all else stays."""
    found = runjson.read(folder)
    before = found["attempt"] if isinstance(found.get("attempt"), int) else 1
    set_aside(folder / f"{job.name}.ipynb", f"attempt-{before}")
    # a copy: without its run.json the folder would not be found again
    record = (folder / runjson.NAME).read_text(encoding="utf-8")
    write_atomic(folder / f"run.attempt-{before}.json", record)
    echo.say(f"attempt {job.attempt}")


def _execute(nb: NotebookNode, job: Job, kernel: Kernel, plan: Plan, cwd: Path | None) -> End:
    """Hand the notebook to papermill; every way it can go is an `End`."""
    folder = plan.output.parent
    try:
        if job.snapshot:
            cwd = _unpacked(job.snapshot, folder, job.cwd)
        execute_notebook(
            nb, None, dict(job.parameters), engine_name=engine.NAME, kernel_name=kernel.name,
            language=kernel.language, progress_bar=False, cwd=cwd or folder, plan=plan,
        )
    except PapermillExecutionError:
        pass  # papermill also raises for errors that the notebook expects; the plan knows
    except OSError as e:
        return End(FAILED, _unwritable(e))
    except Exception as e:  # noqa: BLE001
        # a fault of ours must end like any other run: said, saved, with an exit code
        plan.echo.error(traceback.format_exc().splitlines(), "")
        return End(FAILED, f"internal error in {_where(plan)}: {e!r}")
    return ended(plan)


def ended(plan: Plan) -> End:
    """What came of an execution. A stop counts when it cost something: a cell, or its end."""
    unfinished = plan.error or (plan.cells_done < plan.cells and not plan.ended_itself)
    if plan.stop.cause and (plan.stop.delivered or unfinished):
        killed = " It did not stop in time and was ended." if plan.stop.hard else ""
        word = "out of time" if plan.stop.cause == TIMED_OUT else "stopped"
        return End(plan.stop.cause, f"{word} in {_where(plan)}; saved.{killed}")
    if plan.error:
        stage = KERNEL_DIED if plan.died else FAILED
        name = "" if plan.died else f"{plan.error['ename']}: "
        return End(stage, f"{_where(plan)}: {name}{plan.error['evalue']}")
    if plan.ended_itself:
        return End(SUCCEEDED, f"the notebook ended itself in {_where(plan)}")
    return End(SUCCEEDED, f"{plan.cells} cells")


def _where(plan: Plan) -> str:
    return f"cell {plan.cell}/{plan.cells}" if plan.cell else "the start"


def _save(plan: Plan, end: End) -> End:
    """Write the notebook for the last time, with its end in it; not saved is not succeeded."""
    if plan.notebook is None:
        return end
    plan.notebook.metadata["madang"] = plan.metadata | {
        "stage": end.stage, "message": end.message, "exit_code": end.code,
    }
    text = nbformat.writes(plan.mask.notebook(plan.notebook))
    for left in reversed(range(_SAVE_TRIES)):
        try:
            write_atomic(plan.output, text)
        except OSError as e:
            if not left:
                return End(FAILED, f"{_unwritable(e)} Before that: {end.stage}, {end.message}")
            time.sleep(_SAVE_PAUSE)
        else:
            break
    return end


def _keep(record: RunFile, plan: Plan, end: End) -> None:
    cells = plan.notebook.cells if plan.notebook else ()
    metrics, warning = figures.of_run(plan.output.parent, cells)
    if warning:
        plan.echo.say(f"warning {warning}")
    done, of = plan.echo.steps
    counts = {
        "cells": plan.cells, "cells_done": plan.cells_done, "steps": of, "steps_done": done,
    }
    try:
        record.end(
            stage=end.word, exit_code=end.code, message=end.message, counts=counts,
            error=plan.error, metrics=metrics, gpu_memory_peak_mib=plan.gpu_memory_peak_mib,
        )
    except OSError as e:
        plan.echo.say(f"warning run.json is out of date. {_unwritable(e)}")


def _unwritable(error: OSError) -> str:
    name = Path(str(error.filename)).name if error.filename else "the notebook"
    return (
        f"{name} cannot be written: {error.strerror or error}. "
        "Make room in the home; what was saved last is still there."
    )
