"""Slices and cards: the types that cross walls, each model's profiles, and where they may lie.

What can be cut beside what is in `hub.core.geometry`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

from hub.errors import BadInput


class SliceKey(NamedTuple):  # a dataclass takes seven times as long to sort and to look up
    """A slice's identity for ever. The MIG UUID changes when the instance is made again.

    `gpu` is the GPU's UUID (`GPU-…`), `profile` the driver's name (`3g.20gb`; "full" where MIG is
    off and the whole GPU is the slice), `start` the first of its memory slots (0 to 7).
    """

    node: str
    gpu: str
    profile: str
    start: int

    def __str__(self) -> str:
        return f"{self.node}/{self.gpu[:12]}/{self.profile}@{self.start}"


@dataclass(frozen=True)
class Slice:
    """A slice as last seen. `processes` is None where NVML could not say (unknown is not none).

    `blocked` says why an operator took it out of use; "" where nobody did.
    """

    key: SliceKey
    uuid: str
    gpu_name: str
    gpu_index: int
    compute: int
    memory: int
    memory_mib: int
    used_mib: int | None = None
    processes: tuple[int, ...] | None = ()
    present: bool = True
    blocked: str = ""

    @property
    def usable(self) -> bool:
        """Seen, seen with no process on it, and taken out of use by nobody."""
        return self.present and self.processes == () and not self.blocked

    @property
    def rate(self) -> float:
        """Slice-hours per hour: what it blocks of a card, in sevenths; 1 for a 1g, 3.5 for a 3g."""
        return max(self.compute, SEVENTHS * self.memory / SLOTS)


@dataclass(frozen=True)
class Gpu:
    """A card as last seen. `model` is a key of MODELS, or None for a card without a geometry."""

    uuid: str
    index: int
    name: str
    model: str | None
    mig: bool
    memory_mib: int


@dataclass(frozen=True)
class Sample:
    """One look at a node's GPUs."""

    node: str
    gpus: tuple[Gpu, ...]
    slices: tuple[Slice, ...]


# ---- models --------------------------------------------------------------------------------------

SLOTS = 8  # memory slots of a card; placements count these, not the seven compute slices
SEVENTHS = 7
FULL = "full"


@dataclass(frozen=True)
class Profile:
    """A size that a model can have. `memory` is in slots (a 3g has 4, a 7g has 8), `most` how many.

    `id` is NVML's profile id (19, 14, 9 …), not its enum. `media`: the `+me` twin of the 1g, which
    owns the card's one media engine; it is left out of the layouts.
    """

    name: str
    id: int
    compute: int
    memory: int
    memory_mib: int
    sms: int
    most: int
    media: bool = False

    @property
    def double(self) -> bool:
        """A 1g with twice the memory."""
        return self.compute == 1 and self.memory > 1


@dataclass(frozen=True, order=True)
class Placement:
    """A profile at a place: memory slots `start` … `start + size - 1`."""

    start: int
    size: int
    profile: str
    compute: int

    @property
    def mask(self) -> int:
        """Its memory slots as bits."""
        return ((1 << self.size) - 1) << self.start

    def __str__(self) -> str:
        return f"{self.profile}:{self.start}"


@dataclass(frozen=True)
class Model:
    """A kind of card. `gpu_name` is how the driver names the commonest one of them."""

    name: str
    gpu_name: str
    memory_mib: int
    profiles: tuple[Profile, ...]


Row = tuple[str, int, int, int, int]


def _profile(total_mib: int, row: Row) -> Profile:
    # NVIDIA's own rule (nvml-mock, checked against `nvidia-smi mig -lgipp` of four cards)
    name, id, compute, memory_mib, sms = row
    eighths = -(-memory_mib * SLOTS // total_mib)
    memory = 1 << (eighths - 1).bit_length()
    most = min(SLOTS // memory, SEVENTHS // compute)
    return Profile(name, id, compute, memory, memory_mib, sms, most)


def _model(name: str, gpu_name: str, total_mib: int, *rows: Row) -> Model:
    profiles = tuple(_profile(total_mib, x) for x in rows)
    one = min(profiles, key=lambda x: (x.compute, x.memory))
    media = replace(one, name=f"{one.name}+me", id=20, most=1, media=True)
    return Model(name, gpu_name, total_mib, (*profiles, media))


# name, NVML's profile id, compute slices, usable MiB, SMs: as `nvidia-smi mig -lgip` prints them
# (MIG user guide; NVIDIA/mig-parted#120 for the H200). Usable memory varies a little by driver.
MODELS: Mapping[str, Model] = {
    x.name: x
    for x in (
        _model(
            "A100-40", "NVIDIA A100-SXM4-40GB", 40960,
            ("1g.5gb", 19, 1, 4864, 14), ("1g.10gb", 15, 1, 9856, 14),
            ("2g.10gb", 14, 2, 9856, 28), ("3g.20gb", 9, 3, 19968, 42),
            ("4g.20gb", 5, 4, 19968, 56), ("7g.40gb", 0, 7, 40192, 98),
        ),
        _model(
            "A100-80", "NVIDIA A100-SXM4-80GB", 81920,
            ("1g.10gb", 19, 1, 9728, 14), ("1g.20gb", 15, 1, 19968, 14),
            ("2g.20gb", 14, 2, 19968, 28), ("3g.40gb", 9, 3, 40192, 42),
            ("4g.40gb", 5, 4, 40192, 56), ("7g.80gb", 0, 7, 80896, 98),
        ),
        _model(
            "H100-80", "NVIDIA H100 80GB HBM3", 81559,
            ("1g.10gb", 19, 1, 9984, 16), ("1g.20gb", 15, 1, 20096, 26),
            ("2g.20gb", 14, 2, 20096, 32), ("3g.40gb", 9, 3, 40448, 60),
            ("4g.40gb", 5, 4, 40448, 64), ("7g.80gb", 0, 7, 81152, 132),
        ),
        _model(
            "H200", "NVIDIA H200", 143771,
            ("1g.18gb", 19, 1, 16384, 16), ("1g.35gb", 15, 1, 33024, 26),
            ("2g.35gb", 14, 2, 33024, 32), ("3g.71gb", 9, 3, 71168, 60),
            ("4g.71gb", 5, 4, 71168, 64), ("7g.141gb", 0, 7, 143360, 132),
        ),
    )
}


def find_model(gpu_name: str, memory_mib: int) -> str | None:
    """The key of MODELS for a card that the driver names so; None for a card without a geometry.

    The family is a word of the name (a "GH200" is no H200), the memory tells 40 GB from 80 GB; an
    H100 with 94 GB has other profiles and is none of ours.
    """
    words = set(re.split(r"[^A-Z0-9]+", gpu_name.upper()))
    for key, model in MODELS.items():
        near = abs(memory_mib - model.memory_mib) <= model.memory_mib * 0.03
        if key.split("-")[0] in words and near:
            return key
    return None


def model_of(name: str) -> Model:
    """The model with this key.

    Raises:
        BadInput: no such model; names those there are.
    """
    if name not in MODELS:
        raise BadInput(
            "There is no card model {model}; known are {models}.",
            reason="unknown-model", model=repr(name), models=", ".join(MODELS),
        )
    return MODELS[name]


def profile_of(model: str, profile: str) -> Profile:
    """The profile of this name on this model (on another model the name may mean another size).

    Raises:
        BadInput: the model has no such profile; names those it has.
    """
    card = model_of(model)
    for found in card.profiles:
        if found.name == profile:
            return found
    raise BadInput(
        "An {model} has no slice size {profile}; it has {profiles}.",
        reason="unknown-profile", model=model, profile=repr(profile), profiles=_names(card),
    )


def require(profile: str, gpus: Iterable[Gpu], seen: Iterable[str] = ()) -> None:
    """Returns when some GPU here can have a slice of this profile, whatever it is cut into now.

    `seen`: profiles of the slices there are; they speak for cards of an unknown model.

    Raises:
        BadInput: a profile no GPU can have ("unknown-profile"), or none here ("profile-not-here").
    """
    here = set(seen)
    for gpu in gpus:
        here |= {FULL} if not gpu.mig else set(_names_of(gpu.model))
    if profile in here:
        return
    known = profile == FULL or any(profile in _names_of(x) for x in MODELS)
    raise BadInput(
        "No GPU here can have a slice of size {profile}; the sizes here are {profiles}." if known
        else "There is no slice size {profile} on any GPU; the sizes here are {profiles}.",
        reason="profile-not-here" if known else "unknown-profile",
        profile=repr(profile), profiles=", ".join(sorted(here)) or "none",
    )


@cache
def placements(model: str, profile: str) -> tuple[Placement, ...]:
    """Where this profile can lie, lowest start first: every `size` slots, at most `most` places.

    Raises:
        BadInput: unknown model or profile.
    """
    if profile == FULL:
        return (Placement(0, SLOTS, FULL, SEVENTHS),)
    p = profile_of(model, profile)
    places = SEVENTHS if p.media else p.most  # one +me per card, but in any of seven places
    return tuple(Placement(n * p.memory, p.memory, p.name, p.compute) for n in range(places))


def _names_of(model: str | None) -> tuple[str, ...]:
    card = MODELS.get(model or "")
    return tuple(p.name for p in card.profiles) if card else ()


def _names(model: Model) -> str:
    return ", ".join(_names_of(model.name))
