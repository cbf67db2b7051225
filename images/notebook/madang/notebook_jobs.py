"""Lab's Notebook Jobs on Madang: a job is a run, a job definition a schedule, of the service.

jupyter_scheduler 3 will name these classes otherwise; what they do lies in the files beside.
"""

# jupyter_scheduler and traitlets have no types, or theirs are Any
# mypy: disable-error-code="misc, no-untyped-call, import-not-found, import-untyped"

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jupyter_scheduler.exceptions import IdempotencyTokenError, InputUriError, SchedulerError
from jupyter_scheduler.models import (
    CountJobsQuery,
    CreateJob,
    CreateJobDefinition,
    CreateJobFromDefinition,
    DescribeJob,
    DescribeJobDefinition,
    ListJobDefinitionsQuery,
    ListJobDefinitionsResponse,
    ListJobsQuery,
    ListJobsResponse,
    UpdateJob,
    UpdateJobDefinition,
)
from jupyter_scheduler.scheduler import BaseScheduler
from traitlets import Type

from madang import jobs_lists as lists
from madang import jobs_parameters, jobs_wanted, typed
from madang import jobs_words as words
from madang.jobs_files import Home
from madang.jobs_memory import Memory, hidden
from madang.jobs_service import Service, in_thread
from madang.messages import t

_MOST = 1000  # runs that the service lists at once


class Features:
    """What Lab's own executor would say of itself; ours is the service."""

    def supported_features(self) -> dict[str, bool]:
        """Nothing: the front end does not read it."""
        return {}


class NotebookJobs(BaseScheduler):
    """Jobs and job definitions of the person whose server this is.

    Raises (each method):
        SchedulerError: the service's refusal, or why it is not reached; Lab's form shows the text.
    """

    task_runner = None  # the service keeps the time, also while this server is stopped
    # not the default: importing it costs half a second
    execution_manager_class = Type(klass=object, default_value=Features)

    def __init__(
        self, root_dir: str, environments_manager: Any, config: Any = None, **rest: Any
    ) -> None:
        rest.pop("db_url", None)  # nothing is kept here
        super().__init__(
            root_dir=root_dir, environments_manager=environments_manager, config=config, **rest
        )
        self.service = Service()
        self.home = Home(root_dir)
        self._memory = Memory()

    # ---- jobs ------------------------------------------------------------------------------

    async def create_job(self, model: CreateJob) -> str:
        """Submit a run."""
        if model.idempotency_token and self._memory.by_token(model.idempotency_token):
            raise IdempotencyTokenError(model.idempotency_token)
        body, note = await self._filled_in(jobs_wanted.run_body, model)
        made = await self.service.submit("runs", body)
        named = model.name != words.name(made, {})
        facts = {
            "name": model.name if named else "", "token": model.idempotency_token,
            "tags": model.tags, "input": model.input_uri, "note": note,
            "folder": "snapshot" in body,
        }
        self._memory.note_if_possible(made["id"], **{k: x for k, x in facts.items() if x})
        return words.job_id(made["id"])

    async def form(self, uri: str) -> dict[str, Any]:
        """What the notebook lets one set, and in whose name; for the form to begin with."""
        notebook = await in_thread(typed.notebook, self._input(uri))
        me = await self.service.ask("GET", "me")
        return {
            "parameters": [asdict(x) for x in jobs_parameters.declared(notebook)],
            "groups": list(me["groups"]),
        }

    async def run_again(self, job_id: str) -> dict[str, Any]:
        """Submit the same run once more, from the service's record; in what it will differ."""
        made = await self.service.submit(f"runs/{words.run_id(job_id)}/rerun", {})
        return {"job_id": words.job_id(made["run"]["id"]), "differs": made["differs"]}

    async def update_job(self, job_id: str, model: UpdateJob) -> None:
        """Call it otherwise; nothing else of a run can be changed."""
        if model.status:
            await self.stop_job(job_id)
        if model.name:
            self._note(job_id, name=model.name)

    async def list_jobs(self, query: ListJobsQuery) -> ListJobsResponse:
        """One page of the person's runs."""
        facts, titles = self._memory.all(), await self._titles()
        found = [(run, lists.job(run, facts.get(run["id"], {}), titles))
                 for run in await self._runs(facts, query.job_definition_id)]
        runs = {job.job_id: run for run, job in found}
        part, token, total = lists.page([job for _, job in found], query)
        for job in part:
            self._find_files(job, runs[job.job_id], facts)
        return ListJobsResponse(jobs=part, next_token=token, total_count=total)

    async def count_jobs(self, query: CountJobsQuery) -> int:
        """How many are in a status."""
        return sum(words.status(x) == query.status for x in await self._runs(self._memory.all()))

    async def get_job(self, job_id: str, job_files: bool | None = True) -> DescribeJob:
        """One run, with its place in the line while it waits."""
        run = await self.run(job_id)
        waits = words.status(run) == words.QUEUED
        line = await self.service.ask("GET", "line") if waits else []
        facts = self._memory.all()
        job = lists.job(run, facts.get(run["id"], {}), await self._titles())
        job.status_message = words.status_message(run, line)
        if job_files:
            self._find_files(job, run, facts)
        return job

    async def run(self, job_id: str) -> dict[str, Any]:
        """The run of a job, as the service tells it."""
        return dict(await self.service.ask("GET", f"runs/{words.run_id(job_id)}"))

    async def stop_job(self, job_id: str) -> None:
        """Cancel: it saves what it has."""
        await self.service.ask("DELETE", f"runs/{words.run_id(job_id)}")

    async def delete_job(self, job_id: str) -> None:
        """Take it out of this person's list, and cancel it where it has not ended.

        The run stays in the service's history, and what it wrote in the home.
        """
        await self.stop_job(job_id)
        self._note(job_id, hidden=True)

    # ---- job definitions -------------------------------------------------------------------

    async def create_job_definition(self, model: CreateJobDefinition) -> str:
        """Make a schedule."""
        body, _ = await self._filled_in(jobs_wanted.schedule_body, model)
        made = await self.service.ask("POST", "schedules", json=body)
        id = words.definition_id(made["id"])
        self._memory.note_if_possible(id, folder="snapshot" in body)
        return id

    async def update_job_definition(
        self, job_definition_id: str, model: UpdateJobDefinition
    ) -> None:
        """Pause it, let it go on, or change its times, its name or its notebook."""
        schedule = await self._schedule(job_definition_id)
        # the form sends the name that it shows where nothing was dropped on it
        new = model.input_uri and model.input_uri != schedule["notebook_name"]
        facts = self._memory.all().get(job_definition_id, {})
        changes = await in_thread(
            jobs_wanted.schedule_changes, model, self._input(model.input_uri) if new else None,
            with_folder=bool(facts.get("folder")),
        )
        if changes:
            path = f"schedules/{words.schedule_id(job_definition_id)}"
            await self.service.ask("PATCH", path, json=changes)

    async def delete_job_definition(self, job_definition_id: str) -> None:
        """End the schedule; runs that it has made go on."""
        await self.service.ask("DELETE", f"schedules/{words.schedule_id(job_definition_id)}")

    async def get_job_definition(self, job_definition_id: str) -> DescribeJobDefinition:
        """One schedule."""
        schedule, titles = await self._schedule(job_definition_id), await self._titles()
        return lists.definition(schedule, self._memory.all(), titles)

    async def list_job_definitions(
        self, query: ListJobDefinitionsQuery
    ) -> ListJobDefinitionsResponse:
        """One page of the person's schedules."""
        facts, titles = self._memory.all(), await self._titles()
        found = [
            lists.definition(x, facts, titles) for x in await self.service.ask("GET", "schedules")
        ]
        part, token, total = lists.page(found, query)
        return ListJobDefinitionsResponse(
            job_definitions=part, next_token=token, total_count=total
        )

    async def create_job_from_definition(
        self, job_definition_id: str, model: CreateJobFromDefinition
    ) -> str:
        """Run a schedule's notebook now; of a sweep, the first of its runs."""
        schedule = await self._schedule(job_definition_id)
        own = schedule["parameters"]
        changed = jobs_wanted.parameter_changes(model.parameters or {}, own)
        path = f"schedules/{words.schedule_id(job_definition_id)}/run"
        made = await self.service.submit(path, {"parameters": changed})
        first = made["runs"][0] if "runs" in made else made
        return words.job_id(first["id"])

    # ---- inside ----------------------------------------------------------------------------

    async def _filled_in(
        self, body: Callable[..., tuple[dict[str, Any], str]], model: Any
    ) -> tuple[dict[str, Any], str]:
        path = self._input(model.input_uri)
        if not model.compute_type:
            await self.service.ask("GET", "offers")  # why the form has none: it is away
            raise SchedulerError(t("choose a size; if the form shows none, open it anew"))
        image = await self.environments_manager.image(model.runtime_environment_name)
        made: tuple[dict[str, Any], str] = await in_thread(body, model, path, image)
        return made

    def _input(self, uri: str) -> Path:
        path = self.home.path(uri)
        if path is None:
            raise InputUriError(uri)
        return path

    async def _runs(
        self, facts: Mapping[str, Mapping[str, Any]], definition: str | None = None
    ) -> list[dict[str, Any]]:
        """The person's runs that they have not hidden, newest first; those of one schedule."""
        mine = {"user": os.environ["JUPYTERHUB_USER"]} if "JUPYTERHUB_USER" in os.environ else {}
        of = {"schedule": words.schedule_id(definition)} if definition else {}
        found = await self.service.ask("GET", "runs", params={"limit": _MOST, **mine, **of})
        return [x for x in found if not hidden(facts.get(x["id"], {}))]

    async def _schedule(self, definition_id: str) -> dict[str, Any]:
        path = f"schedules/{words.schedule_id(definition_id)}"
        return dict(await self.service.ask("GET", path))

    async def _titles(self) -> dict[str, str]:
        return dict(await self.environments_manager.titles())

    def _find_files(
        self, job: DescribeJob, run: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]
    ) -> None:
        labels = self.environments_manager.output_formats_mapping()
        source = str(facts.get(run["id"], {}).get("input") or "")
        job.job_files = self.home.files(run, source, labels)
        # else Lab offers to fetch them: what has not ended has nothing to fetch
        ended = job.status in words.ENDED and run.get("started_at")
        job.downloaded = not ended or self.home.output(run).exists()

    def _note(self, job_id: str, **facts: Any) -> None:
        try:
            self._memory.note(words.run_id(job_id), **facts)
        except OSError as e:
            raise SchedulerError(t(
                "the list of jobs cannot be changed: {error}", error=e.strerror or e
            )) from e
