"""What counts as "not running", and what is kept of a container: Docker's answers one by one."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError, NotFound

from hub.config import Settings
from hub.errors import Unknown
from hub.face import lastwords
from hub.face.container import name_of
from hub.face.spawner import SliceSpawner, bound

RUNS = {"Id": "abc", "State": {"Running": True}, "Config": {"Labels": {}}}
ENDED = {"Id": "abc", "State": {"Running": False, "ExitCode": 137, "OOMKilled": True},
         "Config": {"Labels": {}}}


class _Broker:
    """Notes who left the line."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.left: list[tuple[str, str]] = []

    def withdraw(self, id: str, cause: str) -> None:
        self.left.append((id, cause))


def _answer(status: int) -> APIError:
    response = requests.Response()
    response.status_code = status
    return (NotFound if status == 404 else APIError)("from Docker", response=response)


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[SliceSpawner]:
    settings = Settings(data=tmp_path)
    made = bound(settings, _Broker(settings))(  # type: ignore[arg-type]
        user=SimpleNamespace(name="ana", url="/user/ana/"))
    made.load_state({"object_id": "abc", "lease_id": "lease1"})
    yield made
    made.threads.docker.shutdown()
    made.threads.store.shutdown()


@pytest.fixture
def docker_says(
    spawner: SliceSpawner, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Docker's answers by method; returns the list that calls are noted in."""
    def says(**answers: Any) -> list[str]:
        called: list[str] = []

        def client() -> Any:
            return SimpleNamespace(**{k: answering(k, v) for k, v in answers.items()})

        def answering(method: str, value: Any) -> Callable[..., Any]:
            def call(*_: object, **__: object) -> Any:
                called.append(method)
                if isinstance(value, Exception):
                    raise value
                return value

            return call

        monkeypatch.setattr(spawner.threads, "client", client)
        return called

    return says


@pytest.mark.parametrize("answer", [
    _answer(500), _answer(503), _answer(409), requests.ConnectionError("away"),
    requests.ReadTimeout("slow"),
])
async def test_what_docker_does_not_say_is_unknown(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]], answer: Exception
) -> None:
    docker_says(inspect_container=answer)
    assert await spawner.poll() is None
    assert spawner.object_id == "abc"
    with pytest.raises(Unknown):
        await spawner.get_object()


@pytest.mark.parametrize(("answer", "status"), [
    (RUNS, None), (ENDED, "exit code 137"), (_answer(404), 0),
])
async def test_only_absence_and_a_seen_exit_are_not_running(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]], answer: Any, status: object
) -> None:
    docker_says(inspect_container=answer)
    assert await spawner.poll() == status


async def test_a_server_that_ended_by_itself_is_cleared_away(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]]
) -> None:
    called = docker_says(
        inspect_container=ENDED, logs=b"last line\xff", remove_container=None)
    await spawner.run_post_stop_hook()
    assert called.index("logs") < called.index("remove_container")
    assert spawner.broker.left == [("lease1", "its server exited")]
    kept = lastwords.read(spawner.settings.data, "madang-ana")
    assert kept is not None
    assert (kept.exit_code, kept.oom, kept.log) == (137, True, "last line�")
    assert "memory" in lastwords.explain("en", kept)


async def test_what_the_tick_has_kept_is_shown_where_it_was_faster(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "logs" / "leases").mkdir(parents=True)
    (tmp_path / "logs" / "leases" / "lease1.log").write_text(
        '{"exit_code": 137, "oom": true}\nit said'
    )
    docker_says(inspect_container=_answer(404), remove_container=_answer(404))
    await spawner.run_post_stop_hook()
    kept = lastwords.read(tmp_path, "madang-ana")
    assert kept is not None
    assert (kept.log, kept.exit_code, kept.oom) == ("it said", 137, True)


async def test_a_stop_that_fails_still_ends_the_lease(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]]
) -> None:
    docker_says(inspect_container=_answer(500), remove_container=_answer(500))
    with pytest.raises(Unknown):
        await spawner.stop()
    assert spawner.broker.left == [("lease1", "stopped")]


async def test_a_stop_that_docker_does_not_manage_becomes_a_kill(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]]
) -> None:
    called = docker_says(
        inspect_container=RUNS, stop=requests.ReadTimeout("slow"), logs=b"",
        remove_container=None)
    await spawner.stop()
    assert called[-1] == "remove_container"
    assert not spawner.object_id


async def test_a_leftover_without_a_slice_is_removed(
    spawner: SliceSpawner, docker_says: Callable[..., list[str]]
) -> None:
    spawner.load_state({})
    answers: dict[str, Any] = {"logs": b"", "remove_container": None, "stop": None}
    leased = {**RUNS, "Config": {"Labels": {"madang.lease": "x"}}}
    assert "remove_container" not in docker_says(inspect_container=leased, **answers)
    called = docker_says(inspect_container=leased, **answers)
    await spawner.run_post_stop_hook()
    assert "remove_container" not in called
    spawner.object_id = ""
    called = docker_says(inspect_container=RUNS, **answers)
    await spawner.run_post_stop_hook()
    assert "remove_container" in called


async def test_a_hub_that_was_started_again_knows_the_lease(spawner: SliceSpawner) -> None:
    spawner.language = "ko"
    state = spawner.get_state()
    spawner.clear_state()
    assert (spawner.object_id, spawner.line.lease_id) == ("", "")
    assert "lease_id" not in spawner.get_state()
    spawner.load_state(state)
    assert (spawner.object_id, spawner.line.lease_id, spawner.language) == ("abc", "lease1", "ko")


async def test_each_tab_has_its_own_progress_and_is_told_changes_only(
    spawner: SliceSpawner
) -> None:
    seen: list[list[str]] = [[], []]

    async def follow(tab: int) -> None:
        async for event in spawner.progress():
            seen[tab].append(event["message"])

    tabs = [asyncio.create_task(follow(x)) for x in range(2)]
    for message in ("one", "one", "two"):
        spawner.say_stage(50, message)
        await asyncio.sleep(0.4)
    for tab in tabs:
        tab.cancel()
    await asyncio.wait(tabs)
    assert seen == [["one", "two"]] * 2


def test_nothing_legible_is_nothing(tmp_path: Path) -> None:
    assert lastwords.read(tmp_path, "nobody") is None
    (tmp_path / "logs" / "servers").mkdir(parents=True)
    for text in ("", "no json\nat all", "[]\n", '{"at": 3}\n'):
        (tmp_path / "logs" / "servers" / "x.log").write_text(text)
        assert lastwords.read(tmp_path, "x") is None


def test_names_of_people_are_no_paths() -> None:
    assert name_of("m", "../../etc", "") == "m--2e-2e-2f-2e-2e-2fetc"
    assert name_of("m", "{0.__class__}", "") .isascii()
    assert name_of("m", "한글", "b") != name_of("m", "한글", "")


def test_a_log_is_escaped() -> None:
    kept = lastwords.LastWords(datetime.now(UTC), "x", 1, log="<script>alert(1)</script>")
    html = lastwords.as_html("en", "<b>", kept)
    assert "<script>" not in html
    assert "<b>" not in html
