"""Runs and schedules of the service in the words of Lab's jobs. Pure: no network, no files."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from madang import clock
from madang.jobs_parameters import shown
from madang.messages import t

# jupyter_scheduler's routes want a hyphen in every id
_RUN, _SCHEDULE = "run-", "schedule-"
CREATED, QUEUED, IN_PROGRESS, COMPLETED, FAILED, STOPPING, STOPPED = (
    "CREATED", "QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED", "STOPPING", "STOPPED",
)
STATUS = {
    "planned": CREATED, "waiting": QUEUED, "starting": IN_PROGRESS, "running": IN_PROGRESS,
    "stopping": STOPPING, "succeeded": COMPLETED, "cancelled": STOPPED,
}
ENDED = frozenset({COMPLETED, FAILED, STOPPED})


def job_id(run: str) -> str:
    """A run's id as a job's."""
    return f"{_RUN}{run}"


def definition_id(schedule: str) -> str:
    """A schedule's id as a job definition's."""
    return f"{_SCHEDULE}{schedule}"


def run_id(job: str) -> str:
    """The run of a job."""
    return job.removeprefix(_RUN)


def schedule_id(definition: str) -> str:
    """The schedule of a job definition."""
    return definition.removeprefix(_SCHEDULE)


def status(run: Mapping[str, Any]) -> str:
    """A run's stage as a job's status; every end that is neither success nor cancel has failed."""
    return STATUS.get(run["stage"], FAILED)


def name(run: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What the person called it; else its notebook."""
    return str(facts.get("name") or PurePosixPath(run["notebook"]).stem)


def status_message(run: Mapping[str, Any], line: list[Mapping[str, Any]]) -> str | None:
    """What the status does not say: the place in the line, why it waits again, how it ended.

    None where all went well: Lab shows it as an error.
    """
    now = status(run)
    if now == COMPLETED:
        return None
    said = [str(run.get("message") or "")]
    if now == QUEUED:
        said.append(_place(run, line))
    elif now == CREATED:
        said.append(_waits_for(run))
    elif now in ENDED and run.get("started_at"):
        said.append(t("What it saved is in {folder}", folder=run["folder"]))
    elif run["stage"] == "starting":
        said.append(t("starting"))
    return "\n".join(x for x in said if x) or None


def _place(run: Mapping[str, Any], line: list[Mapping[str, Any]]) -> str:
    attempt = run.get("attempt", 1)
    lease = run["id"] if attempt == 1 else f"{run['id']}-{attempt}"
    mine = [x for x in line if x.get("id") == lease]
    if not mine:
        return t("in the line")
    place = t(
        "in the line, number {position} for {profile}",
        position=mine[0]["position"], profile=run["profile"],
    )
    until = clock.span(mine[0].get("eta_earliest"), mine[0].get("eta_latest"))
    said = (place, mine[0].get("reason"), until and t("probably {time}", time=until))
    return "\n".join(str(x) for x in said if x)


def _waits_for(run: Mapping[str, Any]) -> str:
    if run.get("not_before"):
        return t("not before {time}", time=clock.moment(run["not_before"]))
    if run.get("after"):
        return t("after run {id} has succeeded", id=run["after"])
    return t("not in the line yet: you have enough runs there")


def details(
    run: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, int | float | bool | str]:
    """What Lab's form does not know of a run, for our part of the page."""
    found: dict[str, Any] = {
        "stage": run["stage"], "slice": run.get("slice"), "folder": run.get("folder"),
        "profile": run["profile"], "timeout": run.get("timeout"), "retries": run.get("retries"),
        "attempt": run.get("attempt", 1), "sweep": run.get("sweep"),
        "cells": _of(run, "cells_done", "cells"), "steps": _of(run, "steps_done", "steps"),
        "metrics": _metrics(run.get("metrics") or {}), "group": run.get("group"),
        "note": facts.get("note"), **_named(run),
    }
    return {k: x for k, x in found.items() if x not in {None, "", 0}}


def options(schedule: Mapping[str, Any]) -> dict[str, int | float | bool | str]:
    """What Lab's form does not know of a schedule, for our part of the page."""
    found: dict[str, Any] = {
        "profile": schedule.get("profile"), "timeout": schedule.get("timeout"),
        "retries": schedule.get("retries"), "overlap": schedule.get("overlap"),
        "catch_up": schedule.get("catch_up"), "sweep": _sweep(schedule.get("sweep") or {}),
        "group": schedule.get("group"), "source": schedule.get("source"),
        "next": _slot(next(iter(schedule.get("next") or ()), None)),
        "last": _slot(schedule.get("last")), **_named(schedule),
    }
    return {k: x for k, x in found.items() if x not in {None, "", 0}}


def parameters(found: Mapping[str, Any]) -> dict[str, str]:
    """Values as the form takes them back."""
    return shown(found)


def moment(text: str | None) -> int | None:
    """A moment of the service in milliseconds."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _named(found: Mapping[str, Any]) -> dict[str, str]:
    return {k: ", ".join(found.get(k) or ()) for k in ("secrets", "notify")}


def _of(run: Mapping[str, Any], done: str, whole: str) -> str:
    return f"{run.get(done, 0)}/{run[whole]}" if run.get(whole) else ""


def _metrics(found: Mapping[str, Any]) -> str:
    plain = {k: x for k, x in found.items() if isinstance(x, int | float | str | bool)}
    return ", ".join(f"{k} = {x:.6g}" if isinstance(x, float) else f"{k} = {x}"
                     for k, x in plain.items())[:1000]


def _sweep(found: Mapping[str, Any]) -> str:
    return "; ".join(f"{k} = {', '.join(map(str, x))}" for k, x in found.items())[:1000]


def _slot(found: Mapping[str, Any] | None) -> str:
    """A time of a schedule, as the clock on the wall shows it there, and what came of it."""
    if not found:
        return ""
    time = str(found.get("local") or found.get("slot") or "").replace("T", " ")
    return ": ".join(x for x in (time, str(found.get("message") or "")) if x)
