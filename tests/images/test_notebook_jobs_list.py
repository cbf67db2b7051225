"""Lab's Notebook Jobs in a real container, over Lab's own REST: the list, and schedules."""

import ast
import json
import re
from typing import Any

import pytest
from madang.messages import _KO

from tests.images.bench import PACKAGE
from tests.images.jobs import (
    NOTEBOOK,
    definition,
    job,
    lab,
    listed,
    refused,
    running,
    service,
)
from tests.images.labbox import LabBox
from tests.images.nightly import DIFFERS, FULL, NO_RUN, JobService
from tests.images.service import LINE

__all__ = ["lab", "running", "service"]  # fixtures
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
PLACE = LINE | {
    "position": 2, "reason": "Waits for a 1g.5gb: 2 of 2 are held.",
    "eta_earliest": "2026-01-01T10:00:00Z", "eta_latest": "2026-01-01T11:30:00Z",
}


# ---- the list -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "status"), [
    ("planned", "CREATED"), ("waiting", "QUEUED"), ("starting", "IN_PROGRESS"),
    ("running", "IN_PROGRESS"), ("stopping", "STOPPING"), ("succeeded", "COMPLETED"),
    ("failed", "FAILED"), ("timed-out", "FAILED"), ("out-of-memory", "FAILED"),
    ("kernel-died", "FAILED"), ("lost", "FAILED"), ("interrupted", "FAILED"),
    ("cancelled", "STOPPED"), ("some day", "FAILED"),
])
def test_each_stage_has_a_status(
    lab: LabBox, service: JobService, stage: str, status: str
) -> None:
    service.add("ab12", stage=stage)
    assert [x["status"] for x in listed(lab)] == [status]
    assert len(listed(lab, status=status.lower())) == 1
    assert lab.jobs("GET", f"jobs/count?status={status}").json() == {"count": 1}
    assert lab.jobs("GET", "jobs/run-ab12").json()["status"] == status


@pytest.mark.parametrize(("facts", "said"), [
    ({"stage": "waiting", "message": "Somebody waits; it waits again"},
     "Somebody waits; it waits again\nin the line, number 2 for 1g.5gb\n"
     "Waits for a 1g.5gb: 2 of 2 are held.\nprobably 2026-01-01 10:00 - 11:30"),
    ({"stage": "waiting", "attempt": 2}, "in the line"),
    ({"stage": "planned", "not_before": "2026-01-02T02:00:00+09:00"},
     "not before 2026-01-01 17:00"),
    ({"stage": "planned", "after": "cd34"}, "after run cd34 has succeeded"),
    ({"stage": "planned"}, "not in the line yet: you have enough runs there"),
    ({"stage": "succeeded", "message": "3 cells"}, None),
    ({"stage": "out-of-memory", "message": "out of memory", "started_at": "2026-01-01T09:01:00Z"},
     "out of memory\nWhat it saved is in runs/2026-01-01-lab-ab12"),
    ({"stage": "cancelled", "message": "cancelled by kim"}, "cancelled by kim"),
])
def test_the_message_tells_what_the_status_does_not(
    lab: LabBox, service: JobService, facts: dict[str, Any], said: str | None
) -> None:
    service.line = [PLACE | {"id": "ab12"}]
    service.add("ab12", **facts)
    assert lab.jobs("GET", "jobs/run-ab12").json()["status_message"] == said


def test_an_ended_job_links_its_notebook_its_input_and_its_folder(
    lab: LabBox, service: JobService
) -> None:
    id = lab.jobs("POST", "jobs", json=job()).json()["job_id"]
    folder = "runs/2026-01-01-lab-0000000000"
    lab.write(f"{folder}/lab.ipynb", json.dumps(NOTEBOOK))
    service.ends("0000000000", metrics={"loss": 0.123456789, "curve": [1, 2]})
    [found] = listed(lab)
    assert found["job_id"] == id
    assert {x["file_format"]: x["file_path"] for x in found["job_files"]} == {
        "ipynb": f"{folder}/lab.ipynb", "input": "labs/lab.ipynb", "files": folder,
    }
    assert found["downloaded"]
    assert found["end_time"] - found["start_time"] == 65_000
    more = found["runtime_environment_parameters"]
    assert (more["metrics"], more["slice"], more["cells"]) == (
        "loss = 0.123457", "local/0:4", "3/3")


def test_a_result_that_was_deleted_is_brought_back_from_the_service(
    lab: LabBox, service: JobService
) -> None:
    service.add("ab12", stage="running")
    assert listed(lab)[0]["downloaded"], "there is nothing to fetch yet"
    service.ends("ab12")
    assert not listed(lab)[0]["downloaded"]
    said = refused(lab.jobs("GET", "jobs/run-ab12/download_files"))
    assert said == "This run has left no notebook."
    service.outputs["ab12"] = json.dumps(NOTEBOOK)
    assert lab.jobs("GET", "jobs/run-ab12/download_files").status_code == 204
    [found] = listed(lab)
    assert found["downloaded"]
    path = lab.home / found["job_files"][0]["file_path"]
    assert json.loads(path.read_text()) == NOTEBOOK
    lab.write(found["job_files"][0]["file_path"], "changed")
    lab.jobs("GET", "jobs/run-ab12/download_files?redownload=false").raise_for_status()
    assert path.read_text() == "changed"


def test_a_job_is_stopped_by_a_cancel(lab: LabBox, service: JobService) -> None:
    service.add("ab12", stage="running")
    assert lab.jobs("PATCH", "jobs/run-ab12", json={"status": "STOPPED"}).status_code == 204
    assert listed(lab)[0]["status"] == "STOPPING"


def test_a_deleted_job_leaves_this_list_and_nothing_else(lab: LabBox, service: JobService) -> None:
    lab.write("runs/2026-01-01-lab-ab12/lab.ipynb", json.dumps(NOTEBOOK))
    service.add("ab12")
    service.ends("ab12")
    service.add("cd34")
    assert lab.jobs("DELETE", "jobs/run-ab12").status_code == 204
    assert [x["job_id"] for x in listed(lab)] == ["run-cd34"]
    assert (lab.home / "runs/2026-01-01-lab-ab12/lab.ipynb").exists()
    assert service.runs["ab12"]["stage"] == "succeeded"
    assert lab.jobs("DELETE", "batch/jobs?job_id=run-cd34").status_code == 204
    assert service.runs["cd34"]["stage"] == "cancelled", "what has not ended is cancelled"
    assert listed(lab) == []


def test_a_broken_memory_hides_nothing(lab: LabBox, service: JobService) -> None:
    service.add("ab12")
    lab.write(".local/share/madang/jobs.json", '{"runs": [')
    assert len(listed(lab)) == 1
    lab.jobs("DELETE", "jobs/run-ab12").raise_for_status()
    assert listed(lab) == []


def test_a_name_that_the_person_gave_is_kept(lab: LabBox) -> None:
    lab.jobs("POST", "jobs", json=job(name="first try")).raise_for_status()
    lab.jobs("POST", "jobs", json=job()).raise_for_status()
    assert [x["name"] for x in listed(lab)] == ["lab", "first try"]
    lab.jobs("PATCH", "jobs/run-0000000000", json={"name": "best"}).raise_for_status()
    assert [x["name"] for x in listed(lab, name="be")] == ["best"]


def test_the_list_is_sorted_and_comes_in_pages(lab: LabBox, service: JobService) -> None:
    for i, notebook in enumerate(("b.ipynb", "a.ipynb", "C.ipynb")):
        service.add(f"ab{i}", notebook=notebook, asked_at=f"2026-01-01T0{i}:00:00+00:00")
    assert [x["name"] for x in listed(lab)] == ["C", "a", "b"]
    by_name = lab.jobs("GET", "jobs?sort_by=asc(input_filename)&max_items=2").json()
    assert [x["name"] for x in by_name["jobs"]] == ["a", "b"]
    assert (by_name["total_count"], by_name["next_token"]) == (3, "2")
    rest = lab.jobs("GET", "jobs?sort_by=asc(input_filename)&max_items=2&next_token=2").json()
    assert ([x["name"] for x in rest["jobs"]], rest.get("next_token")) == (["C"], None)


def test_a_job_that_the_service_does_not_know(lab: LabBox) -> None:
    for method, path in (("GET", "jobs/run-ff"), ("DELETE", "jobs/run-ff")):
        assert refused(lab.jobs(method, path)) == NO_RUN.format(id="ff")


def test_a_run_is_made_again(lab: LabBox, service: JobService) -> None:
    service.add("ab12", parameters={"epochs": 7})
    answer = lab.http.post("madang/jobs/run-ab12/again")
    assert answer.json() == {"job_id": "run-0000000001", "differs": [DIFFERS]}
    assert service.runs["0000000001"]["parameters"] == {"epochs": 7}
    service.refusal = FULL
    assert refused(lab.http.post("madang/jobs/run-ab12/again")) == FULL


# ---- schedules ----------------------------------------------------------------------------------


def test_a_job_definition_is_a_schedule(lab: LabBox, service: JobService) -> None:
    made = lab.jobs("POST", "job_definitions", json=definition(
        name="every night", parameters={"epochs": "9"}, package_input_folder=True,
        runtime_environment_parameters={"overlap": "replace", "catch_up": "6h", "timeout": "3h"},
    )).json()
    assert made == {"job_definition_id": "schedule-0000000000"}
    [body] = service.bodies
    assert service.files_of(body) == ["data.csv"]
    wanted = {
        "name": "every night", "cron": "0 2 * * *", "zone": "Asia/Seoul", "overlap": "replace",
        "catch_up": "6h", "timeout": 10800, "parameters": {"epochs": 9}, "profile": "1g.5gb",
    }
    assert {k: body[k] for k in wanted} == wanted
    [found] = lab.jobs("GET", "job_definitions").json()["job_definitions"]
    one = lab.jobs("GET", "job_definitions/schedule-0000000000").json()
    assert found.items() <= one.items()
    assert (found["schedule"], found["timezone"], found["active"], found["parameters"]) == (
        "0 2 * * *", "Asia/Seoul", True, {"epochs": "9"})
    assert found["runtime_environment_parameters"]["next"] == "2026-01-02 02:00"
    assert found["package_input_folder"]


def test_a_schedule_is_paused_changed_and_ended(lab: LabBox, service: JobService) -> None:
    lab.jobs("POST", "job_definitions", json=definition()).raise_for_status()
    path = "job_definitions/schedule-0000000000"
    lab.jobs("PATCH", path, json={"active": False}).raise_for_status()
    assert service.bodies[-1] == {"paused": True}
    assert not lab.jobs("GET", path).json()["active"]
    # the form sends the name that it shows, also where nothing was dropped on it
    changes = {"schedule": "0 3 * * *", "timezone": "UTC", "input_uri": "lab.ipynb"}
    lab.jobs("PATCH", path, json=changes).raise_for_status()
    assert service.bodies[-1] == {"cron": "0 3 * * *", "zone": "UTC"}
    lab.jobs("PATCH", path, json={"input_uri": "labs/lab.ipynb"}).raise_for_status()
    assert service.bodies[-1]["notebook_name"] == "lab.ipynb"
    assert len(service.bodies[-1]["notebook"]["cells"]) == 2
    lab.jobs("DELETE", path).raise_for_status()
    assert lab.jobs("GET", "job_definitions").json()["job_definitions"] == []


def test_a_schedule_is_run_now_with_its_values_or_others(lab: LabBox, service: JobService) -> None:
    lab.jobs("POST", "job_definitions", json=definition(parameters={"epochs": "9"}))
    path = "job_definitions/schedule-0000000000/jobs"
    made = lab.jobs("POST", path, json={"parameters": {"epochs": "9"}}).json()
    assert made == {"job_id": "run-0000000000"}
    assert service.bodies[-1] == {"parameters": {}}
    lab.jobs("POST", path, json={"parameters": {"epochs": "2"}}).raise_for_status()
    assert service.bodies[-1] == {"parameters": {"epochs": 2}}
    service.add("ee55")
    of = listed(lab, job_definition_id="schedule-0000000000")
    assert [(x["job_id"], x["job_definition_id"]) for x in of] == [
        (f"run-000000000{i}", "schedule-0000000000") for i in (1, 0)]


# ---- words --------------------------------------------------------------------------------------


def test_labs_part_of_the_form_says_everything_in_both_languages() -> None:
    static = PACKAGE / "madang" / "labextension" / "static"
    words = json.loads((static / "jobs.json").read_text())
    assert words["en"].keys() == words["ko"].keys()
    assert not {k for k, x in words["ko"].items() if x == words["en"][k]}
    said = set(re.findall(r"texts\.(\w+)", (static / "jobs.js").read_text()))
    assert said <= words["en"].keys()


def test_everything_that_is_said_of_jobs_has_its_korean() -> None:
    said = {
        node.args[0].value
        for path in (*(PACKAGE / "madang").glob("jobs_*.py"), PACKAGE / "madang/notebook_jobs.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "t"
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(said) > 10
    assert not said - _KO.keys()


def test_the_schedulers_own_pages_are_in_korean_too(lab: LabBox) -> None:
    """Every text that its bundle marks for translation; a newer version with others is seen."""
    static = "/opt/madang/venv/share/jupyter/labextensions/@jupyterlab/scheduler/static"
    bundle = lab.inside("sh", "-c", f"cat {static}/*.js")
    marked = re.findall(r"\.__\((['\"`])((?:\\.|(?!\1).)*)\1", bundle)
    texts = {x[1].replace("\\'", "'") for x in marked}
    assert "Create Job" in texts
    pack = lab.http.get("lab/api/translations/ko_KR").json()["data"]["jupyterlab"]
    same = {"0\u201359", "00:00-23:59"}
    assert texts - pack.keys() == same
