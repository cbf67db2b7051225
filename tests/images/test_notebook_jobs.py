"""Lab's Notebook Jobs in a real container, over Lab's own REST: the form, and making a job."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.images.jobs import NOTEBOOK, definition, job, lab, refused, running, service
from tests.images.labbox import LabBox
from tests.images.nightly import FULL, JobService
from tests.images.service import TOKEN

__all__ = ["lab", "running", "service"]  # fixtures
pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


# ---- the server ---------------------------------------------------------------------------------


def test_a_server_that_nobody_opens_jobs_in_does_not_load_jupyter_scheduler(lab: LabBox) -> None:
    code = (
        "import sys\n"
        "from jupyter_server.serverapp import ServerApp\n"
        "app = ServerApp()\n"
        "app.initialize(argv=['--port=0'])\n"
        "print('madang.jobs_extension' in sys.modules, 'jupyter_scheduler' in sys.modules)"
    )
    assert "True False" in lab.inside("python", "-c", code)


def test_what_lab_asks_at_every_start_is_answered_without_the_service(
    lab: LabBox, service: JobService
) -> None:
    assert lab.jobs("GET", "jobs?max_items=0").json() == {"jobs": [], "total_count": 0}
    assert service.asked == []


def test_nothing_of_it_is_for_strangers(lab: LabBox) -> None:
    for path in ("scheduler/jobs?max_items=0", "scheduler/jobs", "madang/jobs/form?path=x"):
        assert httpx.get(lab.url + path).status_code == 403, path
    assert httpx.post(lab.url + "madang/jobs/run-1/again").status_code == 403


def test_kernels_are_heard_while_the_service_takes_its_time(
    lab: LabBox, service: JobService
) -> None:
    service.hangs = True
    with ThreadPoolExecutor(1) as other:
        slow = other.submit(lab.jobs, "GET", "runtime_environments")
        try:
            assert lab.http.get("api/kernels").status_code == 200
            assert not slow.done()
        finally:
            service.hangs = False
        assert slow.result().status_code == 200


# ---- the form -----------------------------------------------------------------------------------


def test_images_are_environments_and_sizes_compute_types(lab: LabBox) -> None:
    found = lab.jobs("GET", "runtime_environments").json()
    assert [x["name"] for x in found] == ["PyTorch", "Audio"]
    for one in found:
        # Lab shows the name and takes the label for it
        assert one["name"] == one["label"]
        assert one["compute_types"] == ["1g.5gb", "3g.20gb"]
        assert one["default_compute_type"] == "1g.5gb"
        assert one["output_formats"] == []


def test_the_form_begins_with_the_parameters_of_the_notebook_and_ones_groups(
    lab: LabBox, service: JobService
) -> None:
    service.groups = ["ai-2025", "vision"]
    found = lab.http.get("madang/jobs/form?path=labs/lab.ipynb").json()
    assert found["groups"] == ["ai-2025", "vision"]
    shown = {x["name"]: (x["default"], x["kind"]) for x in found["parameters"] if x["literal"]}
    assert shown == {
        "epochs": ("3", "number"), "lr": ("0.001", "number"), "optimizer": ("'adam'", "text"),
        "fast": ("False", "flag"), "layers": ("[16, 10]", ""),
    }


@pytest.mark.parametrize(("path", "why"), [
    ("labs/data.csv", "not JSON"), ("labs/gone.ipynb", "does not exist"),
    ("../../etc/passwd", "does not exist"),
])
def test_a_form_for_what_is_no_notebook_says_so(lab: LabBox, path: str, why: str) -> None:
    assert why in refused(lab.http.get("madang/jobs/form", params={"path": path}))


# ---- making a job -------------------------------------------------------------------------------


def test_a_job_is_submitted_with_its_folder_as_it_is_now(lab: LabBox, service: JobService) -> None:
    answer = lab.jobs("POST", "jobs", json=job(
        runtime_environment_name="Audio", compute_type="3g.20gb", package_input_folder=True,
        parameters={"epochs": "5", "lr": "0.001"},
        runtime_environment_parameters={
            "timeout": "1h30m", "retries": "2", "group": "vision", "secrets": "hub, wandb",
            "notify": "lab-chat",
        },
    ))
    assert answer.json() == {"job_id": "run-0000000000"}
    [body] = service.bodies
    assert service.files_of(body) == ["data.csv"]
    assert [x["outputs"] for x in body["notebook"]["cells"]] == [[], []]
    # lr is what the notebook has anyway
    assert {k: x for k, x in body.items() if k not in {"notebook", "snapshot"}} == {
        "notebook_name": "lab.ipynb", "profile": "3g.20gb", "image": "madang/audio:latest",
        "parameters": {"epochs": 5}, "timeout": 5400, "retries": 2, "group": "vision", "cwd": "",
        "secrets": ["hub", "wandb"], "notify": ["lab-chat"],
    }


def test_without_its_folder_it_runs_in_the_folder_itself(lab: LabBox, service: JobService) -> None:
    lab.jobs("POST", "jobs", json=job()).raise_for_status()
    [body] = service.bodies
    assert (body["cwd"], "snapshot" in body) == ("labs", False)


@pytest.mark.parametrize(("name", "text", "value"), [
    ("epochs", "12", 12), ("epochs", "1e2", 100.0), ("lr", " 3e-4 ", 3e-4),
    ("optimizer", "sgd", "sgd"), ("optimizer", "'sgd'", "sgd"), ("optimizer", "5", "5"),
    ("optimizer", "None", None), ("fast", "True", True), ("fast", "true", True),
    ("layers", "(4, 2)", [4, 2]), ("where", "here and there", "here and there"),
    ("new", "{'a': 1}", {"a": 1}), ("new", "__import__('os')", "__import__('os')"),
])
def test_what_is_typed_becomes_a_value_of_the_declared_kind_and_never_code(
    lab: LabBox, service: JobService, name: str, text: str, value: object
) -> None:
    lab.jobs("POST", "jobs", json=job(parameters={name: text})).raise_for_status()
    found = service.bodies[0]["parameters"][name]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("changes", "why"), [
    ({"parameters": {"epochs": "many"}}, "epochs is 3 in the notebook, and 'many'"),
    ({"parameters": {"fast": "perhaps"}}, "fast is False in the notebook"),
    ({"parameters": {"a b": "1"}}, "'a b' cannot be the name of a parameter"),
    ({"runtime_environment_parameters": {"timeout": "3 hours"}}, "a time limit is seconds"),
    ({"runtime_environment_parameters": {"retries": "11"}}, "a number from 0 to 10"),
    ({"compute_type": None}, "choose a size"),
    ({"input_uri": "labs/data.csv"}, "not JSON"),
    ({"input_uri": "labs/gone.ipynb"}, "labs/gone.ipynb"),
])
def test_a_mistake_in_the_form_is_said_before_anything_is_submitted(
    lab: LabBox, service: JobService, changes: dict[str, Any], why: str
) -> None:
    assert why in refused(lab.jobs("POST", "jobs", json=job(**changes)))
    assert service.bodies == []


def test_the_services_refusal_reaches_the_form_word_for_word(
    lab: LabBox, service: JobService
) -> None:
    service.refusal = FULL
    assert refused(lab.jobs("POST", "jobs", json=job())) == FULL
    assert refused(lab.jobs("POST", "job_definitions", json=definition())) == FULL


def test_a_folder_too_large_to_copy_says_which_file_and_what_to_do(
    lab: LabBox, service: JobService
) -> None:
    lab.write("big/lab.ipynb", json.dumps(NOTEBOOK))
    lab.inside("sh", "-c", "head -c 30000000 /dev/urandom > /home/student/big/weights.pt")
    wanted = job(input_uri="big/lab.ipynb", package_input_folder=True)
    said = refused(lab.jobs("POST", "jobs", json=wanted))
    assert "weights.pt" in said
    assert "Run job with input folder" in said
    assert service.bodies == []
    lab.jobs("POST", "jobs", json=wanted | {"package_input_folder": False}).raise_for_status()


def test_a_token_makes_one_job_however_often_it_is_sent(lab: LabBox, service: JobService) -> None:
    wanted = job(idempotency_token="once")
    assert lab.jobs("POST", "jobs", json=wanted).status_code == 200
    assert lab.jobs("POST", "jobs", json=wanted).status_code == 409
    assert len(service.runs) == 1


def test_a_job_whose_answer_was_lost_is_sent_again_with_the_same_key(
    lab: LabBox, service: JobService
) -> None:
    service.lost = ["cut", "503"]
    answer = lab.jobs("POST", "jobs", json=job())
    assert answer.status_code == 200, answer.text
    assert (len(service.keys), len({*service.keys})) == (3, 1)
    assert len(service.keys[0]) >= 32


# ---- elsewhere ----------------------------------------------------------------------------------


def test_a_service_that_is_away_and_one_that_names_no_images(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    home = tmp_path_factory.mktemp("home")
    with JobService() as service, LabBox(
        home, MADANG_API=service.api, JUPYTERHUB_API_TOKEN=TOKEN, MADANG_SLICE="3g.20gb"
    ) as lab:
        lab.write("lab.ipynb", json.dumps(NOTEBOOK))
        service.images = []
        [one] = lab.jobs("GET", "runtime_environments").json()
        assert one["default_compute_type"] == "3g.20gb", "the size that one's own server has"
        wanted = job(input_uri="lab.ipynb", runtime_environment_name=one["name"])
        lab.jobs("POST", "jobs", json=wanted).raise_for_status()
        assert service.bodies[0]["image"] == ""
        service.stop()
        for method, path, body in (
            ("GET", "jobs", None), ("GET", "runtime_environments", None), ("POST", "jobs", wanted),
            ("POST", "jobs", wanted | {"compute_type": None}),
        ):
            assert "Madang does not answer" in refused(lab.jobs(method, path, json=body))
