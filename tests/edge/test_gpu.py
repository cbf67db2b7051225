"""One contract for simulated cards and for the real NVML code on our fake library."""

import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pynvml import (
    NVML_ERROR_INSUFFICIENT_RESOURCES,
    NVML_ERROR_NO_PERMISSION,
    NVML_ERROR_UNKNOWN,
)

from hub.config import Settings
from hub.core.geometry import fits, maximal
from hub.core.mig import FULL, MODELS, Placement, Sample, Slice, SliceKey, placements
from hub.edge.gpu import Inventory, Simulated, has_driver, open_inventory
from hub.errors import BadInput, Refusal, Unavailable, Unknown

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

    def lose(self, index: int, lost: bool = True) -> None:
        self.gpu.inject(lost=[self.gpu.sample().gpus[index].uuid] if lost else [])

    def look_fails(self, fails: bool = True) -> None:
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
        assert self.process.stdin and self.process.stdout
        pickle.dump((name, args), self.process.stdin)
        self.process.stdin.flush()
        kind, value = pickle.load(self.process.stdout)
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
        assert self.process.stdin and self.process.stdout
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

    def lose(self, index: int, lost: bool = True) -> None:
        self.far.ask("fake_lose", index, int(lost))

    def look_fails(self, fails: bool = True) -> None:
        self.fail("nvmlDeviceGetCount_v2", NVML_ERROR_UNKNOWN if fails else 0)

    def no_room(self) -> None:
        self.fail("nvmlDeviceCreateGpuInstanceWithPlacement", NVML_ERROR_INSUFFICIENT_RESOURCES)

    def unsure(self, found: Slice) -> None:
        self.fail("nvmlDeviceGetComputeRunningProcesses_v3", NVML_ERROR_UNKNOWN)

    def fail(self, function: str, code: int) -> None:
        self.far.ask("fake_fail", function, code)

    def close(self) -> None:
        self.far.close()


Rig = SimulatedRig | NvmlRig
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def nvml(library: Path) -> Iterator[Make]:
    rigs: list[NvmlRig] = []

    def make(*cards: str, **env: str) -> NvmlRig:
        rigs.append(NvmlRig(library, *cards, **env))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture(params=["simulated", "nvml"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes a rig: `make("A100-40", "A100-40/off")`."""
    if request.param == "nvml":
        return request.getfixturevalue("nvml")
    return lambda *cards: SimulatedRig(tmp_path, *cards)


def gpu(inventory: Inventory, index: int = 0) -> str:
    return inventory.sample().gpus[index].uuid


def by_key(sample: Sample) -> dict[SliceKey, Slice]:
    assert len({s.key for s in sample.slices}) == len(sample.slices)
    return {s.key: s for s in sample.slices}


# ---- the contract -----------------------------------------------------------------------------


def test_cards_with_mig_on_and_nothing_cut_have_no_slices(make: Make) -> None:
    sample = make(M, "H200").inventory.sample()
    assert [(g.index, g.model, g.mig, g.name, g.memory_mib) for g in sample.gpus] == [
        (0, M, True, MODELS[M].gpu_name, MODELS[M].memory_mib),
        (1, "H200", True, "NVIDIA H200", 143771),
    ]
    assert (sample.node, sample.slices) == ("here", ())


@pytest.mark.parametrize("model", [M, "H200"])
def test_every_placement_of_our_tables_can_be_made_and_no_other(make: Make, model: str) -> None:
    cards = make(model).inventory
    card = gpu(cards)
    for profile in MODELS[model].profiles:
        starts = [x.start for x in placements(model, profile.name)]
        for start in range(8):
            if start not in starts:
                with pytest.raises(BadInput, match="can start at"):
                    cards.create(card, profile.name, start)
                continue
            made = cards.create(card, profile.name, start)
            assert made.key == SliceKey("here", card, profile.name, start)
            assert (made.compute, made.memory) == (profile.compute, profile.memory)
            assert made.memory_mib == profile.memory_mib
            assert made.uuid.startswith("MIG-") and made.usable
            assert cards.sample().slices == (made,)
            cards.destroy(made.key)
            assert cards.sample().slices == ()


def test_every_maximal_layout_can_be_made_in_any_order(make: Make) -> None:
    cards = make(M).inventory
    card, order = gpu(cards), random.Random(4)
    for layout in maximal(M, doubles=True):
        places = sorted(layout)
        order.shuffle(places)
        for place in places:
            cards.create(card, place.profile, place.start)
        assert {(k.profile, k.start) for k in by_key(cards.sample())} == {
            (x.profile, x.start) for x in layout
        }
        for key in by_key(cards.sample()):
            cards.destroy(key)


def test_a_random_walk_is_allowed_exactly_what_the_geometry_allows(make: Make) -> None:
    cards, order = make(M).inventory, random.Random(7)
    card, taken = gpu(cards), dict[Placement, str]()
    everything = [x for p in MODELS[M].profiles for x in placements(M, p.name)]
    refused = 0
    for _ in range(300):
        place = order.choice(everything)
        if place in taken and order.random() < 0.9:
            cards.destroy(SliceKey("here", card, place.profile, place.start))
            del taken[place]
        elif place in taken:
            assert cards.create(card, place.profile, place.start).uuid == taken[place]
        elif place.start in fits(M, taken, place.profile):
            taken[place] = cards.create(card, place.profile, place.start).uuid
        else:
            refused += 1
            with pytest.raises(Refusal) as e:
                cards.create(card, place.profile, place.start)
            assert (e.value.reason, e.value.status) == ("no-room", 409)
        assert {s.uuid for s in cards.sample().slices} == set(taken.values())
    assert refused > 30


def test_a_slice_made_again_has_another_uuid_and_its_neighbour_keeps_its_own(make: Make) -> None:
    cards = make(M).inventory
    card = gpu(cards)
    first, neighbour = cards.create(card, "1g.5gb", 2), cards.create(card, "3g.20gb", 4)
    cards.destroy(first.key)
    again = cards.create(card, "1g.5gb", 2)
    assert again.key == first.key and again.uuid != first.uuid
    assert by_key(cards.sample())[neighbour.key] == neighbour
    assert again.uuid[18] == "5", "the form of a version 5 UUID"


def test_a_hole_in_the_index_does_not_end_the_list(make: Make) -> None:
    cards = make(M).inventory
    card = gpu(cards)
    made = [cards.create(card, "1g.5gb", n) for n in range(7)]
    for n in (0, 3):
        cards.destroy(made[n].key)
    assert set(by_key(cards.sample())) == {made[n].key for n in (1, 2, 4, 5, 6)}


def test_what_is_there_is_returned_and_what_is_gone_is_fine(make: Make) -> None:
    cards = make(M).inventory
    first = cards.create(gpu(cards), "2g.10gb", 0)
    assert cards.create(gpu(cards), "2g.10gb", 0) == first
    cards.destroy(first.key)
    cards.destroy(first.key)
    assert cards.sample().slices == ()


def test_refusals_name_what_there_is(make: Make) -> None:
    cards = make(M).inventory
    with pytest.raises(BadInput, match="no slice size '1g.12gb'; it has .*1g.5gb.*") as e:
        cards.create(gpu(cards), "1g.12gb", 0)
    assert e.value.reason == "unknown-profile"
    with pytest.raises(BadInput, match="There is no GPU GPU-nowhere here"):
        cards.create("GPU-nowhere", "1g.5gb", 0)


def test_a_process_keeps_a_slice_from_being_free_and_from_being_destroyed(make: Make) -> None:
    rig = make(M)
    made = rig.inventory.create(gpu(rig.inventory), "3g.20gb", 0)
    rig.occupy(made, 4711)
    seen = by_key(rig.inventory.sample())[made.key]
    assert (seen.processes, seen.used_mib, seen.usable) == ((4711,), 500, False)
    with pytest.raises(Refusal) as e:
        rig.inventory.destroy(made.key)
    assert (e.value.reason, e.value.status) == ("slice-in-use", 409)
    rig.occupy(made)
    assert by_key(rig.inventory.sample())[made.key] == made
    rig.inventory.destroy(made.key)


def test_unknown_processes_are_not_no_processes(make: Make) -> None:
    rig = make(M)
    made = rig.inventory.create(gpu(rig.inventory), "3g.20gb", 0)
    rig.unsure(made)
    seen = by_key(rig.inventory.sample())[made.key]
    assert seen.processes is None and seen.present and not seen.usable
    with pytest.raises(Unknown):
        rig.inventory.destroy(made.key)
    assert made.key in by_key(rig.inventory.sample())


def test_a_look_that_fails_says_nothing_and_the_next_one_is_whole(make: Make) -> None:
    rig = make(M)
    made = rig.inventory.create(gpu(rig.inventory), "3g.20gb", 0)
    rig.look_fails()
    for _ in range(2):
        with pytest.raises(Unknown):
            rig.inventory.sample()
    rig.look_fails(False)
    assert rig.inventory.sample().slices == (made,)


def test_a_lost_card_is_unknown_and_the_other_one_works_on(make: Make) -> None:
    rig = make(M, M)
    cards = rig.inventory
    bad, good = (cards.create(gpu(cards, n), "3g.20gb", 4) for n in (0, 1))
    cards.sample()
    rig.lose(0)
    seen = by_key(cards.sample())
    assert seen[bad.key].processes is None and seen[bad.key].present
    assert seen[good.key] == good
    with pytest.raises(Unknown):
        cards.create(bad.key.gpu, "1g.5gb", 0)
    with pytest.raises(Unknown):
        cards.destroy(bad.key)
    rig.lose(0, lost=False)
    assert by_key(cards.sample())[bad.key] == bad


def test_when_no_card_answers_the_look_has_failed(make: Make) -> None:
    rig = make(M)
    rig.inventory.create(gpu(rig.inventory), "3g.20gb", 4)
    rig.lose(0)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_slice_that_vanished_is_not_listed(make: Make) -> None:
    rig = make(M)
    cards = rig.inventory
    gone, kept = (cards.create(gpu(cards), "3g.20gb", n) for n in (0, 4))
    rig.vanish(gone)
    assert cards.sample().slices == (kept,)


def test_no_room_although_there_is_some_is_a_refusal(make: Make) -> None:
    rig = make(M)
    card = gpu(rig.inventory)
    rig.no_room()
    with pytest.raises(Refusal) as e:
        rig.inventory.create(card, "1g.5gb", 0)
    assert e.value.reason == "no-room"
    assert rig.inventory.sample().slices == ()


def test_a_card_with_mig_off_is_one_whole_slice(make: Make) -> None:
    rig = make(f"{M}/off")
    cards = rig.inventory
    (whole,) = cards.sample().slices
    assert whole.key == SliceKey("here", gpu(cards), FULL, 0) and whole.uuid == gpu(cards)
    assert (whole.compute, whole.memory, whole.memory_mib) == (7, 8, 40960)
    rig.occupy(whole, 12)
    assert cards.sample().slices[0].processes == (12,)
    with pytest.raises(BadInput, match="MIG is off"):
        cards.create(gpu(cards), "1g.5gb", 0)
    with pytest.raises(BadInput):
        cards.destroy(whole.key)


# ---- NVML only --------------------------------------------------------------------------------


def test_a_driver_of_2021_works_too(nvml: Make) -> None:
    rig = nvml(M, FAKE_NVML_OLD="1")
    made = rig.inventory.create(gpu(rig.inventory), "2g.10gb", 2)
    assert made.key.profile == "2g.10gb" and made.processes == ()
    assert made.uuid == f"MIG-{made.key.gpu}/9/0", "the form before R470"
    rig.occupy(made, 3)
    assert rig.inventory.sample().slices[0].processes == (3,)
    rig.occupy(made)
    rig.inventory.destroy(made.key)
    assert rig.inventory.sample().slices == ()


@pytest.mark.parametrize("then", ["create", "destroy"])
def test_a_crash_between_the_two_creations_is_mended(nvml: Make, then: str) -> None:
    rig = nvml(M)
    cards = rig.inventory
    half = cards.create(gpu(cards), "3g.20gb", 4)
    rig.far.ask("fake_empty_instance", half.uuid)
    assert cards.sample().slices == (), "without a compute instance it is no slice"
    if then == "create":
        assert cards.create(gpu(cards), "3g.20gb", 4) == half
    else:
        cards.destroy(half.key)
        cards.create(gpu(cards), "4g.20gb", 0)
        cards.create(gpu(cards), "1g.5gb", 6)


def test_a_compute_instance_that_cannot_be_made_leaves_no_half_slice(nvml: Make) -> None:
    rig = nvml(M)
    cards = rig.inventory
    name = "nvmlGpuInstanceCreateComputeInstance"
    rig.fail(name, NVML_ERROR_INSUFFICIENT_RESOURCES)
    with pytest.raises(Refusal):
        cards.create(gpu(cards), "7g.40gb", 0)
    rig.fail(name, 0)
    cards.create(gpu(cards), "1g.5gb", 0)


def test_missing_rights_say_what_to_do_and_a_look_without_them_is_unknown(nvml: Make) -> None:
    rig = nvml(M)
    card = gpu(rig.inventory)
    rig.inventory.create(card, "1g.5gb", 1)
    for name in ("nvmlDeviceCreateGpuInstanceWithPlacement", "nvmlDeviceGetGpuInstanceById"):
        rig.fail(name, NVML_ERROR_NO_PERMISSION)
    with pytest.raises(Unavailable, match="run Madang as root"):
        rig.inventory.create(card, "1g.5gb", 0)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_card_dead_at_the_start_does_not_keep_the_others_from_starting(nvml: Make) -> None:
    rig = nvml(M, M)
    rig.lose(0)  # lost before the library was even opened: the count still has it
    assert [g.index for g in rig.inventory.sample().gpus] == [1]


def test_a_card_that_fails_at_the_first_look_leaves_everything_unknown(nvml: Make) -> None:
    rig = nvml(M, M)
    rig.fail("nvmlDeviceGetUUID", NVML_ERROR_UNKNOWN)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_broken_driver_is_a_driver(nvml: Make) -> None:
    rig = nvml(M)
    assert rig.far.ask("has_driver") is True
    rig.fail("nvmlInitWithFlags", 9)
    assert rig.far.ask("has_driver") is True
    with pytest.raises(Unknown):
        rig.inventory.sample()


# ---- simulated only ---------------------------------------------------------------------------

CARDS = ("A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb", "A100-40:full")


def test_the_file_is_what_the_stub_hook_reads(tmp_path: Path) -> None:
    Simulated(tmp_path / "x" / "madang.json", "here", CARDS)
    state = json.loads((tmp_path / "x" / "madang.json").read_text())
    cut, whole = state["gpus"]
    assert (state["node"], cut["mig"], whole["mig"]) == ("here", True, False)
    assert [(s["profile"], s["start"], s["size"]) for s in cut["slices"]] == [
        ("2g.10gb", 0, 2), ("1g.5gb", 2, 1), ("1g.5gb", 3, 1), ("3g.20gb", 4, 4),
    ]
    assert {"uuid", "processes", "used_mib", "memory_mib", "compute", "memory"} <= set(
        cut["slices"][0]
    )
    assert whole["slices"][0]["uuid"] == whole["uuid"]


def test_a_second_process_and_a_restart_see_the_same_cards(tmp_path: Path) -> None:
    path = tmp_path / "madang.json"
    first = Simulated(path, "here", CARDS)
    before = first.sample()
    written = path.stat().st_mtime_ns
    assert Simulated(path, "here", CARDS).sample() == before
    assert path.stat().st_mtime_ns == written, "nothing changed, nothing written"
    other = Simulated(tmp_path / "other.json", "here", CARDS).sample()
    assert not {s.uuid for s in before.slices} & {s.uuid for s in other.slices}


def test_another_geometry_in_the_settings_spares_the_slices_that_stay(tmp_path: Path) -> None:
    path = tmp_path / "madang.json"
    before = by_key(Simulated(path, "here", ["A100-40:3g.20gb:4,2g.10gb:0"]).sample())
    after = by_key(Simulated(path, "here", ["A100-40:3g.20gb:4,1g.5gb:0,1g.5gb:1"]).sample())
    stay = {k for k in before if k.profile == "3g.20gb"}
    assert {k for k, s in after.items() if before.get(k) == s} == stay


def test_a_reboot_loses_the_geometry_and_keeps_the_mode(tmp_path: Path) -> None:
    cards = Simulated(tmp_path / "madang.json", "here", CARDS)
    cards.inject(sample="down")
    cards.reboot()
    assert [s.key.profile for s in cards.sample().slices] == [FULL]
    assert [g.mig for g in cards.sample().gpus] == [True, False]


def test_a_damaged_file_and_a_folder_that_cannot_be_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "madang.json").write_text("{")
    with pytest.raises(Unavailable, match="can be deleted"):
        Simulated(tmp_path / "madang.json", "here", CARDS)
    with pytest.raises(Unavailable, match="set simulated_dir"):
        Simulated(tmp_path / "madang.json" / "x" / "y.json", "here", CARDS)


def test_a_card_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for text, told in [
        ("A100-41:full", "no card model"), ("A100-40:1g.10gb,9g.1gb", "no slice size '9g.1gb'"),
        ("A100-40:4g.20gb,4g.20gb", "do not fit together"),
    ]:
        with pytest.raises(BadInput, match=told):
            Simulated(tmp_path / "madang.json", "here", [text])


def test_many_writers_never_make_two_slices_of_one_place(tmp_path: Path) -> None:
    path = tmp_path / "madang.json"
    worker = (
        "import sys, random; from pathlib import Path; from hub.edge.gpu import Simulated;"
        "from hub.errors import Refusal\n"
        "c = Simulated(Path(sys.argv[1]), 'here', ['A100-40:']); r = random.Random(sys.argv[2])\n"
        "g = c.sample().gpus[0].uuid\n"
        "for _ in range(60):\n"
        "    p, s = r.choice([('1g.5gb', 0), ('1g.5gb', 1), ('2g.10gb', 0), ('3g.20gb', 0)])\n"
        "    try: c.destroy(c.create(g, p, s).key) if r.random() < .5 else c.create(g, p, s)\n"
        "    except Refusal: [c.destroy(x.key) for x in c.sample().slices[:1]]\n"
    )
    reader = Simulated(path, "here", ["A100-40:"])
    with ThreadPoolExecutor() as pool:
        work = [
            pool.submit(subprocess.run, [sys.executable, "-c", worker, str(path), str(n)],
                        cwd=ROOT, check=True)
            for n in range(3)
        ]
        while not all(x.done() for x in work):
            places = sorted((s.key.start, s.memory) for s in reader.sample().slices)
            assert all(a + size <= b for (a, size), (b, _) in pairwise(places)), places
        for x in work:
            x.result()
    assert [x.name for x in tmp_path.iterdir() if x.suffix == ".new"] == []


def test_the_settings_choose_the_inventory(tmp_path: Path) -> None:
    cards = open_inventory(Settings(gpus="simulated", simulated_dir=tmp_path, name="inst", node="n"))
    assert {s.key.node for s in cards.sample().slices} == {"n"}
    assert len(cards.sample().slices) == 8
    assert (tmp_path / "inst.json").exists()
    auto = open_inventory(Settings(gpus="auto", simulated_dir=tmp_path, name="inst", node="n"))
    assert isinstance(auto, Simulated) is not has_driver()
    assert not isinstance(open_inventory(Settings(gpus="nvml")), Simulated)


def test_importing_the_edge_needs_neither_settings_nor_pydantic() -> None:
    code = "import sys, hub.edge.gpu; print([x for x in ('pydantic', 'hub.config') if x in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr
