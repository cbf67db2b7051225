"""The extension of the Jupyter server, in a real one: which slice, until when, and give it back."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.core.nouns import Why
from hub.face.programs import search_path
from tests.images.bench import PACKAGE
from tests.images.jupyter import QUICK, SLICE, Jupyter
from tests.images.leasing import LEASE, NO, LeaseService
from tests.images.service import TOKEN

STATIC = PACKAGE / "madang" / "labextension" / "static"


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Jupyter, LeaseService]]:
    with LeaseService() as service:
        environment = {**SLICE, "MADANG_API": service.api, "JUPYTERHUB_API_TOKEN": TOKEN}
        home = tmp_path_factory.mktemp("home")
        with Jupyter(home, environment, interval=0.5, look=0.1) as server:
            yield server, service


@pytest.fixture
def service(running: tuple[Jupyter, LeaseService]) -> LeaseService:
    service = running[1]
    service.lease, service.refuses, service.away, service.waiting = dict(LEASE), False, False, 0
    service.asked = []
    return service


@pytest.fixture
def http(running: tuple[Jupyter, LeaseService], service: LeaseService) -> httpx.Client:
    return running[0].http


def test_it_names_the_slice_and_its_times_to_whom_it_belongs(
    http: httpx.Client, service: LeaseService
) -> None:
    stranger = httpx.get(http.base_url.join("madang/lease"))
    assert stranger.status_code == 403
    service.waiting = 2
    service.heard(1.2)
    answer = http.get("madang/lease").json()
    assert re.match(r"\d{4}-\d\d-\d\dT.*\+00:00$", answer.pop("now"))
    assert answer == {
        "slice": "3g.20gb", "gpu": "NVIDIA A100-SXM4-40GB", "uuid": "MIG-1", "memory_mib": 19968,
        "lease": "l1", "text": "3g.20gb · A100-SXM4-40GB · 19.5 GiB",
        "state": LEASE, "away": False, "waiting": 2,
    }


def test_more_time_and_giving_back_are_asked_of_the_service(
    http: httpx.Client, service: LeaseService
) -> None:
    answer = http.post("madang/lease/extend")
    assert answer.json()["state"]["promised"] == "2026-01-01T11:00:00+00:00"
    answer = http.delete("madang/lease")
    assert (answer.status_code, answer.json()["state"]["stage"]) == (200, "draining")
    acts = [x for x in service.asked if "activity" not in x[1]]
    assert acts == [("POST", "/leases/l1/extend"), ("DELETE", "/leases/l1")]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_refusal_is_shown_as_the_service_says_it(
    http: httpx.Client, service: LeaseService, language: str
) -> None:
    service.refuses = True
    for verb, path, reason in (("POST", "/extend", "somebody-waits"), ("DELETE", "", "not-held")):
        answer = http.request(
            verb, f"madang/lease{path}", headers={"Accept-Language": f"{language}-KR"})
        assert answer.status_code == 409
        assert answer.json() == {"message": NO[language], "reason": reason}


def test_a_service_that_is_away_takes_nothing_from_the_page(
    http: httpx.Client, service: LeaseService
) -> None:
    service.away = True
    answer = http.get("madang/lease")
    assert answer.status_code == 200
    assert (answer.json()["slice"], answer.json()["away"]) == ("3g.20gb", True)
    for verb, path in (("POST", "/extend"), ("DELETE", "")):
        answer = http.request(verb, f"madang/lease{path}")
        assert (answer.status_code, answer.json()["reason"]) == (503, "away")


def test_a_lease_that_the_service_does_not_know(http: httpx.Client, service: LeaseService) -> None:
    service.lease = {"error": {"message": "There is no lease l1.", "reason": "not-found"}}
    answer = http.get("madang/lease").json()
    assert (answer["state"], answer["refused"]) == (None, "There is no lease l1.")


def test_a_page_of_somebody_else_can_change_nothing(
    http: httpx.Client, service: LeaseService
) -> None:
    """With the cookie alone, as a browser would send it from a foreign page."""
    with httpx.Client(base_url=http.base_url) as browser:
        browser.get("tree", params={"token": "t"})
        assert browser.get("madang/lease").status_code == 200
        before = list(service.asked)
        for verb, path in (("POST", "/extend"), ("DELETE", "")):
            assert browser.request(verb, f"madang/lease{path}").status_code == 403
        assert [x for x in service.asked[len(before):] if "activity" not in x[1]] == []
        known = {"X-XSRFToken": browser.cookies["_xsrf"]}
        assert browser.post("madang/lease/extend", headers=known).status_code == 200


def test_a_page_that_asks_is_no_activity_of_the_server(
    http: httpx.Client, service: LeaseService
) -> None:
    """JupyterHub would keep the server for ever."""
    def last() -> Any:
        return http.get("api/status?no_track_activity=1").json()["last_activity"]

    before = last()
    http.get("madang/lease")
    assert last() == before


def test_without_a_slice_it_says_cpu_and_has_nothing_to_give_back(tmp_path: Path) -> None:
    with LeaseService() as service, Jupyter(tmp_path, {
        "MADANG_SLICE": "", "MADANG_API": service.api, "JUPYTERHUB_API_TOKEN": TOKEN,
    }, **QUICK) as server:
        answer = server.http.get("madang/lease").json()
        assert (answer["slice"], answer["text"], answer["state"]) == (None, "CPU", None)
        assert server.http.delete("madang/lease").status_code == 404
        assert server.http.post("madang/lease/extend").status_code == 404
        assert service.asked == []


def test_labs_indicator_says_everything_in_both_languages() -> None:
    words = json.loads((STATIC / "words.json").read_text())
    assert words["en"].keys() == words["ko"].keys()
    places = {language: {k: sorted(re.findall(r"{\w+}", v)) for k, v in texts.items()}
              for language, texts in words.items()}
    assert places["en"] == places["ko"]
    same = {k for k, v in words["ko"].items() if v == words["en"][k]}
    assert not same
    scripts = "".join(x.read_text() for x in STATIC.glob("*.js"))
    said = set(re.findall(r"say\.(\w+)|say\['([\w.]+)'\]", scripts))
    reasons = {f"why.{x}" for x in Why}
    assert reasons == {x for x in words["en"] if x.startswith("why.")}
    missing = {a or b for a, b in said} - words["en"].keys()
    assert not missing


def test_labs_indicator_counts_down_with_the_servers_clock() -> None:
    """What it says, in Node: held, past the promise, asked back, ended."""
    script = f"""
    import {{line, mark, spoken, standing}} from '{(STATIC / "telling.js").as_uri()}';
    import {{readFileSync}} from 'node:fs';
    const say = JSON.parse(readFileSync({json.dumps(str(STATIC / "words.json"))})).en;
    const now = Date.parse('2026-01-01T09:00:00Z') / 1000;
    for (const [slice, waiting, state] of JSON.parse(process.argv[1])) {{
      const found = {{slice, waiting, state}}, stand = standing(found, now);
      console.log([line, spoken].map(f => f(found, stand, now, say, 'en')).join(' | '));
    }}
    console.log([900, 301, 300, 61, 60, 0].map(mark).join(' '));
    """
    asked_back = LEASE | {"notice": "idle"}
    cases = [
        (None, None, None), ("1g.5gb", None, None), ("1g.5gb", 0, LEASE),
        ("1g.5gb", 0, LEASE | {"promised": "2026-01-01T08:59:00+00:00"}),
        ("1g.5gb", 2, LEASE | {"promised": None}), ("1g.5gb", None, LEASE | {"promised": None}),
        ("1g.5gb", 1, asked_back | {"leave_by": "2026-01-01T09:12:33.5Z"}),
        ("1g.5gb", 1, asked_back | {"leave_by": "2026-01-01T08:59:00Z"}),
        ("1g.5gb", 0, LEASE | {"stage": "draining"}),
    ]
    node = shutil.which("node", path=search_path())
    assert node
    done = subprocess.run(
        [node, "--input-type=module", "-e", script, json.dumps(cases)], text=True, check=False,
        capture_output=True, env={"TZ": "UTC"},
    )
    assert done.stdout.splitlines() == [
        "CPU only | CPU only", "1g.5gb | 1g.5gb",
        "1g.5gb · yours until 10:00 | 1g.5gb · yours until 10:00",
        "1g.5gb · nobody waits | 1g.5gb · nobody waits",
        "1g.5gb · 2 waiting | 1g.5gb · 2 waiting", "1g.5gb | 1g.5gb",
        "1g.5gb · 12:34 left | 1g.5gb · less than 13 min left",
        "1g.5gb · 00:00 left | 1g.5gb · less than 0 min left",
        "1g.5gb · ended | 1g.5gb · ended", "0 0 5 5 1 1",
    ], done.stderr
