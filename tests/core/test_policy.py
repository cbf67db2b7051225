from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.core import forecast, policy, sizes
from hub.core.lease import (
    Asked,
    Ended,
    Kind,
    Observed,
    Request,
    Started,
    State,
    Why,
    check,
    step,
)
from hub.core.mig import Slice, SliceKey
from hub.core.sizes import Offer

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def card(*profiles: str, gpu: str = "GPU-1") -> tuple[Slice, ...]:
    sizes = {"1g.5gb": (1, 1, 4864), "2g.10gb": (2, 2, 9856), "3g.20gb": (3, 4, 19968)}
    return tuple(
        Slice(SliceKey("node", gpu, p, i), f"MIG-{gpu}-{i}", "A100", 0, *sizes[p])
        for i, p in enumerate(profiles)
    )


def line(slices: tuple[Slice, ...], *asked: tuple[str, str, int]) -> State:
    """Slices, and requests as (id, profile, minute)."""
    state, _ = step(State(), Observed(NOW, slices, {}), NOW)
    for id, profile, minute in asked:
        when = NOW + timedelta(minutes=minute)
        request = Request(id, id, Kind.SERVER, "", profile, "image", when)
        state, _ = step(state, Asked(request), NOW)
    return state


def give(state: State) -> State:
    for given_now in policy.grants(state, NOW):
        state, _ = step(state, given_now, NOW)
    check(state)
    return state


def test_the_oldest_request_goes_first_whatever_the_order_of_arrival() -> None:
    state = line(card("1g.5gb"), ("b", "1g.5gb", 2), ("a", "1g.5gb", 5), ("c", "1g.5gb", 1))
    assert [x.id for x in policy.grants(state, NOW)] == ["c"]
    assert [forecast.place(give(state), x, NOW).position for x in "ba"] == [1, 2]  # type: ignore[union-attr]


def test_ties_are_broken_by_id_so_that_every_process_sees_one_order() -> None:
    state = line(card("1g.5gb"), ("b", "1g.5gb", 0), ("a", "1g.5gb", 0))
    assert [x.id for x in policy.grants(state, NOW)] == ["a"]


def test_who_waits_for_one_size_does_not_hold_up_another() -> None:
    state = line(card("1g.5gb", "3g.20gb"), ("a", "2g.10gb", 0), ("b", "3g.20gb", 1),
                 ("c", "1g.5gb", 2))
    assert {x.id: x.slice.profile for x in policy.grants(state, NOW)} == {
        "b": "3g.20gb", "c": "1g.5gb"
    }


def test_only_slices_that_are_seen_clean_are_given() -> None:
    here = card("1g.5gb", "1g.5gb", "1g.5gb", "1g.5gb")
    slices = (
        replace(here[0], processes=(9,)), replace(here[1], processes=None),
        replace(here[2], present=False), here[3],
    )
    state = line(slices, *((x, "1g.5gb", 0) for x in "abcd"))
    assert [x.slice for x in policy.grants(state, NOW)] == [here[3].key]


def test_a_slice_that_drains_is_not_given() -> None:
    state = give(line(card("1g.5gb"), ("a", "1g.5gb", 0), ("b", "1g.5gb", 1)))
    state, _ = step(state, Started("a"), NOW)
    state, _ = step(state, Ended("a", "stopped"), NOW)
    assert policy.grants(state, NOW) == ()
    state, _ = step(state, Observed(NOW, card("1g.5gb"), {}), NOW)
    assert [x.id for x in policy.grants(state, NOW)] == ["b"]


def test_a_run_that_nobody_has_told_to_stop_is_not_removed_under_its_hands() -> None:
    """The service was away when it had to give way: the next tick's `batch` tells it first."""
    request = Request("r", "ana", Kind.RUN, "r", "1g.5gb", "image", NOW)
    state, _ = step(State(), Observed(NOW, card("1g.5gb"), {}), NOW)
    state = give(step(state, Asked(request), NOW)[0])
    state, _ = step(state, Started("r"), NOW)
    state, _ = step(state, Ended("r", "reserved", Why.RESERVED), NOW)
    for away, effects in ((5, 0), (6, 1)):
        later = NOW + timedelta(minutes=away)
        _, asked = step(state, Observed(later, card("1g.5gb"), {"r": True}), later)
        assert len(asked) == effects


@given(st.lists(st.tuples(st.sampled_from(["1g.5gb", "2g.10gb"]), st.integers(0, 5)), max_size=12),
       st.lists(st.sampled_from(["1g.5gb", "2g.10gb"]), max_size=7))
def test_nobody_is_overtaken_within_a_size(asked: list[tuple[str, int]], cut: list[str]) -> None:
    state = line(card(*cut), *((f"r{i}", p, at) for i, (p, at) in enumerate(asked)))
    after = give(state)
    for profile in {p for p, _ in asked}:
        order = [x.id for x in state.waiting() if x.request.profile == profile]
        count = cut.count(profile)
        still = [x.id for x in after.waiting() if x.request.profile == profile]
        assert still == order[count:]
    assert policy.grants(after, NOW) == ()


def test_the_place_in_the_line() -> None:
    slices = card("1g.5gb", "1g.5gb", "2g.10gb")
    asked = [(x, "1g.5gb", i) for i, x in enumerate("abcd")] + [("e", "2g.10gb", 9)]
    state = give(line(slices, *asked, ("f", "2g.10gb", 10)))
    here = forecast.place(state, "d", NOW)
    assert here is not None
    assert (here.position, here.total, here.held, here.profile) == (2, 2, 2, "1g.5gb")
    last = forecast.place(state, "f", NOW)
    assert last is not None
    assert (last.position, last.total, last.held) == (1, 1, 1)
    assert forecast.place(state, "a", NOW) is None
    assert forecast.place(state, "nobody", NOW) is None


def test_offers_are_by_size_with_what_is_free() -> None:
    slices = (*card("3g.20gb", "1g.5gb", "1g.5gb"), *card("1g.5gb", gpu="GPU-2"))
    state = give(line(slices, ("a", "1g.5gb", 0), ("b", "3g.20gb", 0), ("c", "3g.20gb", 1)))
    assert sizes.offers(state) == (
        Offer("1g.5gb", "A100", 1, 1, 4864, total=3, free=2, waiting=0),
        Offer("3g.20gb", "A100", 3, 4, 19968, total=1, free=0, waiting=1),
    )


def test_a_size_that_is_seen_no_more_is_not_offered() -> None:
    state = line(card("1g.5gb", "2g.10gb"))
    state, _ = step(state, Observed(NOW, card("1g.5gb"), {}), NOW)
    assert [x.profile for x in sizes.offers(state)] == ["1g.5gb"]
