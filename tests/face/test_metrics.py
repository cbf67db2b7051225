"""What Prometheus gets: every series documented, gauges from the state, nothing counted twice."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub import gauges, metrics
from hub.core.courses import Fate
from hub.core.lease import Kind, Stage, State, Why
from hub.core.runs import DONE, RunStage
from hub.face.caller import Caller
from tests.face.running import Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that change nothing."""
    with running(tmp_path_factory.mktemp("standing")) as made:
        yield made


def scrape(service: Running) -> dict[tuple[str, tuple[str, ...]], float]:
    """(sample's name, its label values in the order of the labels' names) → value."""
    with service.client("t-host") as http:
        answer = http.get("metrics")
    assert answer.status_code == 200, answer.text
    return {
        (s.name, tuple(v for _, v in sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(answer.text) for s in family.samples
    }


def ask(service: Running, user: str, profile: str = "1g.5gb") -> str:
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile=profile, image="madang/notebook:latest"
    ).id


def test_every_series_is_documented_and_every_documented_one_is_there(service: Running) -> None:
    ask(service, "ana")
    service.submit()
    with service.client("t-host") as http:
        text = http.get("metrics").text
    shown = {
        f"{f.name}_total" if f.type == "counter" else f.name: f
        for f in text_string_to_metric_families(text)
        if f.name.startswith("madang_") and not f.name.endswith("_created")
    }
    assert set(shown) == {s.name for s in metrics.ALL}
    for series in metrics.ALL:
        assert shown[series.name].documentation == series.help
        assert shown[series.name].type == series.type
        assert re.fullmatch(r"[A-Z].+\.", series.help)


def test_gauges_follow_the_state(service: Running) -> None:
    before = scrape(service)
    assert before["madang_slices", ("1g.5gb", "free")] == 2
    assert before["madang_leases", ("waiting",)] == 0
    ids = [ask(service, x) for x in ("ana", "bo", "teacher")]
    run = service.submit(profile="3g.20gb").json()["id"]
    after = scrape(service)
    assert after["madang_slices", ("1g.5gb", "held")] == 2
    assert after["madang_slices", ("1g.5gb", "free")] == 0
    assert after["madang_line_length", ("1g.5gb",)] == 1
    assert after["madang_line_length", ("3g.20gb",)] == 0
    assert 0 < after["madang_line_oldest_seconds", ("1g.5gb",)] < 60
    assert (after["madang_leases", ("granted",)], after["madang_leases", ("waiting",)]) >= (2, 1)
    assert sum(v for (n, _), v in after.items() if n == "madang_runs") == 1
    assert after["madang_database_up", ()] == 1
    for id in ids:
        service.broker.withdraw(id, "done")
    service.batch.cancel(run, "test")
    until(lambda: scrape(service).get(("madang_slices", ("1g.5gb", "free"))) == 2, "all is free")
    assert scrape(service)["madang_leases", ("waiting",)] == 0


def test_open_runs_are_counted_behind_any_number_of_newer_ones(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest thousand of all runs may all have ended while the oldest goes on."""
    run = service.submit().json()["id"]
    until(lambda: service.batch.get(run).stage == "running", "it runs")
    monkeypatch.setattr(service.batch, "list", lambda **_: [])
    assert scrape(service)["madang_runs", ("running",)] == 1
    monkeypatch.undo()
    service.batch.cancel(run, "test")


def test_grants_and_waits_are_counted_once(service: Running) -> None:
    before = scrape(service)
    first, second = ask(service, "ana"), ask(service, "bo")
    last = ask(service, "teacher")
    assert ask(service, "ana") == first
    service.broker.withdraw(second, "done")
    until(lambda: service.broker.look(last).lease.slice, "the next has it")
    after = scrape(service)

    def grown(name: str, *labels: str) -> float:
        return after[name, labels] - before[name, labels]

    # ana and bo are in one group, the teacher's is the same
    assert grown("madang_grants_total", "ml", "server", "no") == 3
    assert grown("madang_wait_seconds_count", "ml", "server") == 3
    assert grown("madang_held_seconds_count", "server") == 1
    assert after["madang_ticks_total", ()] > before["madang_ticks_total", ()]
    assert after["madang_tick_seconds_count", ()] > before["madang_tick_seconds_count", ()]


def test_label_values_are_there_before_their_first_event() -> None:
    families = {f.name: f for m in metrics._MADE for f in m.collect()}
    assert {s.labels["reason"] for s in families["madang_refusals"].samples} >= {"disk-full"}
    assert {str(x) for x in DONE} == set(metrics.RUN_ENDS)
    assert {str(x) for x in RunStage} == set(metrics.RUN_ENDS) | set(gauges.RUN_OPEN)
    assert {str(x) for x in Stage} - {"released", "withdrawn"} == set(gauges.LEASE_STAGES)
    assert {str(x) for x in Kind} == set(metrics.KINDS)
    assert {str(x) for x in Why} == set(metrics.WHYS)
    assert {str(x) for x in Fate} == set(metrics.FATES)


def test_no_series_tells_of_a_person() -> None:
    assert not {x for s in metrics.ALL for x in s.labels} & {"user", "name", "id", "lease"}


def test_every_reason_in_the_code_is_made_in_advance() -> None:
    root = Path(metrics.__file__).parent
    # settings and ports are refused before there is anything that counts; a replay is no service
    early = {"config", "port", "backup", "replay", "trace"}
    used = {
        x for path in root.rglob("*.py")
        for x in re.findall(r'\breason(?:: str)? ?= ?"([a-z-]+)"', path.read_text())
    }
    assert used - early <= set(metrics.REASONS), sorted(used - early - set(metrics.REASONS))


def test_a_database_that_is_away_shows_no_stale_number(service: Running) -> None:
    def away() -> State:
        raise OSError("no database")

    real, service.broker.state = service.broker.state, away  # type: ignore[method-assign]
    shown = scrape(service)
    service.broker.state = real  # type: ignore[method-assign]
    assert shown["madang_database_up", ()] == 0
    assert not [n for n, _ in shown if n in ("madang_slices", "madang_leases", "madang_runs")]


@pytest.mark.parametrize(("token", "status"), [
    ("t-host", 200), ("t-operator", 200), ("t-prometheus", 200), ("t-ana", 403), ("", 401),
    ("t-teacher", 403), ("t-service", 403),
])
def test_who_may_scrape(standing: Running, token: str, status: int) -> None:
    with standing.client(token) as http:
        assert http.get("metrics").status_code == status


@pytest.mark.parametrize(("token", "status"), [
    ("t-host", 200), ("t-operator", 200), ("t-prometheus", 403), ("t-ana", 403), ("", 401),
    ("t-teacher", 403), ("t-operator-server", 403),
])
def test_operators_can_download_the_dashboard(standing: Running, token: str, status: int) -> None:
    with standing.client(token) as http:
        answer = http.get("grafana.json")
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["title"] == "Madang"
        assert "madang.json" in answer.headers["Content-Disposition"]


def test_health_is_open_and_truthful(service: Running) -> None:
    with service.client() as http:
        until(lambda: http.get("health").status_code == 200, "it is well")
        good = http.get("health").json()
        assert (good["status"], good["database"]) == ("ok", "ok")
        assert 0 <= good["last_tick_s"] < 5

        def away() -> State:
            raise OSError("secret path")

        real, service.broker.state = service.broker.state, away  # type: ignore[method-assign]
        bad = http.get("health")
        service.broker.state = real  # type: ignore[method-assign]
        assert (bad.status_code, bad.json()["database"]) == (503, "failing")
        assert "secret" not in bad.text

        service.app.state.ticker._last -= 100
        service.app.state.ticker.stop()
        service.app.state.ticker._last -= 100
        assert http.get("health").status_code == 503


def test_a_caller_is_who_the_hub_says() -> None:
    assert Caller("ana").sees("ana")
    assert not Caller("ana", kind="service").sees("ana")
    assert Caller("x", is_operator=True).sees("ana")
