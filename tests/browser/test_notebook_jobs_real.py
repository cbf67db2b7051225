"""Notebook Jobs on the whole of Madang: from a right-click to the opened result of a real run."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.browser.test_notebook_jobs import create, form, item, shown, value
from tests.browser.test_student import choose, inside, lab
from tests.images.bench import PYTHON
from tests.workspace import Workspace, wait_for

pytestmark = [
    pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(600),
    pytest.mark.usefixtures("nobody_left"),
]


def notebook(*sources: str) -> str:
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {"tags": ["parameters"]} if not i else {},
         "source": source, "outputs": [], "execution_count": None}
        for i, source in enumerate(sources)
    ]
    return json.dumps({
        "nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": PYTHON}, "cells": cells,
    })


TRAINS = notebook(
    "epochs = 3", "from helper import word\nprint(word * epochs)",
    "import madang\nmadang.record(accuracy=0.5 + epochs / 100)",
)


def put(place: Workspace, path: str, text: str) -> None:
    """A file in student1's home, written by themselves."""
    packed = base64.b64encode(text.encode()).decode()
    inside(place, "student1", f"mkdir -p ~/$(dirname {path}); echo {packed} | base64 -d > ~/{path}")


@pytest.fixture
def labs(place: Workspace, person: Callable[..., Page]) -> Page:
    """student1's Lab, with a folder that holds a notebook and the module that it imports."""
    page = person("student1")
    choose(page, "cpu")
    lab(page)
    put(place, "labs/train.ipynb", TRAINS)
    put(place, "labs/helper.py", "word = 'ha'\n")
    page.goto("/user/student1/lab/tree/labs?reset")
    item(page, "train.ipynb").wait_for(timeout=120_000)
    return page


def schedules(place: Workspace) -> list[dict[str, Any]]:
    """What people have made; what ships has some of its own."""
    return [x for x in place.rest("GET", "schedules").json() if x["source"] == "person"]


def runs(place: Workspace) -> list[dict[str, Any]]:
    """student1's, newest first; the demo's own nights may have come meanwhile."""
    return [x for x in place.rest("GET", "runs").json() if x["user"] == "student1"]


def until(page: Page, status: str) -> None:
    """Reload the list until it says so of the newest."""
    def there() -> bool:
        page.get_by_role("button", name="Reload", exact=True).click()
        page.wait_for_timeout(1000)
        return status in page.locator("table tbody tr").first.inner_text()

    wait_for(there, timeout=120, why=f"a job is {status}")


def delete(page: Page, name: str) -> None:
    page.get_by_title(f'Delete "{name}"').click()
    page.get_by_role("button", name="Delete", exact=True).click()


def test_from_a_right_click_to_the_opened_result(place: Workspace, labs: Page) -> None:
    form(labs, "train.ipynb")
    expect(labs.locator("#jp-create-job-computeType")).to_contain_text("1g.5gb")
    value(labs, 0).fill("4")
    shot(labs, "jobs-real-form")
    create(labs)
    expect(labs.locator("table")).to_contain_text("train")
    # what was submitted is what the folder was then
    put(place, "labs/helper.py", "word = 'changed'\n")
    until(labs, "Completed")
    shot(labs, "jobs-real-list")
    labs.locator("table .MuiLink-root").first.click()
    expect(shown(labs, "Figures")).to_have_text("accuracy = 0.54")
    expect(shown(labs, "Size")).to_have_text("1g.5gb")
    shot(labs, "jobs-real-detail")
    labs.get_by_title('Open output file "train.ipynb"').click()
    printed = labs.locator(".jp-NotebookPanel .jp-OutputArea-output").first
    expect(printed).to_contain_text("hahahaha")
    shot(labs, "jobs-real-output")
    run = runs(place)[0]
    assert (run["parameters"], run["profile"]) == ({"epochs": 4}, "1g.5gb")


def test_a_refusal_of_the_service_stands_in_the_form(labs: Page) -> None:
    form(labs, "train.ipynb")
    labs.locator("#panel-header").click()
    labs.fill("#madang-jobs-timeout", "9d")
    create(labs)
    expect(labs.locator(".MuiAlert-standardError")).to_contain_text("43200 seconds here")


def test_a_schedule_is_made_run_paused_and_ended(place: Workspace, labs: Page) -> None:
    form(labs, "train.ipynb")
    labs.get_by_label("Run on a schedule").check()
    labs.fill('input[name="scheduleClock"]', "03:30")
    create(labs)
    expect(labs.locator("table")).to_contain_text("At 03:30 AM")
    [made] = schedules(place)
    assert made["cron"] == "30 3 * * MON-FRI"
    mine = labs.get_by_title('Open detail view for "train"')
    mine.click()
    expect(shown(labs, "Next")).to_contain_text("03:30")
    shot(labs, "jobs-real-schedule")
    labs.get_by_role("button", name="Run Job").click()
    create(labs)
    until(labs, "Completed")
    assert runs(place)[0]["schedule"] == made["id"]
    labs.get_by_role("tab", name="Job Definitions").click()
    labs.get_by_title('Pause "train"').click()
    expect(labs.locator("table")).to_contain_text("Paused")
    assert place.rest("GET", f"schedules/{made['id']}").json()["paused"]
    delete(labs, "train")
    expect(mine).to_have_count(0)
    assert schedules(place) == []
    # one that the operator keeps in a file: the refusal is said where it was asked for
    delete(labs, "nightly digits")
    expect(labs.locator(".MuiAlert-standardError")).to_contain_text("schedules.toml")
    shot(labs, "jobs-real-refused")
