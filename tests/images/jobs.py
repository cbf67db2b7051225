"""Lab with its Notebook Jobs, and a small service behind it: what the tests of them share."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.images.bench import PYTHON
from tests.images.labbox import LabBox
from tests.images.nightly import JobService
from tests.images.service import TOKEN

PARAMETERS = """epochs: int = 3  # how many
lr = 1e-3
optimizer = "adam"
fast = False
layers = [16, 10]
where = open.__name__
"""
NOTEBOOK = {
    "nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": PYTHON}, "cells": [
        {"cell_type": "code", "id": "a", "metadata": {"tags": ["parameters"]},
         "source": PARAMETERS, "outputs": [], "execution_count": None},
        {"cell_type": "code", "id": "b", "metadata": {}, "source": "print(epochs)",
         "outputs": [{"output_type": "stream", "name": "stdout", "text": "old"}],
         "execution_count": 4},
    ],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LabBox, JobService]]:
    home = tmp_path_factory.mktemp("home")
    with JobService() as service, LabBox(
        home, MADANG_API=service.api, JUPYTERHUB_API_TOKEN=TOKEN
    ) as lab:
        lab.write("labs/lab.ipynb", json.dumps(NOTEBOOK))
        lab.write("labs/data.csv", "1,2\n")
        yield lab, service


@pytest.fixture
def lab(running: tuple[LabBox, JobService]) -> LabBox:
    lab, service = running
    for kept in (service.runs, service.schedules, service.bodies, service.asked, service.outputs):
        kept.clear()
    service.refusal, service.groups, service.line = "", ["ai-2025"], []
    service.lost, service.keys = [], []
    lab.inside("rm", "-rf", "/home/student/.local/share/madang", "/home/student/runs")
    return lab


@pytest.fixture
def service(running: tuple[LabBox, JobService], lab: LabBox) -> JobService:
    return running[1]


def job(**changes: Any) -> dict[str, Any]:
    """What Lab's form sends."""
    return {
        "name": "lab", "input_uri": "labs/lab.ipynb", "runtime_environment_name": "PyTorch",
        "compute_type": "1g.5gb", "output_formats": [], "parameters": {}, **changes,
    }


def definition(**changes: Any) -> dict[str, Any]:
    return job(schedule="0 2 * * *", timezone="Asia/Seoul", **changes)


def refused(answer: httpx.Response) -> str:
    assert answer.is_error, answer.text
    return str(answer.json()["message"])


def listed(lab: LabBox, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.jobs("GET", "jobs", params=query).json()["jobs"]
    return found
