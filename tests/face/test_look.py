"""The board's look: what is free is told at once, when a slice will come a little later."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.core.lease import Kind
from hub.face import look as look_of_the_board
from hub.face.look import Look
from tests.face.running import Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


@pytest.fixture
def look(service: Running, monkeypatch: pytest.MonkeyPatch) -> Look:
    monkeypatch.setattr(look_of_the_board, "_AFTER", 0)
    return Look(service.broker, service.batch)


def _ask(service: Running, user: str) -> str:
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile="3g.20gb", image="madang/notebook:latest"
    ).id


def test_a_look_without_news_is_the_last_one(service: Running, look: Look) -> None:
    first = look({"ana"})
    assert look({"ana"}) == first
    assert look({"ana"}).board is not None
    _ask(service, "ana")
    assert look({"ana"}) != first


def test_a_slow_forecast_holds_nothing_up(
    service: Running, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, begun = threading.Event(), 0
    real = service.broker.outlook.everybody

    def slow(state: Any) -> Any:
        nonlocal begun
        begun += 1
        assert go.wait(60)
        return real(state)

    monkeypatch.setattr(service.broker.outlook, "everybody", slow)
    _ask(service, "ana")
    waits = _ask(service, "bo")
    seen = look({"bo"})
    place = seen.scene.places[waits]
    assert (place.position, place.earliest) == (1, None)
    later = _ask(service, "teacher")
    assert set(look({"bo"}).scene.places) == {waits, later}
    until(lambda: begun, "it has begun")
    assert begun == 1, "one at a time"
    go.set()
    until(lambda: look({"bo"}).scene.places[waits].earliest, "the range is there")
    until(lambda: look({"bo"}).scene.places[later].earliest, "for who came later too")
    last = look({"bo"})
    assert look({"bo"}) == last


def test_a_forecast_that_fails_leaves_the_places(
    service: Running, look: Look, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: Any) -> Any:
        raise ValueError("no crystal ball")

    monkeypatch.setattr(service.broker.outlook, "everybody", fails)
    _ask(service, "ana")
    waits = _ask(service, "bo")
    until(lambda: look({"bo"}) and "crystal" in caplog.text, "it is logged")
    assert look({"bo"}).scene.places[waits].position == 1
