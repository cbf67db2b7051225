"""Runs and schedules as jupyter_scheduler describes jobs, and lists of them."""

# jupyter_scheduler has no types
# mypy: disable-error-code="misc, import-not-found, import-untyped"

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from jupyter_scheduler.models import (
    DescribeJob,
    DescribeJobDefinition,
    ListJobDefinitionsQuery,
    ListJobsQuery,
    SortDirection,
)

from madang import jobs_words as words

T = TypeVar("T", DescribeJob, DescribeJobDefinition)
_FORMATS = ["ipynb"]


def job(run: Mapping[str, Any], facts: Mapping[str, Any], titles: Mapping[str, str]) -> DescribeJob:
    """A run as a job, its files still to be found. `facts`: what the list knows beside it."""
    made = words.moment(run["asked_at"]) or 0
    begun, ended = words.moment(run.get("started_at")), words.moment(run.get("ended_at"))
    of = run.get("schedule")
    return DescribeJob(
        job_id=words.job_id(run["id"]), name=words.name(run, facts), url="",
        input_filename=run["notebook"], status=words.status(run),
        runtime_environment_name=titles.get(run["image"], run["image"]),
        runtime_environment_parameters=words.details(run, facts), compute_type=run["profile"],
        parameters=words.parameters(run["parameters"]), output_formats=_FORMATS,
        job_definition_id=words.definition_id(of) if of else None,
        idempotency_token=facts.get("token"), tags=facts.get("tags"),
        create_time=made, update_time=ended or begun or made, start_time=begun, end_time=ended,
        package_input_folder=bool(facts.get("folder")),
    )


def definition(
    schedule: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]
) -> DescribeJobDefinition:
    """A schedule as a job definition. `facts`: of all jobs and job definitions."""
    id = words.definition_id(schedule["id"])
    made = words.moment(schedule.get("made_at")) or 0
    image = schedule.get("image") or ""
    return DescribeJobDefinition(
        job_definition_id=id, name=schedule["name"],
        input_filename=schedule["notebook_name"],
        schedule=schedule["cron"], timezone=schedule["zone"],
        runtime_environment_name=titles.get(image, image or next(iter(titles.values()))),
        runtime_environment_parameters=words.options(schedule), compute_type=schedule["profile"],
        parameters=words.parameters(schedule.get("parameters") or {}), output_formats=_FORMATS,
        output_filename_template="runs/", active=not schedule.get("paused"),
        create_time=made, update_time=made,
        package_input_folder=bool(facts.get(id, {}).get("folder")),
    )


def page(
    found: list[T], query: ListJobsQuery | ListJobDefinitionsQuery
) -> tuple[list[T], str | None, int]:
    """What a query wants of a list: one page, where the next begins, how many there are in all."""
    wanted = [x for x in found if _fits(x, query)]
    # the sort is stable: the least of several fields goes first
    for field in reversed(query.sort_by):
        wanted.sort(key=_by(field.name), reverse=field.direction == SortDirection.desc)
    first = int(query.next_token or 0)
    last = first + (query.max_items if query.max_items is not None else len(wanted))
    return wanted[first:last], str(last) if last < len(wanted) else None, len(wanted)


def _fits(one: Any, query: Any) -> bool:
    of = getattr(query, "job_definition_id", None)
    status = getattr(query, "status", None)
    begun = getattr(query, "start_time", None)
    made = getattr(query, "create_time", None)
    return (
        (not of or one.job_definition_id == of)
        and (not status or one.status == status)
        and (not begun or (one.start_time or 0) >= begun)
        and (not made or one.create_time >= made)
        and (not query.name or one.name.startswith(query.name))
        and (not query.tags or set(query.tags) <= set(one.tags or ()))
    )


def _by(name: str) -> Callable[[T], tuple[bool, Any]]:
    return lambda x: _rank(getattr(x, name, None))


def _rank(value: Any) -> tuple[bool, Any]:
    """Sorts what is not there first, and texts as people do."""
    return (value is not None, value.lower() if isinstance(value, str) else value or 0)
