"""Cards for tests: simulated ones, and the real NVML code on our fake library.

Both kinds of rig have an `inventory`, and the same verbs for what happens to real cards.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynvml import NVML_ERROR_INSUFFICIENT_RESOURCES, NVML_ERROR_UNKNOWN

from hub.core.mig import Sample, Slice, SliceKey
from hub.edge.gpu import Inventory, Simulated
from hub.errors import Refusal

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
M = "A100-40"


class SimulatedRig:
    """Simulated cards, and what happens to real ones."""

    def __init__(self, folder: Path, *cards: str) -> None:
        texts = [x.replace("/off", ":full") if "/off" in x else f"{x}:" for x in cards]
        self.inventory = self.gpu = Simulated(folder / "cards.json", "here", texts)

    def occupy(self, found: Slice, *pids: int) -> None:
        self.gpu.occupy(found.key, *pids, used_mib=500 * len(pids))

    def vanish(self, found: Slice) -> None:
        self.gpu.vanish(found.key)

    def lose(self, index: int, *, lost: bool = True) -> None:
        self.gpu.inject(lost=[self.gpu.sample().gpus[index].uuid] if lost else [])

    def look_fails(self, *, fails: bool = True) -> None:
        self.gpu.inject(sample="no answer" if fails else "")

    def no_room(self) -> None:
        self.gpu.inject(create="no room")

    def unsure(self, found: Slice) -> None:
        self.gpu.inject(unknown=[found.uuid])

    def close(self) -> None:
        self.gpu.close()


class Far:
    """The Inventory of the process in fake_nvml/serve.py."""

    def __init__(self, library: Path, cards: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "fake_nvml" / "serve.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "LD_LIBRARY_PATH": str(library), "FAKE_NVML": cards,
                 "PYTHONPATH": str(ROOT), **env},
        )

    def ask(self, name: str, *args: object) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        pickle.dump((name, args), self.process.stdin)
        self.process.stdin.flush()
        kind, value = pickle.load(self.process.stdout)  # noqa: S301 - from our own child
        if kind == "value":
            return value
        if issubclass(kind, Refusal):
            message, reason, status = value
            raise kind(message, reason=reason, status=status)
        raise kind(value)

    def sample(self) -> Sample:
        return self.ask("sample")

    def create(self, gpu_uuid: str, profile: str, start: int) -> Slice:
        return self.ask("create", gpu_uuid, profile, start)

    def destroy(self, key: SliceKey) -> None:
        self.ask("destroy", key)

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class NvmlRig:
    """The real NVML code, and what happens to real cards."""

    def __init__(self, library: Path, *cards: str, **env: str) -> None:
        self.inventory = self.far = Far(library, ",".join(cards), **env)

    def occupy(self, found: Slice, *pids: int) -> None:
        assert len(pids) <= 1
        assert self.far.ask("fake_occupy", found.uuid, *(pids or (0,))) == 0

    def vanish(self, found: Slice) -> None:
        assert self.far.ask("fake_vanish", found.uuid) == 0

    def lose(self, index: int, *, lost: bool = True) -> None:
        self.far.ask("fake_lose", index, int(lost))

    def look_fails(self, *, fails: bool = True) -> None:
        self.fail("nvmlDeviceGetCount_v2", NVML_ERROR_UNKNOWN if fails else 0)

    def no_room(self) -> None:
        self.fail("nvmlDeviceCreateGpuInstanceWithPlacement", NVML_ERROR_INSUFFICIENT_RESOURCES)

    def unsure(self, _found: Slice) -> None:
        self.fail("nvmlDeviceGetComputeRunningProcesses_v3", NVML_ERROR_UNKNOWN)

    def fail(self, function: str, code: int) -> None:
        self.far.ask("fake_fail", function, code)

    def close(self) -> None:
        self.far.close()


Rig = SimulatedRig | NvmlRig
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of our fake libnvidia-ml.so.1."""
    folder = tmp_path_factory.mktemp("nvml")
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
         "-Wl,-soname,libnvidia-ml.so.1", "-o", folder / "libnvidia-ml.so.1",
         HERE / "fake_nvml" / "nvml.c"],
        check=True,
    )
    return folder


@pytest.fixture
def make_nvml(nvml_library: Path) -> Iterator[Make]:
    rigs: list[NvmlRig] = []

    def of(*cards: str, **env: str) -> NvmlRig:
        rigs.append(NvmlRig(nvml_library, *cards, **env))
        return rigs[-1]

    yield of
    for rig in rigs:
        rig.close()


@pytest.fixture(params=["simulated", "nvml"])
def make_rig(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a rig: `make_rig("A100-40", "A100-40/off")`."""
    if request.param == "nvml":
        return request.getfixturevalue("make_nvml")
    return lambda *cards: SimulatedRig(tmp_path, *cards)


def gpu(inventory: Inventory, index: int = 0) -> str:
    return inventory.sample().gpus[index].uuid


def by_key(sample: Sample) -> dict[SliceKey, Slice]:
    assert len({s.key for s in sample.slices}) == len(sample.slices)
    return {s.key: s for s in sample.slices}
