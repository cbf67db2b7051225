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
    shot(first, "line-countdown")
    board = first.context.new_page()
    board.goto("/services/madang/")
    expect(board.locator("#mine .notice .clock")).to_be_visible()
    shot(board, "line-board")
    assert "student2" not in board.content()
    expect(board.get_by_role("heading", name="내 슬라이스")).to_be_visible()
    board.close()

    give_back = "저장"
    first.locator(".Toastify__toast").get_by_role("button", name=give_back).first.click()
    first.locator(".jp-Dialog").get_by_role("button", name=re.compile(give_back)).click()
    lab(second)
    expect(second.locator("#madang-slice")).to_contain_text("3g.20gb")
    wait_for(lambda: [x["user"] for x in place.rest("GET", "line").json()] == ["student3"])
    expect(waiting(third)).to_contain_text("1")

    # the second one does nothing, and is out when the countdown is over
    lab(third)
    ended = place.rest("GET", "leases?all=1").json()
    mine = next(x for x in ended if x["user"] == "student2")
    assert mine["cause"]
    second.goto("/hub/home")
