"""Server-sent events: what comes, when, to whom, and what is left when they go."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from hub.core.lease import Kind
from hub.face import look, stream
from hub.face.board import LiveOut
from tests.face.running import Running, running, until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as made:
        yield made


class Listener:
    """Reads one stream in a thread and keeps its events."""

    def __init__(self, service: Running, path: str, who: str = "ana") -> None:
        self.events: list[tuple[str, Any]] = []
        self.comments = 0
        self.ended = threading.Event()
        self._http = service.client(f"t-{who}")
        self._answer = self._http.send(self._http.build_request("GET", path), stream=True)
        self.status = self._answer.status_code
        self.headers = self._answer.headers
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        name = ""
        try:
            for line in self._answer.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.append((name, json.loads(line.removeprefix("data: "))))
                elif line.startswith(":"):
                    self.comments += 1
        except (httpx.HTTPError, httpx.StreamError, ValueError):
            pass
        self.ended.set()

    def of(self, name: str) -> list[Any]:
        """The data of the events of this name."""
        return [data for n, data in self.events if n == name]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # a thread blocked in recv() holds the socket; shutting it down wakes it
        extension = self._answer.extensions.get("network_stream")
        if extension and not self.ended.is_set():
            extension.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._http.close()


def ask(service: Running, user: str) -> str:
    return service.broker.ask(
        user=user, kind=Kind.SERVER, name="", profile="1g.5gb", image="madang/notebook:latest"
    ).id


def gone(service: Running, id: str) -> bool:
    return id not in service.broker.state().leases


def test_state_comes_at_once_and_on_change(service: Running) -> None:
    with Listener(service, "api/events") as mine:
        assert mine.headers["content-type"].startswith("text/event-stream")
        assert mine.headers["x-accel-buffering"] == "no"
        until(lambda: mine.of("state"), "the state comes")
        LiveOut.model_validate(mine.of("state")[0])
        time.sleep(1.5)
        assert len(mine.of("state")) == 1, "nothing has changed"
        id = ask(service, "ana")
        until(lambda: [x["id"] for x in mine.of("state")[-1]["leases"]] == [id], "the change")


def test_the_stream_tells_no_names_of_others(service: Running) -> None:
    with (
        Listener(service, "api/events") as mine,
        Listener(service, "api/events", "operator") as all_,
    ):
        id = ask(service, "bo")
        run = service.submit("t-bo").json()["id"]
        until(lambda: all_.of("state") and all_.of("state")[-1]["runs"], "the operator sees it")
        until(lambda: mine.of("state") and sum(
            x["state"] == "held" for x in mine.of("state")[-1]["slices"]) == 2, "and the student")
        assert id in json.dumps(all_.events)
        for secret in (id, run, '"bo"'):
            assert secret not in json.dumps(mine.events)


def test_ones_own_runs_are_shown_however_many_others_have(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest of everybody, filtered, would be none of ana's."""
    monkeypatch.setattr(look, "_RUNS", 2)
    waits = service.submit(profile="3g.20gb").json()["id"]
    mine = [service.submit().json()["id"] for _ in range(3)]
    for id in mine:
        service.batch.cancel(id, "test")
    others = [service.submit("t-bo").json()["id"] for _ in range(4)]
    for id in others:
        service.batch.cancel(id, "test")
    until(lambda: all(service.batch.get(x).done for x in mine + others), "they have ended")
    with (
        Listener(service, "api/events", "operator") as all_,
        Listener(service, "api/events", "ana") as own,
    ):
        until(lambda: all_.of("state") and own.of("state"), "both have the state")
        # the one that still runs is the oldest, and shown all the same
        assert [x["id"] for x in own.of("state")[-1]["runs"]] == [mine[2], mine[1], waits]
        assert [x["id"] for x in all_.of("state")[-1]["runs"]] == [others[3], others[2], waits]
    service.batch.cancel(waits, "test")


def test_who_comes_later_sees_their_runs_too(service: Running) -> None:
    run = service.submit("t-bo").json()["id"]
    service.batch.cancel(run, "test")
    until(lambda: service.batch.get(run).done, "it has ended")
    with Listener(service, "api/events", "ana") as first:
        until(lambda: first.of("state"), "the first has the state")
        with Listener(service, "api/events", "bo") as second:
            until(lambda: second.of("state"), "the second too")
            # each of them: the slice may still be coming clean, which is told too
            assert all([r["id"] for r in x["runs"]] == [run] for x in second.of("state"))
        assert all(x["runs"] == [] for x in first.of("state"))
    until(lambda: not service.app.state.parts.streams._watching, "nobody watches")


def test_fifty_clients_are_one_reader(service: Running) -> None:
    reads = 0
    feed = service.app.state.parts.streams.state
    real = feed._read

    def counted() -> Any:
        nonlocal reads
        reads += 1
        return real()

    feed._read = counted
    people = ["ana", "bo", "teacher", "operator"]
    with ExitStack() as stack:
        all_ = [
            stack.enter_context(Listener(service, "api/events", people[i % 4])) for i in range(50)
        ]
        until(lambda: all(x.of("state") for x in all_), "all have the state", timeout=90)
        assert feed.watched == 50
        reads, begun = 0, time.monotonic()
        id = ask(service, "ana")
        until(
            lambda: all(
                any(s["state"] == "held" for s in x.of("state")[-1]["slices"]) for x in all_
            ), "all have the change", timeout=20,
        )
        time.sleep(1)
        assert reads <= 4 * (time.monotonic() - begun) + 2
    until(lambda: feed.watched == 0, "nobody is left", timeout=90)
    assert service.app.state.parts.streams._open.total() == 0
    time.sleep(1.2)
    reads = 0
    time.sleep(1.2)
    assert reads == 0, "nobody watches, nobody reads"
    service.broker.withdraw(id, "done")


def test_one_person_cannot_take_all_streams(service: Running) -> None:
    with ExitStack() as stack:
        for _ in range(stream.PER_CALLER):
            one = stack.enter_context(Listener(service, "api/events"))
            until(partial(one.of, "state"), "it is open")
        with service.client("t-ana") as http:
            answer = http.get("api/events")
            assert answer.status_code == 429
            assert answer.json()["error"]["reason"] == "too-many-streams"
        with Listener(service, "api/events", "bo") as other:
            assert other.status == 200


def test_a_stream_ends_with_the_right_to_it(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.3)
    with Listener(service, "api/events") as mine:
        until(lambda: mine.comments >= 2, "it is kept alive")
        assert not mine.ended.is_set()
        del service.hub.tokens["t-ana"]
        assert mine.ended.wait(60)


def test_a_stream_outlives_a_hub_that_is_away(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE", 0.3)
    with Listener(service, "api/events") as mine:
        until(lambda: mine.of("state"), "the state comes")
        service.hub.broken = True
        time.sleep(2)
        ask(service, "ana")
        until(lambda: mine.of("state")[-1]["leases"], "the change")


def test_a_database_that_is_away_does_not_end_the_stream(service: Running) -> None:
    real = service.broker.state
    with Listener(service, "api/events") as mine:
        until(lambda: mine.of("state"), "the state comes")

        def away() -> Any:
            raise OSError("no database")

        service.broker.state = away  # type: ignore[method-assign]
        time.sleep(1.2)
        service.broker.state = real  # type: ignore[method-assign]
        ask(service, "ana")
        until(lambda: mine.of("state")[-1]["leases"], "the change")


def test_a_run_from_its_first_to_its_last_word(service: Running) -> None:
    run = service.submit().json()["id"]
    with Listener(service, f"api/runs/{run}/events") as mine, Listener(
        service, f"api/runs/{run}/events", "host"
    ) as other:
        until(lambda: [x for x in mine.of("run") if x["stage"] == "running"], "it runs")
        word = "마당".encode()
        service.engine.say(run, b"madang: cell 1/1\nloss <b>1</b>\n" + word[:4])
        until(lambda: "loss <b>1</b>" in "".join(mine.of("log")), "the first words")
        service.engine.say(run, word[4:] + b"\n")
        service.engine.exit(run, 0)
        assert mine.ended.wait(60)
        assert other.ended.wait(60)
    for listener in (mine, other):
        assert "".join(listener.of("log")) == "madang: cell 1/1\nloss <b>1</b>\n마당\n"
        assert listener.of("end") == [{"stage": "succeeded"}]
        assert listener.of("run")[-1]["stage"] == "succeeded"
        assert listener.events[-1][0] == "end"
    until(lambda: not service.app.state.parts.streams._runs, "the feed is forgotten")


def test_a_run_that_has_ended_is_told_whole(service: Running) -> None:
    run = service.submit().json()["id"]
    until(lambda: service.engine.found.get(run), "it runs")
    service.engine.say(run, b"x" * (3 << 20) + b"last word")
    service.engine.exit(run, 1)
    until(lambda: service.batch.get(run).done, "it has ended")
    with Listener(service, f"api/runs/{run}/events") as mine:
        assert mine.ended.wait(60)
    log = "".join(mine.of("log"))
    assert log.endswith("last word")
    assert len(log) <= stream._LOG_START
    assert mine.of("run")[-1]["stage"] == "failed"


def test_a_reader_that_reads_nothing_costs_nothing(service: Running) -> None:
    """A client that never reads: its place holds one value, and the others go on."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        lazy.sendall(
            b"GET /services/madang/api/events HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer t-operator\r\n\r\n"
        )
        with Listener(service, "api/events") as mine:
            for _ in range(5):
                id = ask(service, "ana")
                until(lambda: mine.of("state") and mine.of("state")[-1]["leases"], "held")
                service.broker.withdraw(id, "done")
                until(partial(gone, service, id), "free")
                until(lambda: not mine.of("state")[-1]["leases"], "free, and told")
        assert service.app.state.parts.streams.state.watched >= 1
    until(lambda: service.app.state.parts.streams.state.watched == 0, "it is gone", timeout=90)
