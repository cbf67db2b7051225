"""The options form: a card for each image and size, and what may come back from it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hub.config import Settings
from hub.core.sizes import Offer
from hub.errors import BadInput
from hub.face import words

CPU = "cpu"  # the profile of a server without a slice
TEMPLATES = Path(__file__).parent / "templates"
_KEYS = frozenset({"profile", "image", "group", "language"})
_FIELD, _GROUP = "choice", "group"
_LONGEST = 80  # of a group's name; no group has one as long
_A_CHOICE = 2  # with one group there is nothing to choose
_SEVENTHS = 7  # into how many compute slices a card with MIG is cut
_IGNORED = frozenset({"_xsrf"})


@dataclass(frozen=True)
class Choice:
    """What somebody wants to start. `language` and `group` may be empty: nobody said."""

    profile: str
    image: str
    language: str = ""
    group: str = ""

    @property
    def has_slice(self) -> bool:
        """Whether it needs a slice."""
        return self.profile != CPU

    def options(self) -> dict[str, object]:
        """As JupyterHub's user options."""
        return dict(asdict(self))


@dataclass(frozen=True)
class Card:
    """One offer. `memory` in GiB of the GPU; `share` like 3/7, or empty for a whole GPU."""

    value: str
    profile: str
    gpu: str
    memory: str
    share: str
    total: int
    free: int
    waiting: int
    checked: bool


@dataclass(frozen=True)
class Section:
    """The offers of one image."""

    title: str
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Form:
    """The whole form; `problem` is said in place of the slices when the store did not answer.

    `groups`: in whose name the person may ask, where there is a choice; `group` is chosen already.
    """

    sections: tuple[Section, ...]
    problem: str = ""
    groups: tuple[str, ...] = ()
    group: str = ""


def build(
    settings: Settings, offers: Iterable[Offer], last: object = None, problem: str = "",
    groups: tuple[str, ...] = (),
) -> Form:
    """The form, with the choice `last` (or the first offer that is free) already made.

    `last` is what JupyterHub kept of an earlier start, which may be anything; `groups`: in whose
    name the person may ask.
    """
    offers, last = tuple(offers), last if isinstance(last, dict) else {}
    chosen = _preferred(settings, offers, last)
    sections = tuple(
        Section(title, tuple(_card(tag, x, chosen) for x in _sizes(settings, offers)))
        for tag, title in settings.images.items()
    )
    if len(groups) < _A_CHOICE:
        return Form(sections, problem)
    group = last.get("group")
    return Form(sections, problem, groups, group if group in groups else groups[0])


def render(form: Form, language: str) -> str:
    """The form's fields as HTML, to stand inside JupyterHub's own <form>."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("offers.html")
    return template.render(form=form, _=words.speaker(language), language=language)


def from_form(data: Mapping[str, list[str]]) -> dict[str, object]:
    """User options from the posted form, not yet checked against what is allowed.

    Raises:
        BadInput: nothing was chosen, a field that the form does not have, or one that it has not
            filled itself.
    """
    _no_others(set(data) - _IGNORED, {_FIELD, _GROUP})
    given = data.get(_FIELD, [])
    if not given:
        raise BadInput("Please choose what to start.", reason="no-choice")
    image, _, profile = given[0].rpartition(" ")
    group = data.get(_GROUP, [])
    return {"profile": profile, "image": image, **({"group": group[0]} if group else {})}


def from_query(data: Mapping[str, list[str]]) -> dict[str, object]:
    """User options from a link such as /hub/spawn?opt-profile=1g.5gb.

    Raises:
        BadInput: a key that is not an option.
    """
    _no_others(set(data) - _IGNORED, _KEYS)
    return {k: v[0] for k, v in data.items() if k in _KEYS and v}


def check(settings: Settings, options: object) -> Choice:
    """The choice in `options`, which may come from anywhere: form, link, API, an old database.

    Whether the profile exists here is the broker's to say.

    Raises:
        BadInput: an unknown key, a value of another kind than text, an image that is not allowed.
    """
    if not isinstance(options, Mapping):
        raise BadInput("The options must be an object.", reason="options")
    _no_others(set(options), _KEYS)
    for key, value in options.items():
        if not isinstance(value, str):
            raise BadInput(
                "The option {key} must be text, not {value}.", reason="options", key=key,
                value=json.dumps(value, default=str)[:80],
            )
    image = str(options.get("image") or settings.default_image)
    if image not in settings.images:
        raise BadInput(
            "The image {image} is not allowed here. Allowed: {allowed}.", reason="image",
            image=image[:80], allowed=", ".join(settings.images),
        )
    profile = str(options.get("profile") or CPU)
    if profile == CPU and not settings.cpu_offer:
        raise BadInput(
            "Servers without a slice are not offered here. Choose a size.", reason="cpu-offer"
        )
    language = str(options.get("language") or "")
    # whether the person is in the group is the broker's to say
    group = str(options.get("group") or "")[:_LONGEST]
    return Choice(profile, image, language if language in words.languages() else "", group)


def _no_others(given: set[str], known: Iterable[str]) -> None:
    others = sorted(given - set(known))
    if others:
        raise BadInput(
            "Unknown option: {names}. The options are profile, image and group.", reason="options",
            names=", ".join(others)[:200],
        )


def _sizes(settings: Settings, offers: tuple[Offer, ...]) -> list[Offer | None]:
    return [*offers, None] if settings.cpu_offer else list(offers)


def _preferred(
    settings: Settings, offers: tuple[Offer, ...], last: Mapping[str, object]
) -> tuple[str, str]:
    profiles = {x.profile for x in offers} | ({CPU} if settings.cpu_offer else set())
    image, profile = last.get("image"), last.get("profile")
    known = isinstance(image, str) and isinstance(profile, str)
    if known and image in settings.images and profile in profiles:
        return str(image), str(profile)
    free = next((x.profile for x in offers if x.free), None)
    first = next((x.profile for x in offers), CPU)
    return settings.default_image, free or first


def _card(image: str, offer: Offer | None, chosen: tuple[str, str]) -> Card:
    profile = offer.profile if offer else CPU
    value, checked = f"{image} {profile}", (image, profile) == chosen
    if offer is None:
        return Card(value, CPU, "", "", "", 0, 0, 0, checked)
    whole = offer.compute >= _SEVENTHS
    return Card(
        value, profile, offer.gpu_name, f"{offer.memory_mib / 1024:.1f}".removesuffix(".0"),
        "" if whole else f"{offer.compute}/{_SEVENTHS}",
        offer.total, offer.free, offer.waiting, checked,
    )
