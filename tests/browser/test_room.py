"""The service's page in a browser: live, in words, and safe from what students write."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from hub.core.lease import Kind
from hub.face import pages
from tests.face.running import PREFIX, Running, running, until

HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"
CARDS = ("A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb",)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, simulated=CARDS) as made:
        yield made


class Visit:
    """One browser window with a session, and everything that went wrong in it."""

    def __init__(self, browser: Browser, service: Running, who: str, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(
            **({"locale": "en"} | options)
        )
        self.context.add_cookies([
            {"name": "service-madang", "value": f"t-{who}", "url": service.url + PREFIX}
        ])
        self.page: Page = self.context.new_page()
        self.faults: list[str] = []
        self.outside: list[str] = []
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("console", self._said)
        self.page.on("request", lambda r: self.outside.append(r.url)
                     if not r.url.startswith((service.url, "data:")) else None)
        self.page.goto(service.url + PREFIX)

    def _said(self, message: ConsoleMessage) -> None:
        # the browser asks the hub for the icon of a plain text; here is no hub
        if message.type == "error" and "favicon" not in message.location["url"]:
            self.faults.append(message.text)

    def close(self) -> None:
        self.context.close()
        assert self.faults == []
        assert self.outside == []


def ask(service: Running, user: str) -> str:
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile="1g.5gb", image="madang/notebook:latest"
    ).id


def test_the_room_is_live_without_a_reload(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    expect(page.locator(".slice.free")).to_have_count(4)
    expect(page.locator("#connection")).to_have_text("Live")
    id = ask(service, "ana")
    mine = page.locator(".slice.mine")
    expect(mine).to_contain_text("in use")
    expect(mine).to_contain_text("yours")
    ask(service, "bo")
    expect(page.locator(".slice.held")).to_have_count(2)
    assert "bo" not in page.locator("#gpus").inner_text()
    page.on("dialog", lambda d: d.accept())
    page.get_by_role("button", name="Give back").click()
    expect(page.locator(".slice.free")).to_have_count(3)
    until(lambda: id not in service.broker.state().leases, "it is released")
    visit.close()


def test_what_students_write_stays_text(browser: Browser, service: Running) -> None:
    run = service.submit(notebook_name=f"{HOSTILE}.ipynb").json()["id"]
    until(partial(service.engine.found.get, run), "it runs")
    service.engine.say(run, b"madang: cell 1/2\n<script>document.title='pwned'</script>\n")
    ask(service, HOSTILE)
    visit = Visit(browser, service, "operator")
    page = visit.page
    expect(page.locator("#runs")).to_contain_text(HOSTILE)
    expect(page.locator("#gpus")).to_contain_text(HOSTILE)
    expect(page.locator("#runs")).to_contain_text("cell 1 of 2")
    assert page.locator("img").count() == 0
    page.get_by_role("link", name="Log").click()
    expect(page.locator("body")).to_contain_text("<script>document.title")
    assert page.title() != "pwned"
    visit.close()


def test_a_phone_shows_all_of_it(browser: Browser, service: Running) -> None:
    ask(service, "ana")
    visit = Visit(browser, service, "ana", viewport={"width": 320, "height": 700})
    page = visit.page
    expect(page.locator(".slice.mine")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    boxes = [x.bounding_box() for x in page.locator(".slice").all()]
    tops = [b["y"] for b in boxes if b]
    assert tops == sorted(set(tops)), "one below the other"
    visit.close()


def test_a_lost_connection_is_said_and_comes_back(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    expect(page.locator("#connection")).to_have_text("Live")
    page.evaluate("source.close(); source.dispatchEvent(new Event('error'))")
    expect(page.locator("#connection")).to_contain_text("lost")
    expect(page.locator("#connection")).to_have_text("Live", timeout=10_000)
    visit.close()


def test_the_api_can_be_tried_out(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    page.goto(service.url + PREFIX + "docs")
    page.locator(".opblock", has_text="/api/me").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table")).to_contain_text('"name": "ana"')
    visit.close()


def test_the_script_says_only_what_can_be_translated() -> None:
    script = (pages.HERE / "static" / "service.js").read_text()
    words = re.search(r"const WORDS = \{(.*?)\};", script, re.DOTALL)
    assert words
    said = set(re.findall(r'say\((?:\w+ \? )?"([^"]+)"', script)) | set(
        re.findall(r': "([^"]+)"', words[1])
    )
    assert len(said) > 15
    assert said <= set(pages.SPOKEN), sorted(said - set(pages.SPOKEN))
