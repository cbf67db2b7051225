"""Pins, and what Docker says when it does not answer: unknown is not gone."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hub.edge.engine import Engine, client, device
from hub.edge.gpu import open_inventory
from hub.errors import Unavailable, Unknown
from tests.edge.docker_fixtures import (
    SLEEP,
    Saboteur,
    Spoil,
    Yard,
    answers,
    forward,
    sabotaged,
    settings_for,
)

pytestmark = pytest.mark.docker

# ---- pins -----------------------------------------------------------------------------------


@pytest.fixture
def cards(yard: Yard) -> Iterator[list[str]]:
    """Simulated cards where the stub hook of this machine's dockerd looks; their slices' UUIDs."""
    settings = yard.settings.model_copy(update={"gpus": "simulated"})
    there = settings.simulated_dir.exists()
    try:
        yield [x.uuid for x in open_inventory(settings).sample().slices]
    finally:
        for path in settings.simulated_dir.glob(f"*{settings.name}*"):
            path.unlink()
        if not there:
            settings.simulated_dir.rmdir()


def test_a_container_sees_just_its_slice(yard: Yard, cards: list[str]):
    assert yard.engine.hook(), "dockerd was started without the stub hook's folder on its PATH"
    assert yard.engine.pin() == "device-request"
    asked = device("device-request", cards[1])
    code = "import subprocess; subprocess.run(['nvidia-smi', '-L'])"
    said = yard.run(code, host_config=asked["host_config"])
    assert re.findall(r"MIG-[0-9a-f-]{36}", said) == [cards[1]]


def test_a_slice_that_is_not_there_is_refused_in_the_hooks_words(yard: Yard, cards: list[str]):
    stale = "MIG-00000000-0000-0000-0000-000000000000"
    with pytest.raises(Unavailable) as e:
        yard.start(SLEEP, host_config=device("device-request", stale)["host_config"])
    assert e.value.reason == "pin-refused"
    assert stale in e.value.message
    assert "OCI" not in e.value.message
    assert yard.ids() == []


def test_pins_as_docker_wants_them():
    uuid = "MIG-1"
    (asked,) = device("device-request", uuid)["host_config"]["device_requests"]
    assert (asked["driver"], asked["device_ids"]) == ("nvidia", [uuid])
    cdi = device("cdi", uuid)
    assert cdi["host_config"]["device_requests"] == [
        {"driver": "cdi", "device_ids": ["nvidia.com/gpu=MIG-1"]}
    ]
    assert cdi["environment"] == {"NVIDIA_VISIBLE_DEVICES": "void"}
    for pin in ("device-request", "cdi", "env"):
        none = device(pin, None)
        assert none == {"host_config": {}, "environment": {"NVIDIA_VISIBLE_DEVICES": "void"}}


def test_auto_asks_the_daemon(yard: Yard):
    real = json.loads(forward("GET", "/info")[1])

    def told(**more: object) -> Spoil:
        return lambda _, path: (200, {**real, **more}) if path.endswith("/info") else None

    gpu = {"Source": "cdi", "ID": "nvidia.com/gpu=0"}
    other = {"Source": "cdi", "ID": "vendor.com/nic=0"}
    for more, pin in (
        ({"CDISpecDirs": ["/etc/cdi"], "DiscoveredDevices": [other, gpu]}, "cdi"),
        ({"CDISpecDirs": ["/etc/cdi"], "DiscoveredDevices": [other]}, "env"),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, "device-request"),
        ({}, "env"),  # a daemon elsewhere: its PATH cannot be read
    ):
        with sabotaged(yard, told(**more)) as (seen, _):
            assert seen.pin() == pin
    fixed = Engine(yard.settings.model_copy(update={"pin": "cdi", "docker": "tcp://127.0.0.1:9"}))
    assert fixed.pin() == "cdi"


# ---- unknown is not gone ----------------------------------------------------------------------


def test_a_daemon_that_is_away(tmp_path: Path):
    away = Engine(settings_for(tmp_path, docker=f"unix://{tmp_path}/no.sock"))
    for look in (away.containers, away.images, lambda: away.logs("x")):
        with pytest.raises(Unknown, match=r"no\.sock"):
            look()
    for act in (away.version, away.pin, away.ensure_network, lambda: away.stop("x", 1),
                lambda: away.remove("x")):
        with pytest.raises(Unavailable, match="docker info"):
            act()


def test_a_daemon_that_says_500(yard: Yard):
    yard.start("pass")
    yard.wait()
    lease = yard.engine.containers()[0].lease
    looks: list[tuple[str, Callable[[Engine], object]]] = [
        ("/containers/json", Engine.containers),
        (f"/containers/{yard.ids()[0]}/json", Engine.containers),
        ("/logs", lambda x: x.logs(lease)),
    ]
    for part, look in looks:
        broken = answers(part, 500, "devicemapper: error")
        with sabotaged(yard, broken) as (bad, _), pytest.raises(Unknown, match="devicemapper"):
            look(bad)


def test_a_container_that_goes_between_two_looks_is_gone(yard: Yard):
    yard.start("pass")
    yard.wait()
    with sabotaged(yard, answers(f"{yard.ids()[0]}/json", 404)) as (racing, _):
        assert racing.containers() == ()


def test_a_daemon_that_keeps_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "_TIMEOUT", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unknown, match="timed out"):
            Engine(settings_for(tmp_path, docker=f"tcp://127.0.0.1:{port}")).containers()


def test_a_start_without_an_answer_is_not_a_failed_start(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "_TIMEOUT", 2)
    go = threading.Event()

    def slow(method: str, path: str) -> tuple[int, bytes] | None:
        if not path.endswith("/start"):
            return None
        done = forward(method, path)
        go.wait(20)
        return done

    with sabotaged(yard, slow) as (bad, _):
        with pytest.raises(Unknown):
            bad.start_run(yard.spec(SLEEP))
        go.set()
    assert [x.running for x in yard.engine.containers()] == [True]


def test_an_old_engine_is_refused_in_words(tmp_path: Path):
    old = Saboteur(lambda *_: (200, {"ApiVersion": "1.39", "Version": "18.09.1"}))
    try:
        seen = Engine(settings_for(tmp_path, docker=old.address))
        with pytest.raises(Unavailable, match=r"1\.39.*19\.03"):
            seen.version()
        with pytest.raises(Unknown, match=r"19\.03"):
            seen.containers()
    finally:
        old.close()


def test_the_facts(yard: Yard):
    facts = yard.engine.version()
    assert re.match(r"\d+\.\d+", facts.version)
    assert facts.cgroup_driver in ("cgroupfs", "systemd")
    assert "runc" in facts.runtimes
    assert facts.free_mib is not None
    assert facts.free_mib > 0
    assert facts.cpus >= 1
