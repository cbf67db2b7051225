"""Three students and one slice, two of them in Korean: turns, a range, a countdown, give back."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import shot
from tests.browser.shortened import shortened
from tests.browser.test_student import choose, lab
from tests.workspace import Workspace, wait_for

Person = Callable[..., Page]
pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("nobody_left")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    # long enough for three people to come, and for Lab, which looks every half minute, to tell it
    with shortened(tmp_path_factory.mktemp("turns"), "turns", min_hold="50", notice="45") as made:
        yield made


def waiting(page: Page) -> Any:
    return page.locator("#progress-message")


def cannot_be_extended(page: Page) -> None:
    """Somebody waits: no button, and the panel says why."""
    shot(page, "line-countdown")
    told = page.locator(".Toastify__toast--warning")  # beside it lies what is new in a course
    expect(told).to_contain_text(re.compile(r"\d\d:\d\d까지 반납해야 합니다"))
    expect(told.get_by_role("button", name="연장")).to_have_count(0)
    page.locator("#madang-slice").click()
    panel = page.locator(".jp-Dialog")
    expect(panel).to_contain_text("기다리는 사람이 있어")
    expect(panel.get_by_role("button", name="연장")).to_have_count(0)
    shot(page, "line-panel")
    panel.get_by_role("button", name="닫기").click()


def give_back(page: Page) -> None:
    """In Lab's notification; it ends on the hub's page."""
    page.locator(".Toastify__toast").get_by_role("button", name="저장").first.click()
    page.locator(".jp-Dialog").get_by_role("button", name=re.compile("저장")).click()
    page.wait_for_url("**/hub/home")
    expect(page.get_by_role("heading", name="내 서버")).to_be_visible()
    shot(page, "line-given-back")


def says_that_it_ended(page: Page) -> None:
    """The open tab does, and the page that a reload shows says why."""
    expect(page.locator("#madang-slice")).to_have_attribute("data-kind", "over")
    end = page.locator(".Toastify__toast--error")
    expect(end).to_contain_text("기다리")  # somebody waited, in whichever words
    shot(page, "line-ended")
    page.goto("/user/student2/lab")
    expect(page.get_by_role("status")).to_contain_text("기다리던 사람에게 넘겼습니다")
    shot(page, "line-ended-why")


def test_three_students_and_one_slice(place: Workspace, person: Person) -> None:
    """Order kept, a range told, a countdown, given back by hand, the next one in."""
    first, second = (person(f"student{i}", locale="ko-KR") for i in (1, 2))
    third = person("student3")
    choose(first, "3g.20gb")
    lab(first)
    choose(second, "3g.20gb")
    expect(waiting(second)).to_contain_text("1")
    choose(third, "3g.20gb")
    expect(waiting(third)).to_contain_text("2")
    # when it will come, as a range
    told = re.compile(r"\d\d:\d\d.*\d\d:\d\d", re.DOTALL)
    expect(waiting(third)).to_contain_text(told)
    expect(waiting(second)).to_contain_text(told)
    shot(second, "line-pending-ko")
    shot(third, "line-pending-en")
    line = place.rest("GET", "line").json()
    assert [x["user"] for x in line] == ["student2", "student3"]
    assert all(x["eta_earliest"] and x["eta_latest"] for x in line)

    # after the promise the first one is told, in Lab and on the board
    item = first.locator("#madang-slice")
    expect(item).to_have_attribute("data-kind", "notice", timeout=90_000)
    expect(item).to_contain_text(re.compile(r"\d\d:\d\d"))
    cannot_be_extended(first)
    board = first.context.new_page()
    board.goto("/services/madang/")
    expect(board.locator("#mine .notice .clock")).to_be_visible()
    shot(board, "line-board")
    assert "student2" not in board.content()
    expect(board.get_by_role("heading", name="내 슬라이스")).to_be_visible()
    board.close()

    give_back(first)
    lab(second)
    expect(second.locator("#madang-slice")).to_contain_text("3g.20gb")
    wait_for(lambda: [x["user"] for x in place.rest("GET", "line").json()] == ["student3"])
    expect(waiting(third)).to_contain_text("1")

    # the second one does nothing, and is out when the countdown is over
    lab(third)
    ended = place.rest("GET", "leases?all=1").json()
    mine = next(x for x in ended if x["user"] == "student2")
    assert mine["cause"]
    says_that_it_ended(second)


def test_a_server_that_was_ended_is_told_in_the_open_tab(place: Workspace, person: Person) -> None:
    page = person("student4")
    choose(page, "1g.5gb")
    lab(page)
    item = page.locator("#madang-slice")
    expect(item).to_contain_text("1g.5gb")
    expect(item).to_have_attribute("data-kind", "promised")
    place.student("student4").stop()
    end = page.locator(".Toastify__toast--error", has_text="Your server has ended.")
    expect(end).to_be_visible(timeout=90_000)
    expect(item).to_contain_text("ended")
    shot(page, "lab-ended")
    # Lab's own word for it, which comes sooner or later
    page.add_locator_handler(page.get_by_role("button", name="Dismiss"), lambda x: x.click())
    with page.context.expect_page() as opened:
        end.get_by_role("button", name="Why?").click()
    expect(opened.value.get_by_role("status")).to_contain_text("was stopped by hand at")
    shot(opened.value, "lab-ended-why")


def test_a_refusal_says_why_and_leads_back(place: Workspace, person: Person) -> None:
    place.rest("PUT", "groups/demo", json={"quota": 0.001}).raise_for_status()
    page = person("student5")
    try:
        choose(page, "1g.5gb")
        expect(page.get_by_text("The quota of this week is used up").first).to_be_visible()
        expect(page.get_by_role("heading", level=1)).to_have_text("Your server did not start")
        expect(page.get_by_text("is stopping")).to_have_count(0)
        shot(page, "line-refused")
        page.locator("a.btn-primary", has_text="Back to the choice").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Start your server")
    finally:
        place.rest("PUT", "groups/demo", json={"quota": None}).raise_for_status()
