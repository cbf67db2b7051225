"""A look at the real cards of this machine, for a person to run; it changes nothing on them.

    PYTHONPATH=<folder with nvidia-ml-py> python3 tests/edge/real_gpu.py

Needs nvidia-ml-py and the driver, nothing else. Prints JSON; exit 1 where something is not sane.
"""

import ctypes
import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hub.core.geometry import legal
from hub.core.mig import FULL, MODELS, Placement, Sample
from hub.edge.gpu import Nvml, has_driver
from hub.errors import BadInput, Refusal, Unknown

HOLD = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
assert cuda.cuInit(0) == 0
assert cuda.cuDeviceGet(ctypes.byref(device), 0) == 0
assert cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device) == 0
assert cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(512 << 20)) == 0
print("on it", flush=True)
sys.stdin.read()
"""


def check(sample: Sample) -> None:
    """What holds on every machine with a card."""
    assert sample.gpus, "no card"
    assert len({s.key for s in sample.slices}) == len(sample.slices)
    for gpu in sample.gpus:
        assert gpu.uuid.startswith("GPU-"), gpu
        assert gpu.memory_mib > 1000, gpu
        assert gpu.name, gpu
        own = [s for s in sample.slices if s.key.gpu == gpu.uuid]
        if not gpu.mig:
            assert [(s.key.profile, s.uuid) for s in own] == [(FULL, gpu.uuid)], own
        elif gpu.model:
            layout = [Placement(s.key.start, s.memory, s.key.profile, s.compute) for s in own]
            assert legal(gpu.model, layout), layout
    for found in sample.slices:
        assert 0 < found.compute <= 7, found
        assert 0 < found.memory <= 8, found
        assert found.used_mib is not None, found
        assert 0 <= found.used_mib <= found.memory_mib, found
        assert found.processes is not None, found


def refusals(cards: Nvml, sample: Sample) -> list[str]:
    """Verbs that must refuse on a card whose MIG is off, before they touch it."""
    told = []
    for key in (s.key for s in sample.slices if s.key.profile == FULL):
        for act, *args in (
            (cards.create, key.gpu, "1g.18gb", 0),
            (cards.destroy, key),
            (cards.destroy, key._replace(profile="1g.18gb")),
            (cards.create, "GPU-00000000-0000-0000-0000-000000000000", "1g.18gb", 0),
        ):
            try:
                act(*args)
            except BadInput as e:
                told.append(e.message)
            else:
                raise AssertionError("not refused")
    return told


def with_a_process(cards: Nvml) -> dict[str, object]:
    """The first slice while a process of ours has a CUDA context with 512 MiB on it, and after."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as e:
        return {"skipped": str(e)}
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin
    assert child.stdout
    try:
        before = cards.sample().slices[0]
        assert child.stdout.readline() == "on it\n"
        held = cards.sample().slices[0]
    finally:
        child.stdin.close()
        child.wait(30)
    start = time.monotonic()
    while (after := cards.sample().slices[0]).processes and time.monotonic() - start < 10:
        time.sleep(0.1)
    assert held.used_mib
    assert before.used_mib is not None
    assert held.used_mib - before.used_mib >= 512, (before, held)
    return {
        "pid": child.pid, "processes_seen": held.processes, "used_mib": held.used_mib,
        "used_mib_before": before.used_mib, "processes_after": after.processes,
        "seconds_until_clean": round(time.monotonic() - start, 2),
    }


def main() -> int:
    """Looks, checks, prints."""
    assert has_driver(), "no driver"
    cards = Nvml("real")
    start = time.monotonic()
    sample = cards.sample()
    first = time.monotonic() - start
    start = time.monotonic()
    for _ in range(20):
        cards.sample()
    next_looks = (time.monotonic() - start) / 20
    check(sample)
    result = {
        "sample": asdict(sample),
        "known_models": {g.uuid: g.model in MODELS for g in sample.gpus},
        "first_look_ms": round(first * 1000, 1), "look_ms": round(next_looks * 1000, 2),
        "refusals": refusals(cards, sample), "with_a_process": with_a_process(cards),
    }
    cards.close()
    assert replace(cards.sample(), slices=()) == replace(sample, slices=()), "opened anew"
    cards.close()
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, Unknown, Refusal) as e:
        sys.exit(f"not sane: {e!r}")
