"""The stub container hook: alone on made-up bundles, then on the real Engine."""

import json
import os
import re
import resource
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, DockerException
from docker.types import DeviceRequest

from hub.config import Settings
from hub.core.mig import SliceKey
from hub.edge.gpu import Simulated

HOOK = Path(__file__).parents[2] / "hub/edge/simulated/nvidia-container-runtime-hook"
INSTALLED = Path("/usr/local/lib/madang/bin") / HOOK.name
CARDS = ("A100-40:3g.20gb:4,2g.10gb:0", "A100-40:full")


class Bench:
    """A folder with simulated cards and made-up bundles."""

    def __init__(self, folder: Path) -> None:
        self.cards_folder, self.log = folder / "cards", folder / "hook.log"
        self.cards = Simulated(self.cards_folder / "madang.json", "here", CARDS)
        self.bundle, self.root = folder / "bundle", folder / "bundle" / "rootfs"
        (self.root / "usr" / "bin").mkdir(parents=True)

    def run(self, devices: str | None, *, stdin: str | None = None, verb: str = "prestart") -> Any:
        env = ["PATH=/bin", "NVIDIA_VISIBLE_DEVICES=all"] if devices is not None else ["PATH=/bin"]
        if devices is not None:  # dockerd appends its own after the image's: the last one wins
            env.append(f"NVIDIA_VISIBLE_DEVICES={devices}")
        config = {"root": {"path": "rootfs"}, "process": {"env": env}}
        (self.bundle / "config.json").write_text(json.dumps(config))
        state = json.dumps({"ociVersion": "1.0.2", "id": "c" * 64, "pid": 1, "status": "creating",
                            "bundle": str(self.bundle)})
        return subprocess.run(
            [str(HOOK), verb], input=state if stdin is None else stdin, text=True,
            capture_output=True, check=False,
            env={"MADANG_SIMULATED_DIR": str(self.cards_folder), "MADANG_HOOK_LOG": str(self.log)},
        )

    def smi(self, *args: str) -> str:
        path = self.root / "usr" / "bin" / "nvidia-smi"
        return subprocess.run([path, *args], text=True, capture_output=True, check=True).stdout

    def refused(self, run: Any, text: str) -> None:
        assert run.returncode == 1
        assert run.stdout == ""
        assert re.search(text, run.stderr), run.stderr
        assert run.stderr.count("\n") == 1
        assert "Traceback" not in run.stderr
        assert not (self.root / "usr" / "bin" / "nvidia-smi").exists()
        assert list((self.root / "usr" / "bin").iterdir()) == []
        if self.log.exists():
            assert "madang stub hook" in self.log.read_text().splitlines()[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_slice_gets_an_nvidia_smi_that_lists_just_it(bench: Bench) -> None:
    two, three, _ = bench.cards.sample().slices
    run = bench.run(three.uuid)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert bench.smi("-L") == (
        f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {three.key.gpu})\n"
        f"  MIG 3g.20gb     Device  0: (UUID: {three.uuid})\n"
    )
    table = bench.smi()
    assert "SIMULATED" in table
    assert "19968MiB" in table
    assert "N/A" in table
    assert two.uuid not in table
    with pytest.raises(subprocess.CalledProcessError) as e:
        bench.smi("mig", "-lgip")
    assert e.value.returncode == 2
    assert f"{'c' * 12} {three.uuid} pinned" in bench.log.read_text()


def test_two_slices_and_a_whole_card_are_listed_in_the_order_asked(bench: Bench) -> None:
    two, three, whole = bench.cards.sample().slices
    assert bench.run(f"{whole.uuid},{three.uuid},{two.uuid},{three.uuid}").returncode == 0
    assert [x.split("(")[0].split() for x in bench.smi("-L").splitlines()] == [
        ["GPU", "0:", "NVIDIA", "A100-SXM4-40GB"], ["GPU", "1:", "NVIDIA", "A100-SXM4-40GB"],
        ["MIG", "3g.20gb", "Device", "0:"], ["MIG", "2g.10gb", "Device", "1:"],
    ]
    assert bench.run("all").returncode == 0
    assert bench.smi("-L").count("UUID") == 4


@pytest.mark.parametrize("devices", [None, "", "void", "none"])
def test_who_asks_for_nothing_gets_nothing(bench: Bench, devices: str | None) -> None:
    shutil.rmtree(bench.cards_folder)
    assert bench.run(devices).returncode == 0
    assert list((bench.root / "usr" / "bin").iterdir()) == []


def test_other_verbs_of_the_real_hook_do_nothing(bench: Bench) -> None:
    assert bench.run("MIG-nowhere", verb="poststop").returncode == 0


def test_an_id_that_is_stale_is_refused(bench: Bench) -> None:
    old = bench.cards.sample().slices[0]
    bench.cards.destroy(old.key)
    bench.cards.create(old.key.gpu, old.key.profile, old.key.start)
    bench.refused(bench.run(old.uuid), f"{old.uuid} is unknown or stale: none of the 3 slices")


def test_ids_that_cannot_be_are_refused_with_the_reason(bench: Bench) -> None:
    card, three = bench.cards.sample().gpus[0].uuid, bench.cards.sample().slices[1]
    bench.refused(bench.run("MIG-00000000-0000-5000-8000-000000000000"), "unknown or stale")
    bench.refused(bench.run(f"MIG-{card}/1/0"), "unknown or stale")
    bench.refused(bench.run(card), "whole card that is cut into slices")
    bench.refused(bench.run("0:1"), "'0:1' is not a UUID: indexes shift")
    bench.refused(bench.run(f"{three.uuid},MIG-x"), "MIG-x is unknown")


def test_injected_faults_refuse_the_start(bench: Bench) -> None:
    three = bench.cards.sample().slices[1]
    bench.cards.inject(lost=[three.key.gpu])
    bench.refused(bench.run(three.uuid), "is lost")
    bench.cards.inject(lost=[], hook="the hook is broken")
    bench.refused(bench.run(three.uuid), "the hook is broken")
    bench.cards.inject(hook="")
    assert bench.run(three.uuid).returncode == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"gpus": [{}]}', '{"gpus": 3}'])
def test_damaged_cards_say_what_to_do_and_stop_nobody_else(bench: Bench, text: str) -> None:
    (bench.cards_folder / "other.json").write_text(text)
    bench.refused(bench.run("MIG-x"), r"cannot read .*other\.json .*delete it and restart")
    assert bench.run(bench.cards.sample().slices[0].uuid).returncode == 0


def test_missing_cards_say_what_to_do(bench: Bench) -> None:
    shutil.rmtree(bench.cards_folder)
    bench.refused(bench.run("MIG-x"), "no simulated cards in .*make run")


@pytest.mark.parametrize("stdin", ["", "no json", "[]", "{}", '{"bundle": "/nowhere"}'])
def test_nothing_makes_it_show_a_traceback(bench: Bench, stdin: str) -> None:
    bench.refused(bench.run("MIG-x", stdin=stdin), "unexpected .*: .*`madang doctor`")


def test_a_symlink_in_an_image_leads_nowhere_on_the_host(bench: Bench, tmp_path: Path) -> None:
    three = bench.cards.sample().slices[1]
    host = tmp_path / "host"
    host.mkdir()
    (bench.root / "usr" / "bin").rmdir()
    (bench.root / "usr" / "bin").symlink_to(host)
    run = bench.run(three.uuid)
    assert run.returncode == 1
    assert "/usr/bin is not a plain folder" in run.stderr
    assert list(host.iterdir()) == []
    (bench.root / "usr" / "bin").unlink()
    (bench.root / "usr" / "bin").mkdir()
    target = host / "file"
    target.write_text("the host's")
    (bench.root / "usr" / "bin" / "nvidia-smi").symlink_to(target)
    assert bench.run(three.uuid).returncode == 0
    assert target.read_text() == "the host's", "the link was replaced, not followed"


def test_the_log_is_bounded_and_a_log_that_cannot_be_written_stops_nothing(bench: Bench) -> None:
    three = bench.cards.sample().slices[1]
    bench.log.write_text("x" * (2 << 20))
    assert bench.run(three.uuid).returncode == 0
    assert bench.log.stat().st_size < 1000
    bench.log.unlink()
    bench.log.mkdir()
    assert bench.run(three.uuid).returncode == 0


def test_it_is_fast(bench: Bench) -> None:
    three = bench.cards.sample().slices[1]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(9):
        assert bench.run(three.uuid).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time: beside other tests the clock on the wall says nothing
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent / 9 < 0.1, spent


# ---- on the real Engine -----------------------------------------------------------------------


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[docker.DockerClient]:
    """The Engine of this machine; what a test started is removed, and shown when it failed."""
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as e:
        pytest.fail(f"no Docker Engine answers: {e}")
    mark = f"hook-{uuid.uuid4().hex[:8]}"
    client.mark = mark
    yield client
    for left in client.containers.list(all=True, filters={"label": f"madang.test={mark}"}):
        print(left.name, left.status, left.logs(tail=20).decode(errors="replace"))
        left.remove(force=True)
    client.close()


@pytest.fixture
def cards() -> Iterator[Simulated]:
    """Simulated cards where the dockerd of this machine looks, under a name of their own."""
    remedy = f"install -m 755 {HOOK} {INSTALLED.parent} (and start dockerd with it on its PATH)"
    assert INSTALLED.exists(), remedy
    assert INSTALLED.read_text() == HOOK.read_text(), remedy
    path = Settings().simulated_dir / f"hook-test-{os.getpid()}.json"
    yield Simulated(path, "here", CARDS)
    for left in (path, path.with_suffix(".lock")):
        left.unlink(missing_ok=True)


def start(engine: docker.DockerClient, *ids: str, **more: Any) -> str:
    """The output of `nvidia-smi -L` in a container with a GPU request for these ids."""
    image = os.environ.get("HOOK_TEST_IMAGE", Settings().default_image)
    request = DeviceRequest(driver="nvidia", device_ids=list(ids), capabilities=[["gpu"]])
    container = engine.containers.create(
        image, entrypoint=["/bin/sh", "-c"], command=["nvidia-smi -L"], network_mode="none",
        labels={"madang.test": engine.mark}, device_requests=[request] if ids else [], **more,
    )
    container.start()
    container.wait(timeout=30)
    return container.logs().decode()


@pytest.mark.docker
def test_a_device_request_pins_a_container_to_its_slice(
    engine: docker.DockerClient, cards: Simulated
) -> None:
    two, three, whole = cards.sample().slices
    hardened = {"user": "1000:1000", "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]}
    assert start(engine, three.uuid, **hardened).splitlines() == [
        f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {three.key.gpu})",
        f"  MIG 3g.20gb     Device  0: (UUID: {three.uuid})",
    ]
    assert two.uuid in start(engine, two.uuid, read_only=True)
    assert start(engine, whole.uuid) == f"GPU 0: NVIDIA A100-SXM4-40GB (UUID: {whole.uuid})\n"


@pytest.mark.docker
def test_a_container_without_a_request_has_no_nvidia_smi(
    engine: docker.DockerClient, cards: Simulated
) -> None:
    env = ["NVIDIA_VISIBLE_DEVICES=" + cards.sample().slices[0].uuid]
    assert "not found" in start(engine, environment=env), "runc alone calls no hook for it"


@pytest.mark.docker
def test_an_engine_refuses_to_start_on_a_stale_slice(
    engine: docker.DockerClient, cards: Simulated
) -> None:
    old = cards.sample().slices[0]
    assert old.key == SliceKey("here", old.key.gpu, "2g.10gb", 0)
    assert old.uuid in start(engine, old.uuid)
    cards.destroy(old.key)
    new = cards.create(old.key.gpu, old.key.profile, old.key.start)
    with pytest.raises(APIError, match=f"{old.uuid} is unknown or stale"):
        start(engine, old.uuid)
    assert new.uuid in start(engine, new.uuid)
