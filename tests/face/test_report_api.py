"""Reports, comparisons and pages of runs over HTTP: who gets what, and what can run in it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from hub.core.runs import RunStage
from tests.face.nights import over
from tests.face.running import PREFIX, Running, error, running
from tests.notebooks import code, notebook, png, printed, shown, text

ALERT = "<script>alert('x')</script><img src=x onerror=alert(1)>"
SEALED = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
FIRST = notebook(
    text("t", "# Digits"), code("p", "lr = 0.1"),
    code("plot", "plot()", shown("image/png", png(extra=b"1")), printed(ALERT)),
)
SECOND = notebook(
    text("t", "# Digits"), code("p", "lr = 0.2"),
    code("plot", "plot()", shown("image/png", png(extra=b"2")), printed("other")),
    code("n", ALERT, shown("text/html", ALERT), shown("image/svg+xml", ALERT),
         shown("image/png", ALERT)),
)
ERROR = {"cell": 3, "ename": "KeyError", "evalue": ALERT, "lines": ["one", ALERT]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("nights"), timezone="Asia/Seoul") as made:
        over(made, "aa01", ago=30, output=FIRST, metrics={"loss": 0.4, ALERT: ALERT},
             parameters={"lr": 0.1})
        over(made, "aa02", ago=2, output=SECOND, metrics={"loss": 0.3, ALERT: "b"},
             parameters={"lr": 0.2}, memory_peak_mib=1500, gpu_memory_peak_mib=700)
        over(made, "aa03", stage=RunStage.FAILED, notebook=f"{ALERT}.ipynb", error=ERROR)
        over(made, "aa04", stage=RunStage.OUT_OF_MEMORY, notebook="m.ipynb")
        over(made, "aa05", stage=RunStage.PLANNED, notebook="m.ipynb",
             not_before=datetime.now(UTC) + timedelta(days=1))
        over(made, "bb01", user="bo", output=FIRST)
        for i in range(6):
            over(made, f"ss0{i}", sweep="sweep1", notebook="s.ipynb",
                 parameters={"lr": i / 10, "seed": 0, ALERT: ALERT if i else "x"},
                 metrics={"loss": 1 - i / 10} if i < 5 else {},
                 stage=RunStage.FAILED if i == 5 else RunStage.SUCCEEDED)
        yield made


def get(service: Running, path: str, who: str = "ana", **rest: Any) -> httpx.Response:
    with service.client(f"t-{who}", **rest) as http:
        return http.get(path)


def page(service: Running, path: str, who: str = "ana", **headers: str) -> httpx.Response:
    """As a browser navigates: with the session's cookie."""
    with service.client(None, **headers) as http:
        http.cookies.set("service-madang", f"t-{who}")
        return http.get(path, headers={"Sec-Fetch-Mode": "navigate"})


# ---- the API ------------------------------------------------------------------------------


def test_the_report_says_what_failed_where_and_what_changed(service: Running) -> None:
    found = get(service, "api/report").json()
    runs = {x["run"]["id"]: x for x in found["runs"]}
    assert list(runs)[-1] == "aa02", "what went wrong comes first"
    assert set(runs) == {"aa02", "aa03", "aa04"}
    assert (runs["aa03"]["cell"], runs["aa03"]["lines"]) == (3, ["one", ALERT])
    assert runs["aa02"]["before"] == "aa01"
    loss = runs["aa02"]["figures"][0]
    assert (loss["name"], loss["value"], loss["before"]) == ("loss", 0.3, 0.4)
    assert runs["aa02"]["run"]["memory_peak_mib"] == 1500
    assert runs["aa02"]["seconds"] == 300
    assert found["counts"] == {"failed": 2, "out-of-memory": 1, "succeeded": 6}
    assert found["still"] == {"planned": 1}
    assert found["sweeps"][0]["counts"] == {"succeeded": 5, "failed": 1}


def test_ones_own_runs_only(service: Running) -> None:
    assert [x["run"]["id"] for x in get(service, "api/report", "bo").json()["runs"]] == ["bb01"]
    assert get(service, "api/report", "teacher").json()["runs"] == []
    error(get(service, "api/report?user=bo"), 403, "not-allowed")
    everybody = get(service, "api/report", "operator").json()
    assert {x["run"]["user"] for x in everybody["runs"]} == {"ana", "bo"}
    some = get(service, "api/report?user=bo", "operator").json()
    assert {x["run"]["user"] for x in some["runs"]} == {"bo"}
    # a service that is named like a person
    assert get(service, "api/report", "service").status_code in (401, 403) or not get(
        service, "api/report", "service").json()["runs"]
    assert get(service, "api/report?format=html", "service").status_code in (401, 403)


def test_the_report_as_a_file_has_ones_own_alone_and_nothing_that_runs(service: Running) -> None:
    made = get(service, "api/report?format=html")
    assert made.headers["content-type"].startswith("text/html")
    assert "sandbox" in made.headers["content-security-policy"]
    assert 'id="run-aa02"' in made.text
    assert "Of ana." in made.text
    assert "bb01" not in made.text
    assert "<script" not in made.text
    everybody = get(service, "api/report?format=html", "operator").text
    assert "Of everybody." in everybody
    assert "<small>bo</small>" in everybody
    assert "run-aa02" not in get(service, "api/report?format=html&user=bo", "operator").text
    error(get(service, "api/report?format=html&user=bo"), 403, "not-allowed")
    error(get(service, "api/report?format=pdf"), 422, "bad-request")


@pytest.mark.parametrize("path", [
    "runs/{id}/output", "runs/{id}/export", "runs/{id}/diff/bb01", "runs/bb01/diff/{id}",
    "runs/{id}/diff/{id}", "runs/bb01/diff/{id}?format=html",
])
def test_what_is_somebody_elses_is_as_if_it_were_not(service: Running, path: str) -> None:
    error(get(service, f"api/{path.format(id='aa01')}", "bo"), 404, "not-found")
    error(get(service, f"api/{path.format(id='nothing')}", "bo"), 404, "not-found")
    assert httpx.get(f"{service.url}{PREFIX}api/{path.format(id='aa01')}").status_code == 401


@pytest.mark.parametrize("since", ["x", "", "-1d", "9999999999999d", "2026-13-40", "0h", "12h\0"])
def test_moments_that_are_none(service: Running, since: str) -> None:
    for prefix in ("api/report", "report"):
        with service.client("t-ana") as http:
            answer = http.get(prefix, params={"since": since})
        assert answer.status_code in (400, 403, 422, 200, 302), answer.text
        assert answer.status_code != 200 or since == ""
    assert get(service, f"api/report?since={since.strip(chr(0))}x").status_code in (400, 422)


def test_two_runs_beside_each_other(service: Running) -> None:
    found = get(service, "api/runs/aa01/diff/aa02").json()
    assert [(x["name"], x["before"], x["value"]) for x in found["parameters"]] == [("lr", 0.1, 0.2)]
    assert found["figures"][0]["name"] == "loss"
    cells = found["notebook"]["cells"]
    assert [(x["fate"], x["before"], x["after"], x["outputs"]) for x in cells] == [
        ("changed", 2, 2, False), ("same", 3, 3, True), ("added", None, 4, False),
    ]
    assert cells[0]["lines"] == [
        {"mark": "-", "text": "lr = 0.1"}, {"mark": "+", "text": "lr = 0.2"},
    ]
    assert [(y["width"], y["uri"]) for x in cells[1]["pictures"] for y in x] == [(2, ""), (2, "")]
    assert (found["seconds_before"], found["seconds_after"]) == (300, 300)


def test_what_cannot_be_compared(service: Running) -> None:
    assert "not ended" in error(get(service, "api/runs/aa01/diff/aa05"), 400, "bad-request")
    assert "not kept" in error(get(service, "api/runs/aa01/diff/aa04"), 404, "not-found")
    assert get(service, "api/runs/aa01/diff/aa02?format=pdf").status_code == 422


def test_a_notebook_is_a_file_to_download(service: Running) -> None:
    answer = get(service, "api/runs/aa01/output")
    assert answer.json() == FIRST
    assert answer.headers["content-type"] == "application/x-ipynb+json"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''night")
    sealed(answer)


def sealed(answer: httpx.Response) -> None:
    assert answer.headers["content-security-policy"] == SEALED
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_what_a_notebook_printed_is_a_sealed_page(service: Running) -> None:
    for path in ("api/runs/aa02/export", "api/runs/aa01/diff/aa02?format=html"):
        answer = page(service, path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        sealed(answer)
        harmless(answer.text)
        assert "Content-Security-Policy" in answer.text.partition("<style")[0]


class Markup(HTMLParser):
    """Everything in a page that is markup and not text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def harmless(html: str) -> None:
    """No markup of a student's is markup there."""
    for tag, attributes in Markup(html).tags:
        assert tag not in {"iframe", "object", "embed", "base"}
        assert not [x for x in attributes if x.startswith("on") or x == "style"]
        if tag == "script":
            assert str(attributes["src"]).startswith(f"{PREFIX}static/")
        if tag == "svg":
            assert attributes["role"] == "img"
        if tag == "img":
            assert re.fullmatch(r"data:image/(png|jpeg);base64,[\w+/=]+", attributes["src"] or "")
        address = attributes.get("href") or "/"
        assert address.startswith(("/", "#", "data:,", "https://example.org"))


# ---- the pages ----------------------------------------------------------------------------

PAGES = ("report", "report?since=7d", "runs/aa01", "runs/aa02", "runs/aa03", "runs/aa04",
         "runs/aa05", "runs/ss00", "sweeps/sweep1", "sweeps/sweep1?figure=loss&parameter=lr",
         f"sweeps/sweep1?figure={ALERT}&parameter=x")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_pages_let_nothing_of_a_notebook_run(service: Running, path: str, language: str) -> None:
    answer = page(service, path, **{"Accept-Language": language})
    assert answer.status_code == 200, answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["content-language"] == language
    harmless(answer.text)


def test_the_report_shows_pictures_before_and_after(service: Running) -> None:
    html = page(service, "report").text
    for extra in (b"1", b"2"):
        assert f'src="data:image/png;base64,{png(extra=extra)}"' in html
    assert "KeyError" in html
    assert "Cell 3 of 9" in html
    assert "-0.1 (-25.0%)" in html
    assert "1.5 GiB" in html
    assert 'href="/services/madang/sweeps/sweep1"' in html
    assert "bb01" not in html


def test_the_board_leads_to_it(service: Running) -> None:
    assert 'href="/services/madang/report"' in page(service, "").text


def test_an_operator_reads_everybodys_or_anybodys(service: Running) -> None:
    html = page(service, "report?user=*", "operator").text
    assert "runs/bb01" in html
    assert "runs/aa02" in html
    assert "runs/aa02" not in page(service, "report?user=bo", "operator").text
    assert "user=%2A" in page(service, "report", "operator").text
    assert "user=%2A" not in page(service, "report").text
    for path, who in (("report?user=*", "ana"), ("report?user=bo", "ana"),
                      ("report?user=ana", "teacher")):
        answer = page(service, path, who)
        assert answer.status_code == 403
        assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["runs/aa01", "sweeps/sweep1", "runs/none", "sweeps/none"])
def test_pages_of_others_are_as_if_they_were_not(service: Running, path: str) -> None:
    answer = page(service, path, "bo")
    assert answer.status_code == 404
    assert "Back to the board" in answer.text


def test_pages_are_for_navigation_only(service: Running) -> None:
    """A notebook in the student's own Lab must not read them with the session's cookie."""
    with service.client(None) as http:
        http.cookies.set("service-madang", "t-ana")
        for path in ("report", "runs/aa01", "sweeps/sweep1", "api/report", "api/runs/aa01/export"):
            answer = http.get(path, headers={"Sec-Fetch-Mode": "cors"})
            assert answer.status_code == 403
        assert httpx.get(f"{service.url}{PREFIX}report").status_code == 302
