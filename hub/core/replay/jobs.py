"""What is replayed: jobs, and the slices of made-up cards. Chance comes from a seed."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hub.core import geometry
from hub.core.mig import FULL, MODELS, Profile, Slice, SliceKey, model_of, profile_of
from hub.core.nouns import Kind
from hub.errors import BadInput, Text

HOUR = 3600.0
DAY = 24 * HOUR
NODE = "replay"
# two cards that give 1g, 2g and 3g about as often as students are taken to want them (6:3:1)
CARDS = (
    "A100-40:3g.20gb,1g.5gb,1g.5gb,1g.5gb,1g.5gb", "A100-40:2g.10gb,2g.10gb,2g.10gb,1g.5gb",
)


@dataclass(frozen=True)
class Job:
    """What somebody needs of a slice, as it would be if nobody else were there.

    `asked_at`: seconds from the replay's beginning. `work`: seconds on a slice. `tail`: seconds for
    which the slice stays held after the work, with nothing happening on it. `patience`: seconds in
    the line after which it is given up.
    """

    id: str
    user: str
    group: str
    kind: Kind
    profile: str
    asked_at: float
    work: float
    tail: float = 0.0
    patience: float = math.inf


@dataclass(frozen=True)
class Trace:
    """Jobs, oldest first, over `length` seconds; `said` is what a reader must know of them."""

    name: str
    jobs: tuple[Job, ...]
    length: float
    said: tuple[Text, ...] = ()


def drawn(*what: object) -> float:
    """A number in [0, 1) that is always the same for the same things: chance from a seed."""
    text = "\x1f".join(map(str, what)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) / 2.0**56


def slices_of(cards: Sequence[str], node: str = NODE) -> tuple[Slice, ...]:
    """The slices of cards, each `model:profile,profile,…` as in the setting `simulated`.

    Raises:
        BadInput: unknown model or profile, or slices that do not fit together.
    """
    return tuple(s for i, text in enumerate(cards) for s in _card(text, i, node))


def _card(text: str, index: int, node: str) -> Iterable[Slice]:
    name, _, cut = text.partition(":")
    model = model_of(name.strip())
    layout = geometry.parse(model.name, cut)
    if not layout:
        raise BadInput(
            "A card needs slices: {text}. Write it like {example}.", reason="geometry", text=text,
            example=CARDS[0],
        )
    for place in layout:
        whole = place.profile == FULL
        mib = model.memory_mib if whole else profile_of(model.name, place.profile).memory_mib
        yield Slice(
            SliceKey(node, f"GPU-{index:03}", place.profile, place.start), f"{index}/{place}",
            model.gpu_name, index, place.compute, place.size, mib,
        )


def rates(slices: Iterable[Slice]) -> dict[str, float]:
    """Profile → slice-hours per hour."""
    return {s.key.profile: s.rate for s in slices}


def capacity(slices: Iterable[Slice]) -> float:
    """Slice-hours per hour of all."""
    return sum(s.rate for s in slices)


def by_size(slices: Iterable[Slice]) -> list[Slice]:
    """One slice of each profile, the smallest first."""
    found = {s.key.profile: s for s in slices}
    return sorted(found.values(), key=lambda s: (s.memory_mib, s.compute, s.key.profile))


def at_least(slices: Iterable[Slice], compute: int, memory_mib: int = 0) -> str:
    """The smallest profile here with so many compute slices and so much memory, else the largest.

    Raises:
        BadInput: there are no slices.
    """
    here = by_size(slices)
    if not here:
        raise BadInput(
            "There are no slices to replay on. Name cards with --cards.", reason="replay"
        )
    big = [s for s in here if s.compute >= compute and s.memory_mib >= memory_mib]
    return (big or here[-1:])[0].key.profile


def fit(profile: str, slices: Sequence[Slice]) -> str:
    """This profile where it is here; else the smallest here that is as large, else the largest."""
    if any(s.key.profile == profile for s in slices):
        return profile
    return at_least(slices, *_size(profile))


def fitted(jobs: Iterable[Job], slices: Sequence[Slice]) -> tuple[tuple[Job, ...], int]:
    """The jobs on these slices, and how many had to take another profile than the one asked for."""
    jobs = tuple(jobs)
    here = {x: fit(x, slices) for x in {j.profile for j in jobs}}
    moved = sum(here[x.profile] != x.profile for x in jobs)
    return tuple(replace(x, profile=here[x.profile]) for x in jobs), moved


def _size(profile: str) -> tuple[int, int]:
    """(compute slices, MiB) of a profile's name on any model; a whole card for an unknown one."""
    named: list[Profile] = [
        p for m in MODELS.values() for p in m.profiles if p.name == profile
    ]
    # drivers differ by some MiB, so a nineteenth less is the same size
    return (named[0].compute, int(named[0].memory_mib * 0.95)) if named else (7, 0)
