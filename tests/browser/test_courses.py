"""A course from a real git push to what students choose, on a whole installation of its own."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.face.courses import PWN, book, cell
from tests.workspace import Workspace, wait_for

Person = Callable[..., Page]
pytestmark = pytest.mark.timeout(900)
BOOK = "week1/tensors.ipynb"
FIRST = {BOOK: book("a = 1", "b = 2", "c = 3"), "week1/help.txt": b"one\n"}
SECOND = FIRST | {
    BOOK: book("a = 10", "b = 20", "c = 3"), "week2/cnn.ipynb": book("d = 4", title=PWN),
}
NEW = ["# Tensors", "a = 10", "b = 20", "c = 3"]


class Course:
    """A course of one test, in the instructor's clone and in everybody's home."""

    def __init__(self, place: Workspace, clone: Path, name: str) -> None:
        self.place, self.clone, self.name = place, clone, name
        clone.mkdir()
        self.toml = f'title = "The {name}"\ngroup = "demo"\nprofile = "1g.5gb"\n'.encode()
        self._git("init", "-q", "-b", "main")

    def push(self, files: Mapping[str, bytes], said: str) -> str:
        """What git prints of a push as the instructor makes it."""
        put(self.clone, files | {"course.toml": self.toml})
        self._git("add", "-A")
        self._git("commit", "-q", "-m", said)
        made = self.place.student("teacher").api(
            "POST", "/users/teacher/tokens", json={"note": "git"})
        address = self.place.url.replace("//", f"//teacher:{made.json()['token']}@")
        return self._git("push", f"{address}/services/madang/git/{self.name}.git", "main")

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(self.clone),
             *words], capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def home(self, user: str, path: str) -> Path:
        return self.place.data / "homes" / user / "courses" / self.name / path

    def edit(self, user: str, change: Callable[[dict[str, Any]], object]) -> bytes:
        """The notebook, changed and saved as Jupyter does."""
        file = self.home(user, BOOK)
        found = json.loads(file.read_text())
        change(found)
        file.write_text(json.dumps(found, indent=1))
        os.chown(file, 1000, 1000)
        return file.read_bytes()

    def sources(self, user: str) -> list[str]:
        return [x["source"] for x in json.loads(self.home(user, BOOK).read_text())["cells"]]

    def look(self, page: Page) -> None:
        """From the board to the course's page."""
        page.goto("/services/madang/")
        page.get_by_role("navigation").get_by_role("link", name="Courses").click()
        page.get_by_role("link", name=f"The {self.name}").click()
        expect(page.locator("h1")).to_have_text(f"The {self.name}")

    def update(self, page: Page, release: int) -> None:
        """By the button, or the tick was faster."""
        self.look(page)
        press(page, "Update now")
        newest = page.get_by_text(f"release {release}, the newest")
        expect(newest.or_(page.get_by_text("Nothing is new.")).first).to_be_visible()
        self.look(page)
        expect(newest).to_be_visible()


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def press(page: Page, name: str) -> None:
    """A button; in a dialog where one is open."""
    where = page.locator("dialog[open]") if page.locator("dialog[open]").count() else page
    where.get_by_role("button", name=name, exact=True).first.click()


def fits(page: Page) -> bool:
    return bool(page.evaluate(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_who_has_edits_and_who_was_absent_both_get_a_push(
    place: Workspace, person: Person, tmp_path: Path
) -> None:
    course = Course(place, tmp_path / "clone", "pushed")
    course.push(FIRST, "Week 1")
    page = person("student1")
    course.update(page, 1)
    expect(page.locator(".update").first).to_contain_text("new file")
    mine = course.edit("student1", cell("c1", "a = 'mine'", 1))
    assert "week2/cnn.ipynb" in course.push(SECOND, "Week 2")
    # student2 was never here: the release is there when the first server has started
    absent = place.student("student2")
    assert absent.start("cpu").status_code in (201, 202)
    wait_for(absent.ready, timeout=180, why="student2's server")
    assert course.sources("student2") == NEW

    course.update(page, 2)
    assert course.sources("student1")[:3] == ["# Tensors", "a = 'mine'", "a = 10"]
    shot(page, "course-student")
    assert fits(page)
    expect(page.locator("body")).not_to_contain_text("student2")
    press(page, "Undo this update")
    press(page, "Undo this update")
    expect(page.locator(".update").first).to_contain_text("undone")
    assert course.home("student1", BOOK).read_bytes() == mine
    assert not course.home("student1", "week2/cnn.ipynb").exists()


def test_a_student_chooses_between_two_versions(
    place: Workspace, person: Person, tmp_path: Path
) -> None:
    course = Course(place, tmp_path / "clone", "chosen")
    course.push(FIRST, "Week 1")
    page = person("student3")
    course.update(page, 1)
    course.edit("student3", cell("c1", "a = 'mine'", 1))
    course.push(SECOND, "Week 2")
    course.update(page, 2)
    page.get_by_role("link", name=BOOK, exact=True).click()
    expect(page.locator(".beside pre")).to_have_text(["a = 'mine'", "a = 10"])
    shot(page, "course-choose")
    page.get_by_role("button", name="Take the instructor's version").click()
    expect(page.get_by_text("Nothing stands side by side")).to_be_visible()
    assert course.sources("student3") == NEW
    page.get_by_role("link", name="The chosen").click()
    page.get_by_role("link", name=f"What changed in {BOOK}").first.click()
    expect(page.locator(".diff .plus").last).to_contain_text("b = 20")
    page.goto("/services/madang/courses/chosen/updates/2?path=week2/cnn.ipynb")
    expect(page.locator(".diff").first).to_contain_text("onerror")
    assert page.title() != "pwned"


def test_an_instructor_looks_runs_and_publishes_a_folder(
    place: Workspace, person: Person, tmp_path: Path
) -> None:
    course = Course(place, tmp_path / "clone", "looked")
    course.push(SECOND, "Week 2")
    course.update(person("student4"), 1)
    page = person("teacher")
    course.update(page, 1)
    folder = place.data / "homes" / "teacher" / "looked"
    # in the folder of the notebook, as in Lab
    third = SECOND | {BOOK: book("print(open('help.txt').read())", "b = 20", "c = 3")}
    put(folder, third | {"course.toml": course.toml})
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 1000, 1000)
    rows = page.locator(".members tbody tr")
    expect(rows.filter(has_text="student4")).to_contain_text("0/3")
    expect(rows.filter(has_text="student5")).to_contain_text("none yet")
    press(page, "Release")
    expect(page.locator("th[aria-sort]")).to_have_text("Release")
    shot(page, "course-instructor")
    assert fits(page)

    page.get_by_label("Folder in your home").fill("looked")
    press(page, "See what would be handed out")
    expect(page.locator("h1")).to_have_text("Draft of looked")
    expect(page.locator(".files .row").filter(has_text=BOOK)).to_contain_text("changed")
    press(page, "Run 2 notebooks")
    ran = page.locator("[data-checks]").get_by_text("Every notebook ran from top to bottom.")
    expect(ran).to_be_visible(timeout=400_000)
    shot(page, "course-draft")
    page.get_by_label("What is new, for your students").fill("Week 3: <b>files</b>")
    press(page, "Publish as release 2")
    expect(page.locator(".releases .notes").first).to_have_text("Week 3: <b>files</b>")
    page.get_by_role("button", name="Withdraw release 2").click()
    press(page, "Withdraw")
    expect(page.locator(".releases .row").first).to_contain_text("withdrawn")


def test_on_a_phone_in_korean(place: Workspace, person: Person, tmp_path: Path) -> None:
    course = Course(place, tmp_path / "clone", "phone")
    course.push(FIRST, "Week 1")
    page = person("student6", "ko-KR")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/services/madang/courses/phone")
    with page.expect_response("**/update"):
        press(page, "지금 업데이트")
    course.edit("student6", cell("c1", "a = 'mine'", 1))
    course.push(SECOND, "Week 2")
    with page.expect_response("**/update"):
        press(page, "지금 업데이트")
    staff = person("teacher", "ko-KR")
    staff.set_viewport_size({"width": 390, "height": 844})
    for seen, path in ((page, "courses"), (page, "courses/phone"), (staff, "courses/phone"),
                       (page, f"courses/phone/updates/2?path={BOOK}")):
        seen.goto(f"/services/madang/{path}")
        expect(seen.locator("h1")).to_be_visible()
        who = "teacher" if seen is staff else "student"
        shot(seen, f"course-ko-{who}-{path.partition('?')[0].replace('/', '-')}")
        assert fits(seen)
        seen.set_viewport_size({"width": 320, "height": 700})
        assert fits(seen)
        read = seen.locator("main").inner_text().replace(place.url, "").replace(PWN, "")
        assert not set(re.findall(r"[A-Za-z]{4,}", read)) - KNOWN, "words that nobody translated"


KNOWN = {
    "The", "phone", "demo", "courses", "week", "tensors", "ipynb", "help", "Tensors", "teacher",
    "student", "services", "madang", "Week", "mine", "PyTorch", "torch", "pushed", "chosen",
    "looked", "MiB", "git",
}
