"""The simulated cards' file, and which cards the settings choose."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from hub.config import Settings
from hub.core.mig import FULL
from hub.edge.gpu import Simulated, has_driver, open_inventory
from hub.errors import BadInput, Unavailable
from tests.edge.gpu_rigs import ROOT, by_key

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


def test_no_writer_undoes_what_another_one_did(tmp_path: Path) -> None:
    path, cards = tmp_path / "madang.json", ["A100-40:"] * 3
    worker = (
        "import sys; from pathlib import Path; from hub.edge.gpu import Simulated\n"
        "c = Simulated(Path(sys.argv[1]), 'here', ['A100-40:'] * 3)\n"
        "g = c.sample().gpus[int(sys.argv[2])].uuid\n"
        "for _ in range(10):\n"
        "    mine = [c.create(g, '1g.5gb', n) for n in range(7)]\n"
        "    assert set(mine) <= set(c.sample().slices), 'lost'\n"
        "    [c.destroy(x.key) for x in mine]\n"
        "c.create(g, '7g.40gb', 0)\n"
    )
    Simulated(path, "here", cards)
    work = [
        subprocess.Popen([sys.executable, "-c", worker, str(path), str(n)], cwd=ROOT)
        for n in range(3)
    ]
    assert [x.wait(60) for x in work] == [0, 0, 0]
    assert len(Simulated(path, "here", cards).sample().slices) == 3


def test_the_settings_choose_the_inventory(tmp_path: Path) -> None:
    here = {"simulated_dir": tmp_path, "name": "inst", "node": "n"}
    cards = open_inventory(Settings(gpus="simulated", **here))
    assert {s.key.node for s in cards.sample().slices} == {"n"}
    assert len(cards.sample().slices) == 8
    assert (tmp_path / "inst.json").exists()
    auto = open_inventory(Settings(gpus="auto", **here))
    assert isinstance(auto, Simulated) is not has_driver()
    assert not isinstance(open_inventory(Settings(gpus="nvml")), Simulated)
