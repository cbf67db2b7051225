"""Geometry, exhaustively: 723 layouts are few enough to look at every one of them."""

from collections import Counter
from itertools import combinations, combinations_with_replacement, product

import pytest

from hub.core.geometry import Steps, fits, legal, maximal, parse, remaining, states, steps
from hub.core.mig import (
    FULL,
    MODELS,
    Gpu,
    Placement,
    _profile,
    find_model,
    model_of,
    placements,
    profile_of,
    require,
)
from hub.errors import BadInput

M = "A100-40"
EVERY = pytest.mark.parametrize("model", MODELS)

# `nvidia-smi mig -lgipp`, identical on A100, H100 and H200 (MIG user guide)
LGIPP = """\
GPU  0 Profile ID 19 Placements: {0,1,2,3,4,5,6}:1
GPU  0 Profile ID 20 Placements: {0,1,2,3,4,5,6}:1
GPU  0 Profile ID 15 Placements: {0,2,4,6}:2
GPU  0 Profile ID 14 Placements: {0,2,4}:2
GPU  0 Profile ID  9 Placements: {0,4}:4
GPU  0 Profile ID  5 Placement : {0}:4
GPU  0 Profile ID  0 Placement : {0}:8
"""

# NVIDIA's figure of the configurations of an A100, row by row: left half | right half
ROWS = """\
7 | ; 4|3 ; 4|2,1 ; 4|1,1,1 ; 3|3 ; 3|2,1 ; 3|1,1,1 ; 2,2|3 ; 2,2|2,1 ; 2,2|1,1,1 ;
2,1,1|3 ; 2,1,1|2,1 ; 2,1,1|1,1,1 ; 1,1,2|3 ; 1,1,2|2,1 ; 1,1,2|1,1,1 ;
1,1,1,1|3 ; 1,1,1,1|2,1 ; 1,1,1,1|1,1,1"""

# number of instances and SMs as `nvidia-smi mig -lgip` prints them
LGIP = {
    "A100-40": "1g.5gb 7 14, 1g.5gb+me 1 14, 1g.10gb 4 14, 2g.10gb 3 28, 3g.20gb 2 42,"
               " 4g.20gb 1 56, 7g.40gb 1 98",
    "A100-80": "1g.10gb 7 14, 1g.10gb+me 1 14, 1g.20gb 4 14, 2g.20gb 3 28, 3g.40gb 2 42,"
               " 4g.40gb 1 56, 7g.80gb 1 98",
    "H100-80": "1g.10gb 7 16, 1g.10gb+me 1 16, 1g.20gb 4 26, 2g.20gb 3 32, 3g.40gb 2 60,"
               " 4g.40gb 1 64, 7g.80gb 1 132",
    "H200": "1g.18gb 7 16, 1g.18gb+me 1 16, 1g.35gb 4 26, 2g.35gb 3 32, 3g.71gb 2 60,"
            " 4g.71gb 1 64, 7g.141gb 1 132",
}


def lgipp(model: str) -> str:
    lines = []
    for id in (19, 20, 15, 14, 9, 5, 0):
        name = next(p.name for p in model_of(model).profiles if p.id == id)
        places = placements(model, name)
        word = "Placements:" if len(places) > 1 else "Placement :"
        starts = ",".join(str(x.start) for x in places)
        lines.append(f"GPU  0 Profile ID {id:>2} {word} {{{starts}}}:{places[0].size}\n")
    return "".join(lines)


def row(text: str) -> tuple[tuple[int, int], ...]:
    """A row of NVIDIA's figure as (start, compute) of each slice, from the figure's own spacing."""
    found = []
    for base, half in zip((0, 4), text.split("|"), strict=True):
        at = base
        for compute in (int(x) for x in half.split(",") if x.strip()):
            found.append((at, compute))
            at += {1: 1, 2: 2, 3: 4, 4: 4, 7: 8}[compute]
    return tuple(found)


@EVERY
def test_the_placements_are_those_that_nvidia_smi_prints(model: str) -> None:
    assert lgipp(model) == LGIPP


@EVERY
def test_the_profiles_are_those_that_nvidia_smi_prints(model: str) -> None:
    ours = {f"{p.name} {p.most} {p.sms}" for p in model_of(model).profiles}
    assert ours == set(LGIP[model].replace(",  ", ", ").split(", "))


@EVERY
def test_298_layouts_723_with_the_doubles_and_19_maximal(model: str) -> None:
    assert len(states(model, doubles=False)) == len(set(states(model, doubles=False))) == 298
    assert len(states(model)) == len(set(states(model))) == 723
    assert len(maximal(model)) == 19
    assert len(maximal(model, doubles=True)) == 78


@EVERY
def test_the_maximal_layouts_are_the_rows_of_nvidias_figure(model: str) -> None:
    ours = {tuple(sorted((x.start, x.compute) for x in s)) for s in maximal(model)}
    assert ours == {row(x) for x in ROWS.replace("\n", " ").split(";")}


@EVERY
def test_no_layout_overlaps_or_has_more_than_seven_compute_slices(model: str) -> None:
    for layout in states(model):
        slots = [n for x in layout for n in range(x.start, x.start + x.size)]
        assert len(slots) == len(set(slots))
        assert set(slots) <= set(range(8))
        assert sum(x.compute for x in layout) <= 7
        counts = Counter(x.profile for x in layout)
        assert all(n <= profile_of(model, p).most for p, n in counts.items())
        assert legal(model, layout)


@EVERY
def test_every_set_of_placements_outside_the_layouts_is_illegal(model: str) -> None:
    every = [x for p in model_of(model).profiles if not p.media for x in placements(model, p.name)]
    known = set(states(model))
    for size in (1, 2, 3, 4):
        for layout in combinations(every, size):
            assert legal(model, layout) is (frozenset(layout) in known)


def test_what_fits_is_what_leads_to_another_layout() -> None:
    known = set(states(M))
    for layout in known:
        for p in model_of(M).profiles:
            if p.media:
                continue
            free = {x.start for x in placements(M, p.name) if layout | {x} in known} - {
                x.start for x in layout if x.profile == p.name
            }
            assert set(fits(M, layout, p.name)) == free
            assert remaining(M, layout)[p.name] == len(free)


def test_parse_finds_an_arrangement_exactly_where_one_exists() -> None:
    possible = {tuple(sorted(x.profile for x in s)) for s in states(M)}
    names = [p.name for p in model_of(M).profiles if not p.media]
    found = 0
    for size in range(1, 8):
        for wanted in combinations_with_replacement(sorted(names), size):
            if wanted in possible:
                found += 1
                assert tuple(sorted(x.profile for x in parse(M, ",".join(wanted)))) == wanted
            else:
                with pytest.raises(BadInput, match="do not fit together"):
                    parse(M, ",".join(wanted))
    assert found == len(possible) - 1 == 77


def test_parse_keeps_what_is_in_use_wherever_that_is_possible() -> None:
    checked = 0
    for layout, names in product(states(M, doubles=False), ["3g.20gb,2g.10gb,1g.5gb,1g.5gb"]):
        wanted = Counter(names.split(","))
        if not layout or Counter(x.profile for x in layout) - wanted:
            continue
        can = any(
            layout <= s and Counter(x.profile for x in s) == wanted for s in states(M)
        )
        checked += 1
        if can:
            assert layout <= set(parse(M, names, keep=layout))
        else:
            with pytest.raises(BadInput):
                parse(M, names, keep=layout)
    assert checked > 50


def test_parse_takes_explicit_starts_as_nvidia_smi_does() -> None:
    assert [str(x) for x in parse(M, "3g.20gb:0, 1g.5gb:6,2g.10gb")] == [
        "3g.20gb:0", "2g.10gb:4", "1g.5gb:6",
    ]
    one = Placement(6, 1, "1g.5gb", 1)
    assert parse(M, "1g.5gb,1g.5gb:6", keep=[one])[1] == one
    with pytest.raises(BadInput, match=r"a 3g\.20gb cannot start at 2; it can start at 0, 4"):
        parse(M, "3g.20gb:2")
    with pytest.raises(BadInput, match="do not fit"):
        parse(M, "3g.20gb:4,2g.10gb:4")
    assert parse(M, "") == ()


def test_the_order_in_which_a_geometry_is_written_does_not_matter() -> None:
    # `nvidia-smi mig -cgi 19,19,14,9` fails and the guide says to name the 3g first
    assert parse(M, "1g.5gb,1g.5gb,2g.10gb,3g.20gb") == parse(M, "3g.20gb,2g.10gb,1g.5gb,1g.5gb")


def test_one_media_engine_per_card() -> None:
    assert len(parse(M, "1g.5gb+me,1g.5gb,1g.5gb")) == 3
    with pytest.raises(BadInput):
        parse(M, "1g.5gb+me,1g.5gb+me")
    assert fits(M, parse(M, "1g.5gb+me"), "1g.5gb+me") == ()
    assert len(fits(M, (), "1g.5gb+me")) == 7


def test_the_whole_gpu_is_a_layout_of_its_own() -> None:
    assert parse(M, "full") == (Placement(0, 8, FULL, 7),)
    assert legal(M, parse(M, "full"))
    with pytest.raises(BadInput):
        parse(M, "full,1g.5gb")


def test_steps_lead_there_spare_what_is_equal_and_pass_only_legal_layouts() -> None:
    some = states(M, doubles=False)[::7]
    for before, after in product(some, some):
        plan = steps(M, before, after)
        now = set(before)
        for gone in plan.destroy:
            now.remove(gone)
        for new in plan.create:
            assert new.start in fits(M, now, new.profile)
            now.add(new)
        assert now == set(after)
        assert not (before & after) & {*plan.destroy, *plan.create}


def test_steps_never_touch_what_is_busy() -> None:
    before, after = parse(M, "3g.20gb:4,2g.10gb:0"), parse(M, "3g.20gb:4,1g.5gb:0,1g.5gb:1")
    big, two = before[1], before[0]
    plan = steps(M, before, after, busy=[big])
    assert plan == Steps((two,), tuple(x for x in after if x != big))
    with pytest.raises(BadInput, match=r"2g\.10gb:0 is in use") as e:
        steps(M, before, after, busy=[two])
    assert e.value.status == 409
    with pytest.raises(BadInput, match="cannot be cut into"):
        steps(M, before, [*before, Placement(4, 2, "2g.10gb", 2)])
    with pytest.raises(BadInput, match="cannot be cut into"):
        steps(M, before, [Placement(4, 4, "4g.20gb", 4)])


@pytest.mark.parametrize(("name", "mib", "model"), [
    ("NVIDIA A100-SXM4-40GB", 40960, "A100-40"),
    ("NVIDIA A100-PCIE-40GB", 40536, "A100-40"),
    ("A100-SXM-80GB", 81251, "A100-80"),
    ("NVIDIA A100 80GB PCIe", 81920, "A100-80"),
    ("NVIDIA H100 80GB HBM3", 81559, "H100-80"),
    ("NVIDIA H100 PCIe", 81559, "H100-80"),
    ("NVIDIA H100 NVL", 95830, None),
    ("NVIDIA H200", 143771, "H200"),
    ("NVIDIA H200 NVL", 143771, "H200"),
    ("NVIDIA GH200 144G HBM3e", 146831, None),
    ("NVIDIA A30", 24576, None),
    ("Tesla V100-SXM2-32GB", 32768, None),
])
def test_a_card_is_known_by_its_name_and_its_memory(name: str, mib: int, model: str | None) -> None:
    assert find_model(name, mib) == model


def test_the_names_of_our_own_cards_are_found() -> None:
    assert [find_model(x.gpu_name, x.memory_mib) for x in MODELS.values()] == list(MODELS)


@pytest.mark.parametrize(("mib", "memory"), [(12, 1), (13, 2), (25, 2), (26, 4), (50, 4), (51, 8)])
def test_a_size_is_a_power_of_two_in_slots(mib: int, memory: int) -> None:
    assert _profile(100, ("1g", 0, 1, mib, 0)).memory == memory


def test_one_name_is_two_sizes_on_two_models() -> None:
    assert profile_of("A100-40", "1g.10gb").memory == 2
    assert profile_of("A100-80", "1g.10gb").memory == 1


def test_a_wrong_name_is_told_with_the_right_ones() -> None:
    with pytest.raises(BadInput, match=r"no slice size '1g\.20gb'; it has 1g\.5gb, 1g"):
        profile_of(M, "1g.20gb")
    with pytest.raises(BadInput, match=r"no card model 'A30'; known are A100-40, A100-80"):
        model_of("A30")
    assert not legal(M, [Placement(0, 1, "9g.9gb", 1)])


def card(model: str | None, *, mig: bool = True) -> Gpu:
    return Gpu("GPU-1", 0, "NVIDIA", model, mig, 40960)


def test_a_profile_that_no_gpu_can_have_is_told_apart_from_one_that_none_here_has() -> None:
    require("4g.20gb", [card(M)])
    require(FULL, [card(M), card(None, mig=False)])
    require("1g.6gb", [card(None)], seen=["1g.6gb"])
    for profile, gpus, reason in [
        ("9g.99gb", [card(M)], "unknown-profile"),
        ("1g.18gb", [card(M)], "profile-not-here"),
        (FULL, [card(M)], "profile-not-here"),
        ("1g.5gb", [card(M, mig=False)], "profile-not-here"),
        ("1g.5gb", [], "profile-not-here"),
    ]:
        with pytest.raises(BadInput) as e:
            require(profile, gpus)
        assert e.value.reason == reason
        assert repr(profile) in e.value.message
