"""A real installation and a real Chromium; a failing test shows both their stories."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.workspace import Workspace, wait_for, workspace

CARDS = json.dumps(["A100-40:3g.20gb,1g.5gb,1g.5gb"])
# Playwright's 5 s are for a fast machine: on two busy cores Lab takes longer to show one item
expect.set_options(timeout=60_000)
CALM = Path(__file__).with_name("calm.py")
SHOTS = Path(os.environ.get("SCREENSHOTS", f"{tempfile.gettempdir()}/madang-screenshots"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One installation for a module's tests: a 3g.20gb and two 1g.5gb."""
    folder = tmp_path_factory.mktemp("place")
    with workspace(folder, f"mt-{os.getpid()}", CARDS) as made:
        yield made


# per module: while Playwright's loop runs in this thread, no test with a loop of its own can
@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium; Playwright's own where the distribution's is a snap (Ubuntu)."""
    with sync_playwright() as player:
        found = shutil.which("chromium") or player.chromium.executable_path
        start = tmp_path_factory.mktemp("browser") / "chromium"
        start.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{CALM}" "{found}" "$@"\n')
        start.chmod(0o755)
        opened = player.chromium.launch(
            executable_path=start, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield opened
        opened.close()


@pytest.fixture
def person(
    browser: Browser, place: Workspace, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Page]]:
    """`person(name, locale=…)`: a logged-in page of somebody's own browser."""
    contexts = []

    def log_in(name: str, locale: str = "en-US", **rest: object) -> Page:
        context = browser.new_context(
            locale=locale, base_url=place.url, viewport={"width": 1280, "height": 800}, **rest
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto("/hub/login")
        page.fill("#username_input", name)
        page.fill("#password_input", place.password(name))
        page.click("#login_submit")
        page.wait_for_url("**/hub/**")
        return page

    yield log_in
    failed = getattr(request.node, "failed", False)
    for i, context in enumerate(contexts):
        for page in context.pages:
            if failed:
                shot(page, f"failed-{request.node.name}-{i}")
        context.close()
    if failed:
        print(place.story())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    if outcome.get_result().failed:  # type: ignore[attr-defined]
        item.failed = True  # type: ignore[attr-defined]


@pytest.fixture
def nobody_left(place: Workspace) -> Iterator[None]:
    """Each test of the module begins with all slices free."""
    yield
    everybody_out(place)


def everybody_out(place: Workspace) -> None:
    """Stop every server, end every lease, and wait until each slice is free again."""
    boss = place.student("operator")

    def out() -> bool:
        for user in boss.api("GET", "/users?state=active").json():
            boss.api("DELETE", f"/users/{user['name']}/server")
        for lease in place.rest("GET", "leases").json():
            place.rest("DELETE", f"leases/{lease['id']}", params={"reason": "tests clean up"})
        slices = {s["state"] for s in place.rest("GET", "slices").json()}
        return slices == {"free"} and not place.containers()

    place.wait_healthy()
    try:
        wait_for(out, timeout=120, every=1, why="every slice free")
    except Exception as e:
        # what fails between two tests has no other witness
        raise AssertionError(f"{e!r}\n{place.story()}") from e


def shot(page: Page, name: str) -> Path:
    """A screenshot to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    path = SHOTS / f"{name}.png"
    page.screenshot(path=str(path), full_page=False)
    return path
