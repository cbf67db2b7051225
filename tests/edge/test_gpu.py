"""One contract for simulated cards and for the real NVML code on our fake library."""

import random

import pytest

from hub.core.geometry import fits, maximal
from hub.core.mig import FULL, MODELS, Placement, SliceKey, placements
from hub.errors import BadInput, Refusal, Unknown
from tests.edge.gpu_rigs import (
    M,
    Make,
    by_key,
    gpu,
)


def test_cards_with_mig_on_and_nothing_cut_have_no_slices(make_rig: Make) -> None:
    sample = make_rig(M, "H200").inventory.sample()
    assert [(g.index, g.model, g.mig, g.name, g.memory_mib) for g in sample.gpus] == [
        (0, M, True, MODELS[M].gpu_name, MODELS[M].memory_mib),
        (1, "H200", True, "NVIDIA H200", 143771),
    ]
    assert (sample.node, sample.slices) == ("here", ())


@pytest.mark.parametrize("model", [M, "H200"])
def test_every_placement_of_our_tables_can_be_made_and_no_other(make_rig: Make, model: str) -> None:
    cards = make_rig(model).inventory
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
            assert made.uuid.startswith("MIG-")
            assert made.usable
            assert cards.sample().slices == (made,)
            cards.destroy(made.key)
            assert cards.sample().slices == ()


def test_every_maximal_layout_can_be_made_in_any_order(make_rig: Make) -> None:
    cards = make_rig(M).inventory
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


def test_a_random_walk_is_allowed_exactly_what_the_geometry_allows(make_rig: Make) -> None:
    cards, order = make_rig(M).inventory, random.Random(7)
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


def test_a_slice_made_again_has_another_uuid_and_its_neighbour_does_not(make_rig: Make) -> None:
    cards = make_rig(M).inventory
    card = gpu(cards)
    first, neighbour = cards.create(card, "1g.5gb", 2), cards.create(card, "3g.20gb", 4)
    cards.destroy(first.key)
    again = cards.create(card, "1g.5gb", 2)
    assert again.key == first.key
    assert again.uuid != first.uuid
    assert by_key(cards.sample())[neighbour.key] == neighbour
    assert again.uuid[18] == "5", "the form of a version 5 UUID"


def test_a_hole_in_the_index_does_not_end_the_list(make_rig: Make) -> None:
    cards = make_rig(M).inventory
    card = gpu(cards)
    made = [cards.create(card, "1g.5gb", n) for n in range(7)]
    for n in (0, 3):
        cards.destroy(made[n].key)
    assert set(by_key(cards.sample())) == {made[n].key for n in (1, 2, 4, 5, 6)}


def test_what_is_there_is_returned_and_what_is_gone_is_fine(make_rig: Make) -> None:
    cards = make_rig(M).inventory
    first = cards.create(gpu(cards), "2g.10gb", 0)
    assert cards.create(gpu(cards), "2g.10gb", 0) == first
    cards.destroy(first.key)
    cards.destroy(first.key)
    assert cards.sample().slices == ()


def test_refusals_name_what_there_is(make_rig: Make) -> None:
    cards = make_rig(M).inventory
    with pytest.raises(BadInput, match=r"no slice size '1g\.12gb'; it has .*1g\.5gb") as e:
        cards.create(gpu(cards), "1g.12gb", 0)
    assert e.value.reason == "unknown-profile"
    with pytest.raises(BadInput, match="There is no GPU GPU-nowhere here"):
        cards.create("GPU-nowhere", "1g.5gb", 0)


def test_a_process_keeps_a_slice_from_being_free_and_from_being_destroyed(make_rig: Make) -> None:
    rig = make_rig(M)
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


def test_unknown_processes_are_not_no_processes(make_rig: Make) -> None:
    rig = make_rig(M)
    made = rig.inventory.create(gpu(rig.inventory), "3g.20gb", 0)
    rig.unsure(made)
    seen = by_key(rig.inventory.sample())[made.key]
    assert seen.processes is None
    assert seen.present
    assert not seen.usable
    with pytest.raises(Unknown):
        rig.inventory.destroy(made.key)
    assert made.key in by_key(rig.inventory.sample())


def test_a_look_that_fails_says_nothing_and_the_next_one_is_whole(make_rig: Make) -> None:
    rig = make_rig(M)
    made = rig.inventory.create(gpu(rig.inventory), "3g.20gb", 0)
    rig.look_fails()
    for _ in range(2):
        with pytest.raises(Unknown):
            rig.inventory.sample()
    rig.look_fails(fails=False)
    assert rig.inventory.sample().slices == (made,)


def test_a_lost_card_is_unknown_and_the_other_one_works_on(make_rig: Make) -> None:
    rig = make_rig(M, M)
    cards = rig.inventory
    bad, good = (cards.create(gpu(cards, n), "3g.20gb", 4) for n in (0, 1))
    cards.sample()
    rig.lose(0)
    seen = by_key(cards.sample())
    assert seen[bad.key].processes is None
    assert seen[bad.key].present
    assert seen[good.key] == good
    with pytest.raises(Unknown):
        cards.create(bad.key.gpu, "1g.5gb", 0)
    with pytest.raises(Unknown):
        cards.destroy(bad.key)
    rig.lose(0, lost=False)
    assert by_key(cards.sample())[bad.key] == bad


def test_when_no_card_answers_the_look_has_failed(make_rig: Make) -> None:
    rig = make_rig(M)
    rig.inventory.create(gpu(rig.inventory), "3g.20gb", 4)
    rig.lose(0)
    with pytest.raises(Unknown):
        rig.inventory.sample()


def test_a_slice_that_vanished_is_not_listed(make_rig: Make) -> None:
    rig = make_rig(M)
    cards = rig.inventory
    gone, kept = (cards.create(gpu(cards), "3g.20gb", n) for n in (0, 4))
    rig.vanish(gone)
    assert cards.sample().slices == (kept,)


def test_no_room_although_there_is_some_is_a_refusal(make_rig: Make) -> None:
    rig = make_rig(M)
    card = gpu(rig.inventory)
    rig.no_room()
    with pytest.raises(Refusal) as e:
        rig.inventory.create(card, "1g.5gb", 0)
    assert e.value.reason == "no-room"
    assert rig.inventory.sample().slices == ()


def test_a_card_with_mig_off_is_one_whole_slice(make_rig: Make) -> None:
    rig = make_rig(f"{M}/off")
    cards = rig.inventory
    (whole,) = cards.sample().slices
    assert whole.key == SliceKey("here", gpu(cards), FULL, 0)
    assert whole.uuid == gpu(cards)
    assert (whole.compute, whole.memory, whole.memory_mib) == (7, 8, 40960)
    rig.occupy(whole, 12)
    assert cards.sample().slices[0].processes == (12,)
    with pytest.raises(BadInput, match="MIG is off"):
        cards.create(gpu(cards), "1g.5gb", 0)
    with pytest.raises(BadInput):
        cards.destroy(whole.key)
