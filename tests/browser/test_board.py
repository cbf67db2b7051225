"""The board in a browser, for everybody: live, in words, and safe from what students write."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from hub.desk import Desk
from hub.face import pages
from hub.face.spoken import SPOKEN
from tests.browser.boards import CARDS, PHONE, Visit, ask
from tests.browser.conftest import shot
from tests.face.running import PREFIX, Running, running, until

HOSTILE = "<img src=x onerror=\"document.title='pwned'\">"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, simulated=CARDS) as made:
        yield made


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Running]:
    """Promises last a second."""
    with running(tmp_path, simulated=CARDS, min_hold=1, notice=600) as made:
        yield made


def test_the_board_is_live_without_a_reload(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    expect(page.locator(".slice.free")).to_have_count(4)
    expect(page.locator("#connection")).to_have_text("Live")
    ask(service, "ana")
    mine = page.locator(".slice.mine")
    expect(mine).to_contain_text("in use")
    expect(mine).to_contain_text("yours")
    expect(page.locator("#mine")).to_contain_text(re.compile(r"Promised until .*\d\d:\d\d · \d+ m"))
    ask(service, "bo")
    expect(page.locator(".slice.held")).to_have_count(2)
    assert not page.get_by_text("bo", exact=True).count()
    visit.close()


def test_a_page_that_did_not_load_whole_loads_again(browser: Browser, service: Running) -> None:
    lost: list[str] = []

    def lose_once(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.request.url)
            route.abort()

    visit = Visit(browser, service, "ana").live()
    visit.page.route("**/static/dom.js", lose_once)
    visit.page.reload()
    visit.live()
    assert len(lost) == 1
    assert visit.faults == ["Failed to load resource: net::ERR_FAILED"]
    visit.faults.clear()
    visit.close()


def test_a_page_of_which_a_part_is_missing_for_good_says_so_and_rests(
    browser: Browser, service: Running
) -> None:
    missing: list[str] = []

    def lose(route: Route) -> None:
        missing.append(route.request.url)
        route.fulfill(status=404)

    visit = Visit(browser, service, "ana").live()
    visit.page.route("**/static/dom.js", lose)
    visit.page.reload()
    said = visit.page.locator("#not-whole")
    expect(said).to_be_visible()
    expect(said).to_contain_text("tell the operator")
    assert len(missing) == 4
    visit.page.reload()
    expect(said).to_be_visible()
    assert len(missing) == 5, "asked by hand it is not asked for three times more"
    visit.page.unroute("**/static/dom.js")
    visit.page.reload()
    visit.live()
    expect(said).to_be_hidden()
    assert visit.page.evaluate("history.state.tried") == 0
    visit.faults.clear()
    visit.close()


def test_giving_back_asks_first(browser: Browser, service: Running) -> None:
    id = ask(service, "ana")
    visit = Visit(browser, service, "ana")
    visit.press("Give back")
    expect(visit.dialog).to_contain_text("what is not saved is lost")
    visit.press("Not now")
    expect(visit.dialog).to_have_count(0)
    assert service.broker.state().leases[id].live
    visit.press("Give back")
    visit.press("Give back")
    expect(visit.page.locator(".slice.free")).to_have_count(4)
    until(lambda: id not in service.broker.state().leases, "it is released")
    expect(visit.page.locator("#mine")).to_contain_text("You hold no slice")
    visit.close()


def test_extend(browser: Browser, service: Running) -> None:
    before = service.broker.look(ask(service, "ana")).lease
    visit = Visit(browser, service, "ana")
    visit.press("Extend")
    expect(visit.page.locator("#said")).to_have_text("It was extended.")
    after = service.broker.look(before.id).lease
    assert before.promised
    assert after.promised
    assert after.promised > before.promised
    visit.close()


def test_a_place_in_the_line_without_anybodys_name(browser: Browser, service: Running) -> None:
    ask(service, "teacher", "3g.20gb")
    ask(service, "bo", "3g.20gb")
    ask(service, "ana", "3g.20gb")
    visit = Visit(browser, service, "ana").live()
    page = visit.page
    expect(page.locator(".places li")).to_have_count(2)
    expect(page.locator(".places .mine")).to_have_text("2 you")
    expect(page.locator("#line")).to_contain_text("Your place: 2")
    expect(page.locator("#line")).to_contain_text(re.compile(r"Probably (between|before|about)"))
    expect(page.locator("#line")).to_contain_text("Waits for a 3g.20gb")
    assert "teacher" not in page.content()
    assert not re.search(r"\bbo\b", page.locator("main").inner_text())
    visit.press("Leave the line")
    visit.press("Leave the line")
    expect(page.locator(".places li")).to_have_count(1)
    expect(page.locator(".places .mine")).to_have_count(0)
    visit.close()


def test_a_notice_counts_down_and_is_taken_back(browser: Browser, impatient: Running) -> None:
    ask(impatient, "ana", "3g.20gb")
    waiting = ask(impatient, "bo", "3g.20gb")
    visit = Visit(browser, impatient, "ana")
    page = visit.page
    expect(page.locator(".notice")).to_contain_text("somebody waits")
    expect(page.locator(".slice.ending")).to_contain_text("asked back")
    expect(page.locator("#said")).to_contain_text("3g.20gb is asked back")
    shown = page.locator(".notice .left")
    first = shown.inner_text()
    assert re.fullmatch(r"\d+:\d\d", first)
    expect(shown).not_to_have_text(first)
    refused = page.get_by_role("button", name="Extend")
    expect(refused).to_have_attribute("aria-disabled", "true")
    expect(refused).to_have_accessible_description(re.compile("Somebody waits"))
    impatient.broker.withdraw(waiting, "test")
    expect(page.locator(".notice")).to_have_count(0)
    expect(page.locator("#said")).to_have_text("You need not give back any more.")
    visit.close()


def test_a_slice_tells_more(browser: Browser, service: Running) -> None:
    ask(service, "ana")
    visit = Visit(browser, service, "ana").live()
    page = visit.page
    page.locator(".slice.mine").focus()
    tip = page.get_by_role("tooltip")
    expect(tip).to_contain_text("Memory slots")
    expect(tip).to_contain_text("Promised until")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.locator(".slice.free").first.hover()
    expect(tip).to_contain_text("free")
    page.locator(".slice.mine").focus()
    page.keyboard.press("Enter")
    expect(visit.dialog).to_contain_text("Slice 1g.5gb on GPU 0")
    page.keyboard.press("Escape")
    expect(page.locator(".slice.mine")).to_be_focused()
    visit.close()


def test_what_the_groups_quota_leaves_is_told(browser: Browser, service: Running) -> None:
    Desk(service.broker).set_group("ml", {"quota": 40}, "operator")
    visit = Visit(browser, service, "ana").live()
    week = visit.page.locator("#week")
    expect(week).to_contain_text("0 slice-hours used this week; your group's quota leaves 40.")
    shot(visit.page, "board-group-quota")
    visit.close()
    other = Visit(browser, service, "cho").live()
    expect(other.page.locator("#week")).to_contain_text("there is no quota")
    other.close()


def test_what_students_write_stays_text(browser: Browser, service: Running) -> None:
    run = service.submit(notebook_name=f"{HOSTILE}.ipynb").json()["id"]
    lease = until(lambda: next(iter(service.engine.found), None), "it runs")
    service.engine.say(lease, b"madang: cell 1/2\n<script>document.title='pwned'</script>\n")
    ask(service, HOSTILE)
    visit = Visit(browser, service, "operator")
    page = visit.page
    expect(page.locator("#runs")).to_contain_text(HOSTILE)
    expect(page.locator("#gpus")).to_contain_text(HOSTILE)
    expect(page.locator("#leases")).to_contain_text(HOSTILE)
    expect(page.locator("#runs")).to_contain_text("cell 1 of 2")
    assert page.locator("img").count() == 0
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.locator("body")).to_contain_text("<script>document.title")
    assert page.title() != "pwned"
    assert run
    visit.close()


@pytest.mark.parametrize("who", ["ana", "operator"])
def test_a_phone_shows_all_of_it(browser: Browser, service: Running, who: str) -> None:
    ask(service, "ana")
    for user in ("bo", "teacher"):
        ask(service, user, "3g.20gb")
    visit = Visit(browser, service, who, **PHONE).live()
    boxes = [x.bounding_box() for x in visit.page.locator(".slice").all()]
    tops = [b["y"] for b in boxes if b]
    assert tops == sorted(set(tops)), "one below the other"
    expect(visit.page.locator(".day")).to_have_count(7)
    assert visit.fits()
    visit.page.set_viewport_size({"width": 320, "height": 700})
    assert visit.fits()
    visit.close()


def test_a_lost_connection_is_said_and_comes_back(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    said = page.locator("#connection")
    expect(said).to_have_text("Live")
    page.evaluate("sources.at(-1).close(); sources.at(-1).dispatchEvent(new Event('error'))")
    expect(said).to_contain_text("lost")
    expect(said).to_have_text("Live")
    # what comes late is said to be late
    page.evaluate("""sources.at(-1).dispatchEvent(new MessageEvent("now", {
        data: JSON.stringify(new Date(Date.now() - 12_000).toISOString()) }))""")
    expect(said).to_have_text(re.compile(r"Live, 1[12] s behind"))
    visit.close()


def test_silence_is_no_life(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana").live()
    # a server whose words do not arrive, while the browser believes in the connection
    visit.page.evaluate("""() => {
        performance.now = ((real) => () => real.call(performance) + 41_000)(performance.now);
    }""")
    expect(visit.page.locator("#connection")).to_contain_text("lost")
    visit.close()


def test_korean_and_back(browser: Browser, service: Running) -> None:
    ask(service, "ana")
    visit = Visit(browser, service, "ana", locale="ko-KR").live()
    page = visit.page
    expect(page.locator("h1")).to_have_text("현황판")
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    expect(page.locator("#mine")).to_contain_text("약속됨")
    visit.press("반납하기")
    expect(visit.dialog).to_contain_text("반납할까요?")
    visit.press("그만두기")
    shown = page.locator("main").inner_text()
    english = set(re.findall(r"[A-Za-z]{3,}", shown)) - {
        "GPU", "JupyterLab", "NVIDIA", "SXM", "GiB", "UTC", "node1", "gpu", "node",
    }
    assert not english, "a word that nobody translated"
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("The board")
    page.reload()
    expect(page.locator("#mine")).to_contain_text("Promised until")
    assert [c["path"] for c in visit.context.cookies() if c["name"] == pages.LANGUAGE_COOKIE] == [
        PREFIX.rstrip("/")
    ]
    visit.close()


def test_dark_is_jupyterhubs_dark(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana", color_scheme="dark").live()
    page = visit.page
    theme = page.locator("html")
    expect(theme).to_have_attribute("data-bs-theme", "dark")
    visit.press("Dark")
    expect(theme).to_have_attribute("data-bs-theme", "light")
    assert page.evaluate("localStorage.getItem('jupyterhub-bs-theme')") == "light"
    page.reload()
    expect(theme).to_have_attribute("data-bs-theme", "light")
    visit.close()


def test_the_api_can_be_tried_out(browser: Browser, service: Running) -> None:
    visit = Visit(browser, service, "ana")
    page = visit.page
    page.goto(service.url + PREFIX + "docs")
    page.locator(".opblock", has_text="/api/me").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute", exact=True).click()
    expect(page.locator(".live-responses-table")).to_contain_text('"name": "ana"')
    visit.close()


# ---- without a browser --------------------------------------------------------------------------


def _scripts() -> Iterator[tuple[str, str]]:
    for path in sorted((pages.HERE / "static").glob("*.js")):
        yield path.name, path.read_text()


def test_the_scripts_say_only_what_can_be_translated_and_all_of_it() -> None:
    quoted = set[str]()
    for name, text in _scripts():
        found = set(re.findall(r'\bsay\(\s*(?:\w+ \? )?"([^"]+)"', text))
        if name != "docs.js":
            quoted |= set(re.findall(r'"([^"\n]*)"', text))
        assert found <= set(SPOKEN), (name, sorted(found - set(SPOKEN)))
    unsaid = set(SPOKEN) - quoted
    # the one-word names of run stages are said as they come
    assert not unsaid, sorted(unsaid)
    assert len(SPOKEN) == len(set(SPOKEN)), "said once"


def test_the_words_for_states_can_be_translated() -> None:
    text = (pages.HERE / "static" / "speak.js").read_text()
    for name in ("WORDS", "WHYS"):
        found = re.search(rf"const {name} = \{{(.*?)\}};", text, re.DOTALL)
        assert found
        said = set(re.findall(r': "([^"]+)"', found[1]))
        assert said
        assert said <= set(SPOKEN), sorted(said - set(SPOKEN))


def test_the_scripts_never_write_html() -> None:
    for name, text in _scripts():
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert way not in text, name
        assert len(text.splitlines()) <= 350, name


def test_a_cookie_of_another_language_is_no_language(service: Running) -> None:
    with service.client("t-ana") as http:
        for value, title in (("ko", "현황판"), ("../ko", "The board"), ("xx", "The board")):
            http.cookies.set("service-madang", "t-ana")
            http.cookies.set(pages.LANGUAGE_COOKIE, value)
            assert f"<title>{title}" in http.get("").text
