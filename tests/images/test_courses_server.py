"""The server's part of "Update course", in a real server: what Lab asks, passed on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.images.courseservice import REFUSAL, CourseService
from tests.images.jupyter import QUICK, SLICE, Jupyter
from tests.images.service import TOKEN


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Jupyter, CourseService]]:
    home = tmp_path_factory.mktemp("home")
    with CourseService(home) as service:
        environment = {**SLICE, "MADANG_SLICE": "", "MADANG_LEASE": "",
                       "MADANG_API": service.api, "JUPYTERHUB_API_TOKEN": TOKEN}
        with Jupyter(home, environment, **QUICK) as server:
            yield server, service


@pytest.fixture
def service(running: tuple[Jupyter, CourseService]) -> CourseService:
    service = running[1]
    service.reset()
    service.file("").mkdir(parents=True, exist_ok=True)
    service.asked = []
    return service


@pytest.fixture
def http(running: tuple[Jupyter, CourseService], service: CourseService) -> httpx.Client:
    return running[0].http


def test_a_server_without_a_slice_has_courses_too(
    http: httpx.Client, service: CourseService
) -> None:
    service.release(**{"a.md": ("new", "new")})
    [course] = http.get("madang/courses").json()
    assert (course["name"], course["newest"], course["behind"]) == ("torch-101", 3, True)
    assert http.get("madang/courses/torch-101").json()["releases"][0]["number"] == 3
    assert http.get("madang/courses/torch-101/updates").json() == []
    assert http.get("madang/courses/torch-101/collections").json() == []
    assert {x for x, _ in service.asked} == {"GET"}


def test_an_update_says_what_is_open_and_can_be_undone(
    http: httpx.Client, service: CourseService
) -> None:
    service.release(**{"a.md": ("new", "new"), "b.md": ("new", "updated")})
    found = http.post("madang/courses/torch-101/update", json={"open": ["b.md"]}).json()
    assert [x["fate"] for x in found["files"]] == ["new", "waiting"]
    assert service.file("a.md").read_text() == "new"
    assert not service.file("b.md").exists()
    number = found["update"]
    undone = http.post(f"madang/courses/torch-101/updates/{number}/undo").json()
    assert undone["undone_at"]
    assert service.file("a.md").read_text() == ""


def test_what_is_open_is_told_to_the_service(http: httpx.Client, service: CourseService) -> None:
    told = {"window": "w", "files": {"torch-101": ["a.md"]}, "more": 1}
    answer = http.put("madang/courses/_open", json=told)
    assert (answer.json(), service.told) == ({"open": 1}, {"torch-101": ["a.md"]})
    assert http.put("madang/courses/_open", content="[]").status_code == 400


@pytest.mark.parametrize("body", [
    '{"open": "a"}', '{"open": [1]}', "[]", "{", '{"open": ["' + "a" * 4097 + '"]}', '"x"',
])
def test_what_is_no_list_of_paths_is_not_passed_on(
    http: httpx.Client, service: CourseService, body: str
) -> None:
    answer = http.post("madang/courses/torch-101/update", content=body)
    assert answer.status_code == 400
    assert service.asked == []


@pytest.mark.parametrize("path", [
    "Torch", "torch-101%2f..%2f..%2fruns", "..%2fruns", "torch-101/updates/x/undo", "-a",
    "a" * 41, "torch-101/updates/1%2fundo", "torch-101/fresh", "torch-101/collections/hw1/archive",
])
def test_a_name_that_is_none_reaches_nothing_of_the_service(
    http: httpx.Client, service: CourseService, path: str
) -> None:
    for method in ("GET", "POST"):
        assert http.request(method, f"madang/courses/{path}").status_code in {404, 405}
    assert service.asked == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_refusal_is_shown_as_the_service_says_it(
    http: httpx.Client, service: CourseService, language: str
) -> None:
    service.refuses = True
    answer = http.post(
        "madang/courses/torch-101/update", json={}, headers={"Accept-Language": f"{language}-KR"})
    assert (answer.status_code, answer.json()) == (
        409, {"message": REFUSAL[language], "reason": "withdrawn"})


def test_a_service_that_is_away_is_said_to_be(
    http: httpx.Client, service: CourseService
) -> None:
    service.away = True
    for method, path in (("GET", ""), ("GET", "/torch-101"), ("POST", "/torch-101/update")):
        answer = http.request(method, f"madang/courses{path}")
        assert (answer.status_code, answer.json()["reason"]) == (503, "away")


def test_a_stranger_and_a_page_of_somebody_else_change_nothing(
    http: httpx.Client, service: CourseService
) -> None:
    assert httpx.get(http.base_url.join("madang/courses")).status_code == 403
    with httpx.Client(base_url=http.base_url) as browser:
        browser.get("tree", params={"token": "t"})
        assert browser.get("madang/courses").status_code == 200
        service.asked.clear()
        for path in ("update", "updates/1/undo"):
            assert browser.post(f"madang/courses/torch-101/{path}").status_code == 403
        assert service.asked == []
        known = {"X-XSRFToken": browser.cookies["_xsrf"]}
        answer = browser.post("madang/courses/torch-101/update", headers=known)
        assert answer.json() == {"nothing": True}


def test_the_token_is_the_services_alone(http: httpx.Client, service: CourseService) -> None:
    said = [http.get(f"madang/courses{x}").text for x in ("", "/torch-101", "/nobody")]
    assert not [x for x in said if TOKEN in x]
    assert service.asked


def test_a_page_that_asks_is_no_activity_of_the_server(http: httpx.Client) -> None:
    """JupyterHub would keep the server for ever."""
    def last() -> Any:
        return http.get("api/status?no_track_activity=1").json()["last_activity"]

    before = last()
    http.get("madang/courses")
    assert last() == before


def test_without_a_hub_there_are_no_courses(tmp_path: Path) -> None:
    with Jupyter(tmp_path, {"MADANG_API": "", "MADANG_SLICE": ""}, **QUICK) as server:
        answer = server.http.get("madang/courses")
        assert (answer.status_code, answer.json()["reason"]) == (404, "no-courses")
