"""The person's language: texts in English are the keys, `locale/<language>` has the others.

Catalogues are read when first needed, so there is no build step. A text without a translation is
shown in English.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel import Locale
from babel.messages.pofile import read_po
from jinja2 import pass_context
from jinja2.runtime import Context

from hub.errors import Refusal, Text

LOCALE = Path(__file__).parent / "locale"
SOURCE = "en"


@lru_cache
def languages() -> tuple[str, ...]:
    """The languages that we speak; the source language first."""
    return (SOURCE, *sorted(x.parent.parent.name for x in LOCALE.glob("*/LC_MESSAGES/madang.po")))


def name(language: str) -> str:
    """What a language calls itself: English, 한국어."""
    return Locale(language).get_display_name() or language


def choose(accept: str | None) -> str:
    """The language for an `Accept-Language` header: the best that we speak, else English.

    `ko-KR` is Korean; `*` is anything; q=0 is a refusal; what cannot be read is left out.
    """
    wanted: list[tuple[float, int, str]] = []
    for i, part in enumerate((accept or "")[:1000].split(",")):
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest.strip())
        if tag and weight > 0:
            wanted.append((-weight, i, tag.split("-")[0].strip().lower()))
    for _, _, tag in sorted(wanted):
        if tag in languages():
            return tag
    return SOURCE


def _weight(text: str) -> float:
    if not text:
        return 1.0
    try:
        return float(text.removeprefix("q="))
    except ValueError:
        return 0.0


@lru_cache
def catalogue(language: str) -> Mapping[str, str]:
    """English text → its translation; empty for the source language and for unknown ones."""
    if language == SOURCE or language not in languages():
        return {}
    path = LOCALE / language / "LC_MESSAGES" / "madang.po"
    with path.open("rb") as file:
        found = read_po(file, locale=language)
    return {
        m.id: m.string for m in found
        if isinstance(m.id, str) and isinstance(m.string, str) and m.id and m.string
        and not m.fuzzy
    }


def say(language: str, text: str, **values: object) -> str:
    """`text` in `language`, its `{name}` places filled from `values`.

    A value that is a `Text` is said in that language first. The result is plain text: whoever puts
    it into HTML escapes it.
    """
    found = catalogue(language).get(text, text)
    return found.format(**{k: _said(language, x) for k, x in values.items()}) if values else found


def _said(language: str, value: object) -> object:
    return text(language, value) if isinstance(value, Text) else value


def text(language: str, told: Text) -> str:
    """A `Text` in that language."""
    return say(language, told.template, **told.values)


def refusal(language: str, refused: Refusal) -> str:
    """What the person reads about a refusal."""
    return say(language, refused.template, **refused.values)


def speaker(language: str) -> Callable[..., str]:
    """`say` for one language, as templates of ours call it: `_("Start")`."""

    def _(text: str, **values: object) -> str:
        return say(language, text, **values)

    return _


def template_vars() -> dict[str, Callable[[Any], Any]]:
    """`_` and `language` for JupyterHub's own pages.

    JupyterHub calls each with the user and gives no request; the templates hand in their context.
    """
    return {"_": lambda _: _say_here, "language": lambda _: _language_here}


@pass_context
def _say_here(context: Context, text: str, **values: object) -> str:
    return say(_of(context), text, **values)


@pass_context
def _language_here(context: Context) -> str:
    return _of(context)


def _of(context: Context) -> str:
    # the one thing in JupyterHub's template namespace that knows the request: a bound method
    handler = getattr(context.get("static_url"), "__self__", None)
    request = getattr(handler, "request", None)
    return choose(request.headers.get("Accept-Language")) if request is not None else SOURCE
