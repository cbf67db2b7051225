"""Lab's Notebook Jobs in a browser: the form as Madang fills it, the list, a schedule."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import shot
from tests.images.jobs import NOTEBOOK
from tests.images.labbox import LabBox
from tests.images.nightly import DIFFERS, FULL, JobService
from tests.images.service import LINE, TOKEN

Lab = tuple[LabBox, JobService]
pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.timeout(600)]
FOLDER = "runs/2026-01-01-lab-0000000000"


@pytest.fixture(scope="module", params=["en"])
def made(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    """A server in the language that the hub has told it, and the service behind it."""
    with JobService() as service, LabBox(
        tmp_path_factory.mktemp("home"), MADANG_API=service.api, JUPYTERHUB_API_TOKEN=TOKEN,
        MADANG_LANG=request.param,
    ) as lab:
        for name in ("lab", "other"):
            lab.write(f"labs/{name}.ipynb", json.dumps(NOTEBOOK))
        lab.write("labs/data.csv", "1,2\n")
        yield lab, service


@pytest.fixture
def service(made: Lab) -> JobService:
    service = made[1]
    for kept in (service.runs, service.schedules, service.bodies):
        kept.clear()
    service.refusal, service.groups, service.line = "", ["ai-2025"], []
    return service


@pytest.fixture
def opened(
    browser: Browser, made: Lab, service: JobService, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Page]]:
    """`opened()`: Lab with the folder of the notebook in its file browser."""
    contexts, lab = [], made[0]

    def open_lab() -> Page:
        context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{lab.url}lab/tree/labs?token=t&reset")
        page.wait_for_selector("#jp-main-statusbar", timeout=120_000)
        item(page, "lab.ipynb").wait_for()
        return page

    yield open_lab
    if getattr(request.node, "failed", False):
        for i, context in enumerate(contexts):
            shot(context.pages[0], f"failed-{request.node.name}-{i}")
        print(lab.story())
    for context in contexts:
        context.close()


def item(page: Page, name: str):
    return page.locator(".jp-DirListing-item", has_text=name)


def form(page: Page, name: str = "lab.ipynb") -> None:
    """Right-click, Create Job; wait until it is filled in."""
    item(page, name).click(button="right")
    page.locator('[data-command="scheduling:create-from-filebrowser"]').click()
    expect(value(page, 0)).to_be_visible()


def value(page: Page, index: int):
    return page.locator(f'input[name="parameter-{index}-value"]')


def create(page: Page) -> None:
    page.locator(".jp-create-job-form button.MuiButton-contained").click()


def shown(page: Page, term: str):
    """What our part of a page says of something."""
    return page.locator(".madang-Jobs dt", has_text=re.compile(f"^{term}$")).locator(
        "xpath=following-sibling::dd[1]")


def test_a_notebook_becomes_a_run_with_what_the_form_says(
    opened: Callable[..., Page], made: Lab, service: JobService
) -> None:
    page = opened()
    form(page)
    names = [page.locator(f'input[name="parameter-{i}-name"]').input_value() for i in range(5)]
    assert names == ["epochs", "lr", "optimizer", "fast", "layers"]
    expect(value(page, 2)).to_have_value("'adam'")
    expect(page.locator('input[name="packageInputFolder"]')).to_be_checked()
    page.locator("#jp-create-job-computeType").click()
    page.get_by_role("option", name="3g.20gb").click()
    value(page, 0).fill("7")
    page.locator("#panel-header").click()
    page.fill("#madang-jobs-timeout", "3 hours")
    expect(page.locator("#madang-jobs-timeout-help")).to_contain_text("Write seconds")
    expect(page.locator(".jp-create-job-form button.MuiButton-contained")).to_be_disabled()
    page.fill("#madang-jobs-timeout", "3h")
    shot(page, "jobs-form")
    service.refusal = FULL
    create(page)
    expect(page.locator(".MuiAlert-standardError")).to_contain_text(FULL)
    service.refusal = ""
    create(page)
    expect(page.locator("table")).to_contain_text("Queued")
    [body] = service.bodies
    wanted = {"profile": "3g.20gb", "parameters": {"epochs": 7}, "timeout": 10800}
    assert {k: body[k] for k in wanted} == wanted
    assert service.files_of(body) == ["data.csv", "other.ipynb"]

    service.line = [LINE | {"id": "0000000000", "position": 2, "reason": "2 of 2 are held."}]
    page.locator("table .MuiLink-root").first.click()
    said = page.locator(".MuiAlert-message")
    expect(said).to_have_text("in the line, number 2 for 3g.20gb\n2 of 2 are held.")
    expect(page.locator(".madang-mod-calm")).to_be_visible()
    shot(page, "jobs-waiting")
    made[0].write(f"{FOLDER}/lab.ipynb", json.dumps(NOTEBOOK))
    service.ends("0000000000", metrics={"accuracy": 0.97})
    page.get_by_role("button", name="Reload Job").click()
    expect(shown(page, "Figures")).to_have_text("accuracy = 0.97")
    expect(said).to_have_count(0)
    shot(page, "jobs-ended")
    page.get_by_title('Open output file "lab.ipynb"').click()
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    expect(page.locator(".jp-BreadCrumbs, .jp-FileBrowser-breadcrumbs, .lm-TabBar-tabLabel",
                        has_text="lab.ipynb").first).to_be_visible()


def test_a_run_is_made_again_or_leaves_the_line(
    opened: Callable[..., Page], service: JobService
) -> None:
    service.add("ab12", parameters={"epochs": 2})
    service.ends("ab12", stage="failed", message="cell 2 raised ValueError: no")
    page = opened()
    page.locator('.jp-LauncherCard[title="Jobs"], .jp-LauncherCard:has-text("Jobs")').last.click()
    page.locator("table .MuiLink-root").first.click()
    expect(page.locator(".MuiAlert-message")).to_contain_text("ValueError")
    expect(page.locator(".madang-mod-calm")).to_have_count(0)
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".Toastify")).to_contain_text(DIFFERS)
    expect(page.locator("table")).to_contain_text("Queued")
    assert service.runs["0000000001"]["parameters"] == {"epochs": 2}
    page.locator("table .MuiLink-root").first.click()
    page.get_by_role("button", name="Leave the line").click()
    expect(page.locator("table")).to_contain_text("Stopped")
    service.refusal = FULL
    page.locator("table tr", has_text="Failed").locator(".MuiLink-root").first.click()
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(".Toastify")).to_contain_text(FULL)


@pytest.mark.parametrize("made", ["ko"], indirect=True)
def test_a_schedule_in_korean(opened: Callable[..., Page], service: JobService) -> None:
    service.groups = ["ai-2025", "vision"]
    page = opened()
    form(page)
    expect(page.get_by_role("heading", name="작업 만들기")).to_be_visible()
    page.get_by_label("일정에 따라 실행").check()
    page.locator("#panel-header").click()
    page.select_option("#madang-jobs-group", "vision")
    page.select_option("#madang-jobs-overlap", label="앞선 실행을 취소")
    page.fill("#madang-jobs-catch_up", "6h")
    page.fill('input[name="scheduleClock"]', "02:00")
    shot(page, "jobs-schedule-ko")
    create(page)
    expect(page.locator("table")).to_contain_text("활성")
    [body] = service.bodies
    assert (body["cron"], body["group"], body["overlap"], body["catch_up"]) == (
        "0 2 * * MON-FRI", "vision", "replace", "6h")
    page.locator("table .MuiLink-root").first.click()
    expect(shown(page, "늦은 실행 허용")).to_have_text("6h")
    expect(page.get_by_text("이 작업 정의로 만든 작업이 없습니다.")).to_be_visible()
    shot(page, "jobs-definition-ko")
    page.get_by_role("button", name="지금 실행").click()
    create(page)
    expect(page.locator("table")).to_contain_text("대기 중")


def test_the_button_in_a_notebook_takes_that_notebook_as_it_is_on_the_screen(
    opened: Callable[..., Page], made: Lab, service: JobService
) -> None:
    page = opened()
    item(page, "other.ipynb").dblclick()
    cell = page.locator(".jp-NotebookPanel .jp-CodeCell .cm-content").nth(1)
    cell.click()
    page.keyboard.type("# changed")
    item(page, "lab.ipynb").click()
    page.locator('.jp-NotebookPanel-toolbar [data-command="madang:create-job"]').click()
    expect(page.locator("#jp-create-job-inputFile")).to_have_value("labs/other.ipynb")
    expect(value(page, 0)).to_be_visible()
    create(page)
    expect(page.locator("table")).to_contain_text("Queued")
    sources = ["".join(x["source"]) for x in service.bodies[0]["notebook"]["cells"]]
    assert "# changed" in sources[1]
