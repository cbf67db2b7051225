"""Handing in on a course's page, on a whole installation: collect, download, feedback."""

import base64
import os
import re
import tarfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import shot
from tests.browser.test_courses import FIRST, Course, fits, press
from tests.face.courses import packed
from tests.workspace import Workspace

Person = Callable[..., Page]
pytestmark = pytest.mark.timeout(600)
ZONE = "America/New_York"


class Class(Course):
    """A course in another zone than the house's; what its students have saved."""

    def __init__(self, place: Workspace, clone: Path, name: str) -> None:
        super().__init__(place, clone, name)
        self.toml += f'zone = "{ZONE}"\n'.encode()
        self.push(FIRST, "Week 1")

    def save(self, user: str, path: str, text: str) -> None:
        """As Lab does: of the student, in their home."""
        file = self.home(user, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        own = self.place.data / "homes" / user
        for one in (file, *(x for x in file.parents if x.is_relative_to(own))):
            os.chown(one, 1000, 1000)

    def see(self, page: Page) -> Locator:
        """The section, on the course's page."""
        page.goto(f"/services/madang/courses/{self.name}")
        return page.get_by_role("region", name=re.compile("Handing in|과제 제출"))


def row(where: Locator, name: str) -> Locator:
    """Whose first cell says so; the innermost, as a row may hold a table."""
    return where.get_by_role("row").filter(
        has=where.page.get_by_role("rowheader", name=name, exact=True)).last


def test_collected_now_downloaded_once_more_and_returned(
    place: Workspace, person: Person, tmp_path: Path
) -> None:
    course = Class(place, tmp_path / "clone", "handed")
    course.save("student1", "homework1/answer.txt", "in time")
    page = person("teacher")
    part = course.see(page)
    expect(part).to_contain_text("Nothing is collected yet.")
    folder = part.get_by_label("Folder in the course")
    folder.fill("homework1")
    folder.press("Enter")  # by keyboard alone
    expect(page.get_by_role("dialog")).to_contain_text("Collect homework1 now?")
    page.keyboard.press("Escape")
    expect(folder).to_have_value("homework1")
    press(page, "Collect")
    press(page, "Collect")
    expect(row(part, "homework1")).to_contain_text("1 of 8")
    expect(folder).to_have_value("")

    with page.expect_download() as got:
        part.get_by_role("link", name="Download homework1").click()
    assert got.value.suggested_filename == "handed-homework1.tar.gz"
    with tarfile.open(got.value.path()) as tar:
        assert tar.getnames() == ["student1/homework1/answer.txt"]

    course.save("student2", "homework1/late.txt", "late")
    part.get_by_text("Students and feedback: homework1").click()
    expect(row(part, "student2")).to_contain_text("nothing was there")
    folder.fill("typed meanwhile")
    late = part.get_by_role("button", name="Collect student2's homework1 again")
    late.focus()
    late.press("Enter")
    expect(row(part, "homework1")).to_contain_text("2 of 8")
    expect(row(part, "student2")).to_be_visible()  # its list is open still
    expect(late).to_be_focused()
    expect(folder).to_have_value("typed meanwhile")
    shot(page, "collections-instructor")
    returns(page, part, course)


def returns(page: Page, part: Locator, course: Class) -> None:
    """Feedback: refused beside its form, then laid into a student's folder."""
    file = part.get_by_label("Feedback on homework1")

    def give(name: str) -> None:
        sent = base64.b64decode(packed({f"{name}/grade.html": b"<b>A</b>"}))
        file.set_input_files({"name": "graded.tar.gz", "mimeType": "application/gzip",
                              "buffer": sent})
        press(page, "Return feedback")

    give("nobody")
    expect(part.get_by_role("alert")).to_contain_text("nobody/grade.html")
    assert file.evaluate("x => x.files.length") == 1
    give("student1")
    expect(part).to_contain_text("Students who were given feedback: 1")
    expect(part.get_by_role("alert")).to_have_count(0)
    assert course.home("student1", "feedback/homework1/grade.html").read_bytes() == b"<b>A</b>"


def test_what_is_refused_loses_nothing_and_a_deadline_comes(
    place: Workspace, person: Person, tmp_path: Path
) -> None:
    course = Class(place, tmp_path / "clone", "due")
    course.save("student3", "essay/mine.txt", "mine")
    page = person("teacher")
    part = course.see(page)
    folder, name = part.get_by_label("Folder in the course"), part.get_by_label("Name")
    due = part.get_by_label("Deadline")

    folder.fill("../out")
    name.fill("Über")
    due.fill("2020-01-01T10:00")
    press(page, "Collect")
    expect(part.get_by_role("alert")).to_contain_text("in the past")
    expect(part.get_by_role("alert")).to_contain_text(ZONE)
    due.fill(f"{datetime.now(ZoneInfo(ZONE)) + timedelta(days=3):%Y-%m-%dT10:00}")
    press(page, "Collect")
    expect(part.get_by_role("alert")).to_contain_text("A collection's name has 1 to 40")
    name.fill("")
    press(page, "Collect")
    expect(part.get_by_role("alert")).to_contain_text("Name a folder in the course's folder")
    expect(folder).to_have_value("../out")
    expect(due).not_to_have_value("")

    folder.fill("essay/")
    press(page, "Collect")
    expect(row(part, "essay")).to_contain_text("planned")
    part.get_by_role("button", name="Drop essay").click()
    press(page, "Drop")
    expect(part.get_by_role("status")).to_have_text("essay was dropped.")
    expect(part).to_contain_text("Nothing is collected yet.")

    # a date without a time is no “now”
    folder.fill("essay")
    due.press_sequentially("12312026")
    press(page, "Collect")
    assert due.evaluate("x => x.validity.badInput")
    expect(page.get_by_role("dialog")).to_have_count(0)
    in_time(page, part, course)


def in_time(page: Page, part: Locator, course: Class) -> None:
    """Planned for later, changed to a minute from now, and collected then; a student reads it."""
    due, soon = part.get_by_label("Deadline"), datetime.now(ZoneInfo(ZONE)) + timedelta(minutes=1)
    for at in (soon + timedelta(days=3), soon):
        part.get_by_label("Folder in the course").fill("essay")
        due.fill(f"{at:%Y-%m-%dT%H:%M}")
        press(page, "Collect")
        if at is soon:
            press(page, "Change")
        expect(row(part, "essay")).to_contain_text(f"{at:%Y-%m-%d %H:%M}")

    def taken() -> bool:
        course.see(page)
        return "Download" in row(part, "essay").inner_text()

    for _ in range(100):
        if taken():
            break
        page.wait_for_timeout(1000)
    expect(row(part, "essay")).to_contain_text("1 of 8")
    shot(page, "collections-deadline")


def test_on_a_phone_in_korean(place: Workspace, person: Person, tmp_path: Path) -> None:
    course = Class(place, tmp_path / "clone", "pocket")
    course.save("student4", "homework1/answer.txt", "mine")
    course.home("student4", "homework1/link").symlink_to("/etc/passwd")
    staff, student = person("teacher", "ko-KR"), person("student4", "ko-KR")
    for page in (staff, student):
        page.set_viewport_size({"width": 390, "height": 844})
    part = course.see(staff)
    part.get_by_label("강좌 안의 폴더").fill("/homework1")
    part.get_by_label("이름").fill("대문자")
    press(staff, "걷기")
    press(staff, "걷기")
    expect(part.get_by_role("alert")).to_contain_text("과제 걷기의 이름은")
    part.get_by_label("이름").fill("homework1")
    press(staff, "걷기")
    press(staff, "걷기")
    expect(part).to_contain_text("8명 중 1명")
    part.get_by_text("학생과 피드백: homework1").click()
    expect(part).to_contain_text("링크와 특수 파일, 다른 사람의 파일은 뺐습니다")
    own = course.see(student)
    expect(own).to_contain_text("courses/pocket/homework1")
    expect(own).to_contain_text("링크와 특수 파일, 다른 사람의 파일은 뺐습니다")
    for seen, where in ((staff, part), (student, own)):
        where.scroll_into_view_if_needed()
        shot(seen, f"collections-ko-{'teacher' if seen is staff else 'student'}")
        assert fits(seen)
        seen.set_viewport_size({"width": 320, "height": 700})
        assert fits(seen)
        read = set(re.findall(r"[A-Za-z]{4,}", where.inner_text()))
        assert not read - KNOWN, "words that nobody translated"
    expect(own).not_to_contain_text("student5")


KNOWN = {
    "America", "York", "homework", "student", "courses", "pocket", "grade", "html", "feedback",
    "madang", "course", "graded",
}
