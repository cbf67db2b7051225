"""Cookies: what they allow, and to whom. The stand-in hub; the real one is in test_login_hub.py."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.face.running import PREFIX, Running, running

COOKIE = "service-madang"
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
GO = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("login")) as made:
        yield made


@pytest.fixture
def browser(service: Running) -> Iterator[httpx.Client]:
    """A browser in which ana is logged in."""
    with service.client() as http:
        http.cookies.set(COOKIE, "t-ana")
        yield http


def xsrf(browser: httpx.Client) -> str:
    found = re.search(r'data-xsrf="([0-9a-f]{64})"', browser.get("", headers=GO).text)
    assert found
    return found.group(1)


def test_a_page_sends_strangers_to_the_hub(service: Running) -> None:
    with service.client() as http:
        for page in ("", "docs"):
            answer = http.get(page)
            assert answer.status_code == 302
            assert answer.headers["location"].startswith("/hub/api/oauth2/authorize?client_id=")
            assert "code_challenge_method=S256" in answer.headers["location"]
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert f"Path={PREFIX}" in cookie
            assert "SameSite=lax" in cookie


def test_the_page_shows_the_visitor_and_nothing_runs_inline(browser: httpx.Client) -> None:
    answer = browser.get("", headers=GO)
    assert answer.status_code == 200
    assert "ana" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)", answer.text)
    assert not re.search(r"\son\w+=", answer.text)
    assert "https://" not in answer.text


def test_a_hostile_name_stays_text(service: Running) -> None:
    with service.client() as http:
        http.cookies.set(COOKIE, "t-hostile")
        text = http.get("", headers=GO).text
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_script_cannot_fetch_the_page(browser: httpx.Client) -> None:
    """It would find the XSRF token there: a notebook's script is of the same origin."""
    for mode in ("cors", "same-origin", "no-cors", "websocket"):
        answer = browser.get("", headers={"Sec-Fetch-Mode": mode})
        assert answer.status_code == 403
        assert "data-xsrf" not in answer.text


def test_a_cookie_alone_reads_only_by_navigation(browser: httpx.Client) -> None:
    assert browser.get("api/me", headers=GO).json()["name"] == "ana"
    assert browser.get("api/me", headers=FETCH).status_code == 403
    assert browser.get("api/events", headers=FETCH).status_code == 403


@pytest.mark.parametrize("mode", [FETCH, GO, {}])
def test_a_cookie_alone_never_writes(browser: httpx.Client, mode: dict[str, str]) -> None:
    for verb, path in (("DELETE", "api/leases/x"), ("POST", "api/runs"), ("PUT", "api/roster")):
        answer = browser.request(verb, path, headers=mode)
        assert answer.status_code == 403
        assert answer.json()["error"]["reason"] == "not-allowed"


def test_our_page_reads_and_writes(browser: httpx.Client) -> None:
    token = xsrf(browser)
    mine = FETCH | {"X-Xsrftoken": token}
    assert browser.get("api/me", headers=mine).json()["name"] == "ana"
    assert browser.delete("api/leases/x", headers=mine).status_code == 404
    with browser.stream("GET", f"api/events?_xsrf={token}", headers=FETCH) as answer:
        assert answer.status_code == 200


@pytest.mark.parametrize("wrong", ["", "0" * 64, "é", "x" * 10_000])
def test_a_wrong_xsrf_token(browser: httpx.Client, wrong: str) -> None:
    sent = httpx.Headers(FETCH, encoding="utf-8")
    sent["X-Xsrftoken"] = wrong
    assert browser.delete("api/leases/x", headers=sent).status_code == 403


def test_the_xsrf_token_of_another(service: Running, browser: httpx.Client) -> None:
    with service.client() as http:
        http.cookies.set(COOKIE, "t-bo")
        other = xsrf(http)
    assert browser.delete(
        "api/leases/x", headers=FETCH | {"X-Xsrftoken": other}
    ).status_code == 403


def test_a_bad_bearer_token_is_not_saved_by_a_cookie(browser: httpx.Client) -> None:
    answer = browser.get("api/me", headers=GO | {"Authorization": "Bearer nope"})
    assert answer.status_code == 401


def test_a_cookie_without_access_is_told_so(service: Running) -> None:
    with service.client() as http:
        http.cookies.set(COOKIE, "t-stranger")
        answer = http.get("", headers=GO | {"Accept-Language": "en"})
    assert answer.status_code == 403
    assert "no access" in answer.text


@pytest.mark.parametrize("query", [
    "", "?code=x", "?state=x&code=y", "?error=access_denied&state=x",
    "?error=<script>alert(1)</script>", "?state=é&code=é",
])
def test_a_callback_that_nobody_began(service: Running, query: str) -> None:
    with service.client() as http:
        answer = http.get(f"oauth_callback{query}")
    assert answer.status_code == 403
    assert "did not finish" in answer.text
    assert "<script>" not in answer.text
    assert COOKIE not in answer.cookies


def test_a_callback_in_another_browser(service: Running) -> None:
    """The state of one browser is worth nothing in another: nobody logs in as somebody else."""
    with service.client() as one, service.client() as other:
        begun = one.get("", headers=GO).headers["location"]
        state = httpx.URL(begun).params["state"]
        assert other.get(f"oauth_callback?code=c&state={state}").status_code == 403


def test_the_address_without_its_slash(service: Running) -> None:
    with service.client() as http:
        answer = http.get(service.url + PREFIX.rstrip("/"))
    assert (answer.status_code, answer.headers["location"]) == (308, PREFIX)
