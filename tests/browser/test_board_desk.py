"""The board in a browser, for operators and instructors: reservations, ends, groups, usage."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.desk import Desk, key_text
from tests.browser.boards import CARDS, PHONE, Visit, ask
from tests.browser.conftest import shot
from tests.face.running import Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, simulated=CARDS, timezone="Asia/Seoul") as made:
        yield made


def next_week(visit: Visit) -> Page:
    """The week after this one: nothing in it is over."""
    visit.live().press("The week after")
    return visit.page


def spot(page: Page, day: int, hour: float) -> tuple[float, float]:
    """Where on the screen an hour of a day is (0 is the week's first)."""
    lane = page.locator(".lane").nth(day)
    lane.scroll_into_view_if_needed()
    lane.evaluate("x => window.scrollTo(0, x.getBoundingClientRect().top + scrollY - 150)")
    box = lane.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] * hour / 24


def booked(service: Running) -> list[dict[str, Any]]:
    with service.client("t-ana") as http:
        found: list[dict[str, Any]] = http.get("api/reservations").json()["reservations"]
        return found


def reserve(service: Running, **changes: Any) -> dict[str, Any]:
    body = {
        "group": "ml", "profile": "1g.5gb", "count": 2, "days": ["tue"], "start": "10:00",
        "end": "12:00",
    } | changes
    with service.client("t-operator") as http:
        answer = http.post("api/reservations", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


# ---- reservations -------------------------------------------------------------------------------


def test_drawing_a_reservation_with_the_mouse(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "teacher")
    student = Visit(browser, service, "ana")
    page = next_week(visit)
    page.mouse.move(*spot(page, 1, 10.05))
    page.mouse.down()
    page.mouse.move(*spot(page, 2, 11.9), steps=4)
    expect(page.locator(".drawn")).to_have_text(["10:00\N{EN DASH}12:00", "10:00\N{EN DASH}12:00"])
    page.mouse.up()
    form = visit.dialog
    expect(form.get_by_label("Group")).to_have_value("ml")
    expect(form.get_by_label("From")).to_have_value("10:00")
    expect(form.get_by_label("To", exact=True)).to_have_value("12:00")
    expect(form.get_by_label("Tue")).to_be_checked()
    expect(form.get_by_label("Wed")).to_be_checked()
    expect(form.get_by_label("Thu")).not_to_be_checked()
    expect(form.get_by_role("status")).to_have_text("This fits.")
    visit.press("Save")
    expect(page.locator(".window")).to_have_count(2)
    [made] = booked(service)
    assert (made["group"], made["days"], made["start"]) == ("ml", ["tue", "wed"], "10:00")
    assert made["zone"] == "Asia/Seoul"
    # everybody sees the hours, and who made them is not theirs to know
    theirs = next_week(student)
    expect(theirs.locator(".window").first).to_contain_text("ml")
    expect(theirs.locator(".window").first).to_contain_text("10:00\N{EN DASH}12:00")
    assert "teacher" not in theirs.content()
    assert not theirs.get_by_role("button", name="Reserve …").count()
    student.close()
    visit.close()


def test_drawing_with_a_finger(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "teacher", **PHONE)
    page = next_week(visit)
    touch = visit.context.new_cdp_session(page)

    def finger(kind: str, *points: tuple[float, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {
            "type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points],
        })

    def draw() -> None:
        begin, end = spot(page, 3, 6.0), spot(page, 3, 9.0)
        finger("touchStart", begin)
        for part in (0.3, 0.6, 1.0):
            finger("touchMove", (begin[0], begin[1] + (end[1] - begin[1]) * part))
        finger("touchEnd")

    draw()
    expect(visit.dialog).to_have_count(0)  # it scrolls
    visit.press("Draw")
    draw()
    expect(visit.dialog.get_by_label("From")).to_have_value("06:00")
    expect(visit.dialog.get_by_label("Thu")).to_be_checked()
    assert visit.fits()
    page.keyboard.press("Escape")
    expect(visit.dialog).to_have_count(0)
    visit.close()


def test_the_form_alone_by_keyboard(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "operator").live()
    page = visit.page
    page.get_by_role("button", name="Reserve …").focus()
    page.keyboard.press("Enter")
    form = visit.dialog
    expect(form).to_be_visible()
    form.get_by_label("Group").focus()
    page.keyboard.type("ml")
    form.get_by_label("Once").focus()
    page.keyboard.press("Space")
    expect(form.get_by_label("Mon")).to_be_hidden()
    form.get_by_label("Begins").fill("2030-01-07T09:00")
    form.get_by_label("Ends").fill("2030-01-07T18:00")
    form.get_by_label("Note").focus()
    page.keyboard.type("paper deadline")
    expect(form.get_by_role("status")).to_have_text("This fits.")
    page.keyboard.press("Enter")
    expect(page.locator("#reservations")).to_contain_text("paper deadline")
    expect(page.get_by_role("button", name="Reserve …")).to_be_focused()
    [made] = booked(service)
    assert (made["kind"], made["begins"]) == ("span", "2030-01-07T09:00")
    visit.close()


def test_what_stands_in_the_way_is_said_before_saving(browser: Browser, service: Running) -> None:
    reserve(service, count=2)
    visit = Visit(browser, service, "teacher", refusals=(409, 400))
    page = next_week(visit)
    page.mouse.move(*spot(page, 1, 11.05))
    page.mouse.down()
    page.mouse.move(*spot(page, 1, 12.9), steps=3)
    page.mouse.up()
    said = visit.dialog.get_by_role("status")
    expect(said).to_contain_text("0 of 2 slices of 1g.5gb are left")
    expect(said).to_contain_text("it would fit from 12:00 to 14:00")
    visit.press("Save")
    expect(visit.dialog).to_be_visible()
    visit.dialog.get_by_label("Time zone").fill("Mars/Olympus")
    expect(said).to_contain_text("Mars/Olympus")
    assert len(booked(service)) == 1
    visit.press("Not now")
    visit.close()


def test_a_number_that_cannot_be_is_refused_while_typing(
    browser: Browser, service: Running
) -> None:
    out = next(k for k in service.broker.state().slices if k.profile == "1g.5gb")
    Desk(service.broker).block(key_text(out), "ECC errors", "operator")
    visit = Visit(browser, service, "operator", refusals=(400,)).live()
    visit.press("Reserve …")
    form = visit.dialog
    said = form.get_by_role("status")
    form.get_by_label("How many").fill("0")
    expect(said).to_contain_text("1")  # no days yet: in the browser's own words
    form.get_by_label("Once").check()
    form.get_by_label("Begins").fill("2030-01-07T09:00")
    form.get_by_label("Ends").fill("2030-01-07T18:00")
    expect(said).to_have_text("0 slices cannot be reserved: the fewest are 1.")
    shot(visit.page, "board-reserve-none")
    form.get_by_label("Size").select_option("1g.5gb")
    form.get_by_label("How many").fill("2")
    expect(said).to_have_text(
        "2 slices of 1g.5gb cannot be reserved: there are 2, of which 1 out of use."
    )
    form.get_by_label("How many").fill("1")
    expect(said).to_have_text("This fits.")
    visit.press("Not now")
    visit.close()


def test_a_reservation_is_shown_and_removed(browser: Browser, service: Running) -> None:
    reserve(service, note="lab <b>1</b>")
    visit = Visit(browser, service, "teacher")
    page = next_week(visit)
    page.locator(".window").first.click()
    expect(visit.dialog).to_contain_text("lab <b>1</b>")
    expect(visit.dialog).to_contain_text("Tue 10:00\N{EN DASH}12:00")
    visit.press("Close")
    page.get_by_role("button", name=re.compile("^Remove … ml")).click()
    expect(visit.dialog).to_contain_text("Remove this reservation?")
    visit.press("Remove")
    expect(page.locator("#reservations")).to_contain_text("Nothing is reserved.")
    expect(page.locator(".window")).to_have_count(0)
    assert booked(service) == []
    visit.close()


# ---- leases and slices --------------------------------------------------------------------------


def test_ending_a_lease_with_a_reason(browser: Browser, service: Running) -> None:
    id = ask(service, "ana")
    holder = Visit(browser, service, "ana").live()
    expect(holder.page.locator(".slice.mine")).to_have_count(1)
    visit = Visit(browser, service, "teacher").live()
    visit.page.locator("#leases").get_by_role("button", name="End the lease of ana?").click()
    visit.dialog.get_by_label("Reason, for ana").fill("the class begins")
    visit.press("End this lease")
    until(lambda: id not in service.broker.state().leases, "it is released")
    assert "the class begins" in service.broker.history(user="ana")[0].cause
    said = holder.page.locator("#mine")
    expect(said).to_contain_text("It was ended by teacher: the class begins.")
    holder.press("Close", within="#mine")
    expect(said).not_to_contain_text("the class begins")
    visit.close()
    holder.close()


def test_a_slice_is_taken_out_and_put_back(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "operator").live()
    page = visit.page
    page.locator(".slice.free", has_text="3g.20gb").click()
    visit.press("Take out of use")
    visit.press("Take out of use")
    expect(visit.dialog.get_by_label("Reason")).to_be_focused()  # it has to be filled in
    visit.dialog.get_by_label("Reason").fill("ECC errors")
    visit.press("Take out of use")
    out = page.locator(".slice.blocked")
    expect(out).to_contain_text("taken out")
    out.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("ECC errors")
    student = Visit(browser, service, "ana").live()
    expect(student.page.locator(".slice.blocked")).to_have_count(1)
    assert "ECC" not in student.page.content()
    student.page.locator(".slice.blocked").click()
    expect(student.dialog.get_by_role("button")).to_have_count(1)  # Close
    student.close()
    out.click()
    visit.press("Put back into use")
    expect(page.locator(".slice.free")).to_have_count(4)
    visit.close()


# ---- groups and usage ---------------------------------------------------------------------------


def test_groups_are_changed_and_made(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "operator", refusals=(400,)).live()
    page = visit.page
    page.get_by_role("button", name="Change … ml").click()
    visit.dialog.get_by_label("Weight").fill("0")
    visit.press("Save")
    expect(visit.dialog.get_by_role("alert")).to_contain_text("a number above 0")
    visit.dialog.get_by_label("Weight").fill("3")
    visit.dialog.get_by_label("Quota, slice-hours a week").fill("40")
    visit.dialog.get_by_label("Ends").fill("2030-12-18")
    visit.press("Save")
    row = page.locator("#groups tr", has_text="ml")
    expect(row).to_contain_text("60% its share")
    expect(row).to_contain_text("of 40 slice-hours")
    expect(row).to_contain_text("2030-12-18")
    visit.press("Add a group …")
    visit.dialog.get_by_label("Name").fill("robotics")
    visit.press("Save")
    expect(page.locator("#groups")).to_contain_text("robotics")
    page.get_by_role("button", name="Change … ml").click()
    visit.press("Back to the default")
    expect(row).not_to_contain_text("2030-12-18")
    visit.close()


def test_usage_as_a_table_and_as_csv(browser: Browser, service: Running) -> None:
    service.broker.withdraw(ask(service, "ana"), "test")
    visit = Visit(browser, service, "operator").live()
    page = visit.page
    expect(page.locator("#usage")).to_contain_text("ana")
    page.get_by_label("By").select_option("group")
    expect(page.locator("#usage")).not_to_contain_text("ana")
    page.get_by_label("By").select_option("user")
    with page.expect_download() as found:
        page.get_by_role("link", name="As a table (CSV)").click()
    lines = Path(found.value.path()).read_text("utf-8-sig").splitlines()
    assert lines[0].startswith("group,user,slice_hours")
    assert any("ana" in x for x in lines[1:])
    visit.close()


def test_an_instructor_sees_their_students_and_no_others(
    browser: Browser, service: Running
) -> None:
    ask(service, "ana")
    ask(service, "operator")
    visit = Visit(browser, service, "teacher").live()
    page = visit.page
    expect(page.locator("#leases")).to_contain_text("ana")
    expect(page.locator(".slice.held")).to_have_count(2)
    assert "operator" not in page.locator("main").inner_text()
    assert not page.get_by_role("button", name="Change … ml").count()
    visit.close()


# ---- the keyboard -------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["ana", "operator"])
def test_the_keyboard_reaches_everything(browser: Browser, service: Running, who: str) -> None:
    ask(service, "ana")
    for user in ("bo", "teacher"):
        ask(service, user, "3g.20gb")
    reserve(service)
    visit = Visit(browser, service, who).live()
    page = visit.page
    expect(page.locator("#reservations li")).to_have_count(1)
    if who == "operator":
        expect(page.locator("#groups tbody tr")).not_to_have_count(0)
        expect(page.locator("#usage tbody tr")).not_to_have_count(0)
    # sections are made anew while we go: what something is called stays
    page.evaluate("""() => {
        document.activeElement.blur();
        window.called = (x) => x.dataset.key || x.getAttribute("aria-label") || x.name
            || x.textContent.trim() || x.tagName;
    }""")
    wanted = page.evaluate("""() => [...document.querySelectorAll("a[href], button, select, input")]
        .filter((x) => x.checkVisibility() && !x.disabled).map(called)""")
    reached, unseen = [], []
    for _ in wanted:
        page.keyboard.press("Tab")
        name, seen = page.evaluate("""() => [called(document.activeElement),
            getComputedStyle(document.activeElement).outlineStyle !== "none"]""")
        reached.append(name)
        unseen += [] if seen else [name]
    assert reached == wanted, "in the order of the page"
    assert unseen == [], "the focus is seen"
    unnamed = page.locator("button, a").evaluate_all(
        "all => all.filter((x) => !(x.textContent.trim() || x.ariaLabel)).map((x) => x.outerHTML)"
    )
    assert unnamed == []
    visit.close()
