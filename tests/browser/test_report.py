"""The report, runs and sweeps in a browser: read, sorted, and with nothing of a notebook's run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.core.runs import RunStage
from hub.face import reported
from tests.browser.boards import PHONE, Visit
from tests.face.nights import over
from tests.face.running import PREFIX, Running, running
from tests.notebooks import code, notebook, png, printed, shown, text

PWN = "<img src=x onerror=\"document.title='pwned'\">"
SCRIPT = "<script>document.title='pwned'</script>"
FIRST = notebook(text("t", PWN), code("p", "lr = 1", shown("image/png", png(40, 30, b"1"))))
SECOND = notebook(
    text("t", PWN), code("p", PWN, shown("image/png", png(40, 30, b"2")), printed(PWN)),
    code("h", SCRIPT, *(shown(x, SCRIPT + PWN) for x in ("text/html", "text/vnd.mermaid"))),
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nights"), language="ko") as made:
        over(made, "aa01", ago=30, output=FIRST, metrics={"loss": 0.4})
        over(made, "aa02", ago=2, output=SECOND, metrics={"loss": 0.3, PWN: PWN})
        over(made, "aa03", stage=RunStage.FAILED, notebook=f"{PWN}.ipynb",
             error={"cell": 3, "ename": "E", "evalue": PWN, "lines": [PWN]})
        for i, lr in enumerate((0.1, 0.001, 0.01, 10)):
            over(made, f"ss0{i}", sweep="sweep1", notebook="s.ipynb",
                 parameters={"lr": lr, "name": PWN if i else "b"},
                 metrics={"loss": lr * 2} if i < 3 else {}, stage=RunStage.SUCCEEDED)
        yield made


def visit(browser: Browser, service: Running, path: str, **options: object) -> Visit:
    made = Visit(browser, service, "ana", **options)
    made.page.goto(f"{service.url}{PREFIX}{path}")
    return made


def harmless(page: Page) -> None:
    assert page.title() != "pwned"
    drawn = page.locator("img").evaluate_all("all => all.map((x) => [x.src, x.naturalWidth])")
    assert all(src.startswith("data:image/png;base64,") and width == 40 for src, width in drawn)


def test_the_board_leads_to_the_report(browser: Browser, service: Running) -> None:
    seen = Visit(browser, service, "ana").live()
    seen.page.get_by_role("link", name="Morning report").click()
    page = seen.page
    expect(page.locator("h1")).to_have_text("Morning report")
    expect(page.locator(".failure")).to_contain_text("Cell 3 of 9")
    expect(page.locator(".pair img")).to_have_count(2)
    harmless(page)
    page.get_by_text("Cell by cell").click()
    expect(page.locator(".diff .plus").first).to_contain_text("onerror")
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="night.ipynb").first.click()
    expect(page.locator("h1")).to_contain_text("night.ipynb")
    harmless(page)
    seen.close()


def test_a_sealed_page_shows_the_notebook_and_runs_nothing(
    browser: Browser, service: Running
) -> None:
    seen = visit(browser, service, "runs/aa02")
    seen.page.get_by_role("link", name="The notebook as it ran").click()
    page = seen.page
    expect(page.locator("main")).to_contain_text("document.title")
    harmless(page)
    assert page.evaluate("window.origin") == "null"
    seen.close()


def test_points_are_sorted_as_numbers_and_what_is_missing_is_last(
    browser: Browser, service: Running
) -> None:
    seen = visit(browser, service, "sweeps/sweep1")
    page = seen.page
    column = page.locator(".points tbody td:nth-child(1)")
    expect(column).to_have_text(["0.1", "0.001", "0.01", "10"])
    page.get_by_role("button", name="lr", exact=True).click()
    expect(column).to_have_text(["0.001", "0.01", "0.1", "10"])
    page.get_by_role("button", name="loss", exact=True).click()
    expect(column).to_have_text(["0.001", "0.01", "0.1", "10"])
    page.get_by_role("button", name="loss", exact=True).click()
    expect(column).to_have_text(["0.1", "0.01", "0.001", "10"])
    expect(page.locator("th[aria-sort]")).to_have_text("loss")
    expect(page.locator("svg .dot")).to_have_count(3)
    harmless(page)
    seen.close()


@pytest.mark.parametrize("path", ["report", "runs/aa02", "runs/aa03", "sweeps/sweep1"])
def test_a_phone_shows_all_of_it_in_korean(browser: Browser, service: Running, path: str) -> None:
    seen = visit(browser, service, path, locale="ko-KR", **PHONE)
    assert seen.fits()
    seen.page.set_viewport_size({"width": 320, "height": 700})
    assert seen.fits()
    read = seen.page.locator("main").inner_text().replace(PWN, "").replace(SCRIPT, "")
    english = set(re.findall(r"[A-Za-z]{4,}", read))
    english -= {"night", "ipynb", "loss", "node", "name", "sweep"}
    assert not english, "a word that nobody translated"
    seen.close()


def test_dark_as_the_board(browser: Browser, service: Running) -> None:
    seen = visit(browser, service, "report", color_scheme="dark")
    seen.page.wait_for_load_state()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = seen.page.evaluate(ground)
    seen.press("Dark")
    assert seen.page.evaluate(ground) != dark
    seen.close()


def test_the_file_in_the_home_needs_nothing_else(
    browser: Browser, service: Running, tmp_path: Path
) -> None:
    reports = service.app.state.reports
    file = tmp_path / "report.html"
    file.write_bytes(reported.as_file(reports, reports.report("ana", "24h"), "ana"))
    context = browser.new_context(color_scheme="dark", viewport={"width": 390, "height": 844})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.goto(file.as_uri())
    expect(page.locator("h1")).to_contain_text("아침 보고서")
    expect(page.locator(".pair img")).to_have_count(2)
    harmless(page)
    assert [x for x in asked if not x.startswith("data:")] == [file.as_uri()]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(26, 29, 33)"
    assert page.evaluate("document.documentElement.scrollWidth <= 390")
    assert page.locator("a[href]").count() == 0
    context.close()
