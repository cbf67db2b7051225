"""The button "Update course" on a whole installation: the service that merges is the real one."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import shot
from tests.browser.courselab import (
    dialog,
    item,
    panel,
    press,
    tab,
    type_into,
)
from tests.browser.test_courses import BOOK, FIRST, NEW, SECOND, Course
from tests.face.courses import packed
from tests.workspace import Workspace, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(900)]
NAME = "inlab"


def with_kernel(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """As courses are: Lab would ask which kernel to take."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        path: json.dumps((found := json.loads(data)) | {
            "metadata": found["metadata"] | {"kernelspec": kernel}}).encode()
        if path.endswith(".ipynb") else data for path, data in files.items()
    }


def lab(page: Page, user: str, name: str = NAME) -> None:
    """Lab with the notebook open."""
    page.goto(f"/user/{user}/lab/tree/courses/{name}/{BOOK}?reset")
    page.wait_for_selector("#jp-main-statusbar", timeout=120_000)
    expect(panel(page).locator(".jp-Cell").nth(1)).to_be_visible()
    expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=120_000)


def saved(course: Course, user: str) -> list[str]:
    """The cells on the disk; none while Lab is writing them there."""
    try:
        # Lab writes a source line by line
        return ["".join(x) for x in course.sources(user)]
    except ValueError:
        return []


def comes(page: Page, where: Locator, text: str, *, there: bool = True) -> None:
    """What is told to whoever comes back to the page; or is told no more."""
    def look() -> bool:
        page.evaluate("() => { const now = Date.now; Date.now = () => now() + 16000;"
                      "document.dispatchEvent(new Event('visibilitychange')); }")
        return (text in " ".join(where.all_text_contents())) == there

    wait_for(look, every=1, why=f"{text}: {there}")


def test_a_release_comes_into_an_open_notebook_by_the_button(
    place: Workspace, person: Callable[..., Page], tmp_path: Path
) -> None:
    course = Course(place, tmp_path / "clone", NAME)
    course.push(with_kernel(FIRST), "Week 1")
    page = person("student1")
    student = place.student("student1")
    assert student.start("cpu").status_code in {201, 202}
    wait_for(student.ready, timeout=180, why="the server")
    lab(page, "student1")
    expect(page.locator(".Toastify")).to_contain_text("release 1 has come into your folder")
    shot(page, "course-real-start")
    cells = panel(page).locator(".jp-CodeCell")
    type_into(page, 1, "  # of the student")
    course.push(with_kernel(SECOND), "Week 2: tensors again")
    comes(page, item(page), "update 2")
    item(page).click()
    expect(dialog(page)).to_contain_text("Week 2: tensors again")
    expect(dialog(page)).to_contain_text("not saved yet")
    press(page, "Update")
    expect(dialog(page).locator("[data-fate=waiting]")).to_contain_text(BOOK)
    press(page, "Close")
    assert course.home("student1", "week2/cnn.ipynb").exists()
    expect(item(page)).to_contain_text("waits for an open file")
    item(page).click()
    dialog(page).get_by_label(BOOK).check()
    press(page, "Update")
    expect(dialog(page).locator("[data-fate=beside]")).to_contain_text(BOOK)
    shot(page, "course-real-report")
    press(page, "Close")
    expect(tab(page, BOOK)).to_be_visible()
    mark = panel(page).locator(".madang-Course-mark")
    expect(mark).to_have_count(1)
    expect(cells.nth(0)).to_contain_text("a = 1  # of the student")
    shot(page, "course-real-mark")
    mark.get_by_role("button", name="Take it").click()
    expect(mark).to_have_count(0)
    expect(cells.nth(0)).to_contain_text("a = 10")
    page.keyboard.press("Control+s")
    wait_for(lambda: saved(course, "student1") == NEW, why="it is saved")
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    handing_in(page, place)


def handing_in(page: Page, place: Workspace) -> None:
    """A deadline, what was taken, and feedback are told to a student."""
    route, toasts = f"courses/{NAME}/collections", page.locator(".Toastify__toast")

    def collect(name: str, path: str, due: timedelta | None) -> None:
        at = f"{datetime.now(UTC) + due:%Y-%m-%dT%H:%M}" if due else ""
        answer = place.rest("POST", route, json={"name": name, "path": path, "due": at})
        assert answer.status_code == 201, answer.text

    collect("hw2", "hw2", timedelta(hours=20))
    comes(page, toasts, f"{NAME}, hw2: deadline")
    collect("hw2", "hw2", timedelta(days=9))
    comes(page, toasts, f"{NAME}, hw2: deadline", there=False)
    collect("hw1", "week1", None)
    comes(page, toasts, f"{NAME}, hw1: collected. Files:")
    graded = packed({"student1/grade.md": b"good"})
    returned = place.rest("POST", f"{route}/hw1/feedback", json={"files": graded}).json()
    assert [(x["user"], x["files"]) for x in returned] == [("student1", 1)], returned
    comes(page, toasts, f"{NAME}, hw1: feedback has come")
    shot(page, "course-real-feedback")
    told = toasts.filter(has_text=f"{NAME}, hw1")
    told.filter(has_text="feedback").get_by_role("button", name="Show the folder").click()
    expect(page.locator(".jp-DirListing-itemName", has_text="grade.md")).to_be_visible()
    assert len(told.all()) <= 2, told.all_text_contents()
