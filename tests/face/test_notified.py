"""The whole way of a notification and of a secret: from REST to the place that is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.core.notification import News, of_run
from hub.core.runs import Run, RunStage
from hub.core.secret import Secret
from hub.face.notified import worded
from tests.edge.answering import Web, web
from tests.face.running import Running, error, running, settings_for, until

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
NEWS = of_run(Run(
    id="ab12", user="ana", notebook="night.ipynb", profile="1g.5gb", image="i", parameters={},
    stage=RunStage.FAILED, asked_at=NOW, folder="runs/x", started_at=NOW,
    ended_at=NOW + timedelta(minutes=3), notify=("ntfy://t",),
    error={"cell": 3, "ename": "ValueError", "evalue": "no", "lines": []},
))


def said(folder: Path, news: News, **more: str) -> tuple[str, str, str]:
    return worded(settings_for(folder, **more), "/services/madang/")(news)


def test_what_is_said_of_a_run(tmp_path: Path) -> None:
    assert said(tmp_path, NEWS, public_url="https://m.example/") == (
        "night.ipynb has ended: failed",
        "Run ab12 of night.ipynb has ended: failed.\nCell 3: ValueError: no\nIt took 3 min 0 s.",
        "https://m.example/services/madang/runs/ab12",
    )


def test_what_is_said_in_korean(tmp_path: Path) -> None:
    assert said(tmp_path, NEWS, language="ko") == (
        "night.ipynb 끝남: 실패",
        "night.ipynb의 실행 ab12이(가) 끝났습니다: 실패.\n셀 3: ValueError: no\n"
        "걸린 시간: 3분 0초.",
        "",
    )


@pytest.mark.parametrize(("news", "line"), [
    (replace(NEWS, cell=None), "ValueError: no"),
    (replace(NEWS, error="", message="killed from outside"), "외부에서"),
    (replace(NEWS, error="", message="out of {memory} in %s"), "out of {memory} in %s"),
])
def test_why_it_ended(tmp_path: Path, news: News, line: str) -> None:
    assert line in said(tmp_path, news, language="ko")[1]


def test_what_is_said_of_a_sweep(tmp_path: Path) -> None:
    counts = {RunStage.FAILED: 2, RunStage.SUCCEEDED: 38}
    news = replace(NEWS, id="s1", path="sweeps/s1", counts=counts, took=None)
    assert said(tmp_path, news) == (
        "The sweep of night.ipynb has ended: succeeded 38, failed 2",
        "Sweep s1 of night.ipynb has ended: succeeded 38, failed 2.", "",
    )
    assert "스윕" in said(tmp_path, news, language="ko")[0]


# ---- by REST ------------------------------------------------------------------------------------


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, notify_hosts=("127.0.0.1:*",)) as made:
        yield made
    made.batch.mover.secrets._vault.leave()


def test_who_submits_by_rest_is_told_when_the_run_has_ended(service: Running, there: Web) -> None:
    id = service.submit(notify=[there.url]).json()["id"]
    until(lambda: id in service.engine.found, "it runs")
    service.engine.exit(id, 0)
    until(lambda: there.asked, "it was told")
    assert there.asked[0].json["run"] == {
        **there.asked[0].json["run"], "id": id, "stage": "succeeded", "user": "ana",
    }


def test_a_bad_place_and_a_secret_of_others_are_refused_in_the_persons_language(
    service: Running
) -> None:
    service.batch.mover.secrets.put(Secret("BOS", users=("bo",)), b"of bo")
    error(service.submit(notify=["http://localhost/"]), 400, "notify")
    first = error(service.submit(secrets=["BOS"]), 400, "secret")
    second = error(service.submit(secrets=["NONE"]), 400, "secret")
    assert first.replace("BOS", "") == second.replace("NONE", "")
    with service.client("t-ana", **{"Accept-Language": "ko"}) as http:
        body = {"notebook_name": "n.ipynb", "notebook": {}, "profile": "1g.5gb"}
        body |= {"notebook": _book(), "secrets": ["BOS"]}
        assert "운영자" in error(http.post("api/runs", json=body), 400, "secret")
    assert service.batch.list() == []


def _book() -> dict[str, object]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}


def test_a_schedule_keeps_both_and_its_runs_have_them(service: Running, there: Web) -> None:
    service.batch.mover.secrets.put(Secret("OURS", ("ml",)), b"of all")
    with service.client("t-ana") as http:
        body = {"name": "n", "cron": "0 2 * * *", "notebook_name": "n.ipynb", "notebook": _book(),
                "profile": "1g.5gb", "secrets": ["OURS"], "notify": [there.url]}
        error(http.post("api/schedules", json=body | {"notify": ["nowhere"]}), 400, "notify")
        error(http.post("api/schedules", json=body | {"secrets": ["NONE"]}), 400, "secret")
        made = http.post("api/schedules", json=body)
        assert made.status_code == 201, made.text
        id = made.json()["id"]
        error(http.patch(f"api/schedules/{id}", json={"notify": ["http://10.0.0.1/"]}), 400,
              "notify")
        run = http.post(f"api/schedules/{id}/run").json()
    assert (run["secrets"], run["notify"]) == (["OURS"], [there.url])
