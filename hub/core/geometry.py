"""What a card can be cut into: what is legal, what still fits, and the way from one to another.

Everything is computed from the placements, by search over at most 723 layouts: tables of
combinations typed by hand have been wrong in every project that had one.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from hub.core.mig import FULL, Placement, model_of, placements, profile_of
from hub.errors import BadInput


@dataclass(frozen=True)
class Steps:
    """From one geometry to another: first destroy, then create. What is equal is in neither."""

    destroy: tuple[Placement, ...]
    create: tuple[Placement, ...]


def fits(model: str, taken: Iterable[Placement], profile: str) -> tuple[int, ...]:
    """The starts at which this profile could be created now beside `taken`."""
    taken = tuple(taken)
    if profile != FULL and profile_of(model, profile).media and _count(taken, profile):
        return ()
    used = _used(taken)
    return tuple(x.start for x in placements(model, profile) if not x.mask & used)


def remaining(model: str, taken: Iterable[Placement]) -> dict[str, int]:
    """How many more of each profile (alone) would fit beside `taken`, as NVML's capacity counts."""
    taken = tuple(taken)
    profiles = (p for p in model_of(model).profiles if not p.media)
    return {p.name: len(fits(model, taken, p.name)) for p in profiles}


def legal(model: str, layout: Collection[Placement]) -> bool:
    """Whether a card can be cut so: allowed placements, none on another, one `+me` at most.

    That compute stays within seven slices follows from the placements (asserted by the tests).
    """
    layout = tuple(layout)
    try:
        allowed = all(x in placements(model, x.profile) for x in layout)
    except BadInput:
        return False
    media = sum(x.profile.endswith("+me") for x in layout)
    return allowed and media <= 1 and sum(x.size for x in layout) == _used(layout).bit_count()


def states(model: str, *, doubles: bool = True) -> tuple[frozenset[Placement], ...]:
    """Every legal layout, the empty one included; `doubles`: with the double-memory 1g."""
    chosen = [p for p in model_of(model).profiles if not p.media and (doubles or not p.double)]
    found: list[frozenset[Placement]] = [frozenset()]
    for place in (x for p in chosen for x in placements(model, p.name)):
        found += [s | {place} for s in found if not _used(s) & place.mask]
    return tuple(found)


def maximal(model: str, *, doubles: bool = False) -> tuple[frozenset[Placement], ...]:
    """The layouts to which no slice can be added (19 on every model; 78 with the doubles)."""
    chosen = [p for p in model_of(model).profiles if not p.media and (doubles or not p.double)]
    return tuple(
        s for s in states(model, doubles=doubles)
        if not any(fits(model, s, p.name) for p in chosen)
    )


def parse(model: str, text: str, keep: Collection[Placement] = ()) -> tuple[Placement, ...]:
    """The placements of a geometry such as `3g.20gb,2g.10gb`, or `3g.20gb:4` with its start given.

    Exact: where any arrangement exists, one is found. `keep`: placements that stay where they are
    (each must be asked for), so that a change of geometry spares what is in use. Text `full` is
    the whole GPU, MIG off.

    Raises:
        BadInput: unknown profile, impossible start, or slices that do not fit together.
    """
    wants = [_want(model, x.strip()) for x in text.split(",") if x.strip()]
    kept = sorted(keep)
    for place in kept:
        matches = [x for x in wants if place in x]
        if not matches:
            raise _in_use(place)
        wants.remove(min(matches, key=len))  # one that names this start, before one that is free
    # the largest first: they have the fewest places
    wants.sort(key=lambda x: (-x[0].size, len(x), x[0].compute))
    found = _arrange(wants, tuple(kept))
    if found is None or not legal(model, found):
        raise BadInput(
            "These slices do not fit together on one {model}: {text}. Take fewer or smaller ones.",
            reason="geometry", model=model, text=text,
        )
    return tuple(sorted(found))


def steps(
    model: str,
    before: Collection[Placement],
    after: Collection[Placement],
    busy: Collection[Placement] = (),
) -> Steps:
    """What to destroy and what to create, in this order; equal placements are left alone.

    Raises:
        BadInput: `after` is not legal, or a `busy` placement would have to go.
    """
    if not legal(model, after):
        text = ", ".join(map(str, sorted(after)))
        raise BadInput(
            "An {model} cannot be cut into {text}.", reason="geometry", model=model, text=text
        )
    gone = sorted(set(before) - set(after))
    for place in gone:
        if place in busy:
            raise _in_use(place)
    return Steps(tuple(gone), tuple(sorted(set(after) - set(before))))


def _want(model: str, text: str) -> tuple[Placement, ...]:
    """The places where this part of a geometry may lie, the preferred one first."""
    name, _, start = text.partition(":")
    places = placements(model, name)
    if start:
        chosen = tuple(x for x in places if str(x.start) == start)
        if not chosen:
            raise BadInput(
                "On an {model} a {profile} cannot start at {start}; it can start at {starts}.",
                reason="geometry", model=model, profile=name, start=start,
                starts=", ".join(str(x.start) for x in places),
            )
        return chosen
    # 1g and 3g to the right, 2g and 4g to the left: what is left over stays in one piece
    return places[::-1] if places[0].compute in (1, 3) else places


def _arrange(
    wants: list[tuple[Placement, ...]], taken: tuple[Placement, ...]
) -> tuple[Placement, ...] | None:
    if not wants:
        return taken
    used = _used(taken)
    for place in wants[0]:
        if not place.mask & used and (found := _arrange(wants[1:], (*taken, place))) is not None:
            return found
    return None


def _used(taken: Iterable[Placement]) -> int:
    mask = 0
    for place in taken:
        mask |= place.mask
    return mask


def _count(taken: Iterable[Placement], profile: str) -> int:
    return sum(x.profile == profile for x in taken)


def _in_use(place: Placement) -> BadInput:
    return BadInput(
        "The slice {place} is in use; it can be cut anew when nobody holds it.",
        reason="slice-in-use", status=409, place=place,
    )
