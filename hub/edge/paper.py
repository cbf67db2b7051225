"""nbconvert: a notebook as an HTML page in which nothing runs and nothing is loaded.

Four fences, one behind the other: the notebook is scrubbed before, its HTML is cleaned here, the
template has no scripts, and the page itself forbids them, also where it is opened as a file.
"""

# nbconvert has no types
# mypy: disable-error-code="no-untyped-call"

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from nbconvert import HTMLExporter

from hub.core.scrub import POLICY, scrubbed

_META = f"{POLICY}; base-uri 'none'; form-action 'none'"
_TAGS = frozenset({
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "del", "div",
    "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li",
    "ol", "p", "pre", "s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td",
    "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var",
})
_ATTRIBUTES = {
    "*": ["class", "title", "dir", "lang"], "th": ["colspan", "rowspan", "scope"],
    "td": ["colspan", "rowspan"], "ol": ["start", "type"],
}
_STYLES = frozenset({
    "background-color", "border", "color", "font-style", "font-weight", "text-align", "width",
})
_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
# a picture whose address was taken away
_EMPTY = re.compile(r'<img(?:\s+(?:alt|class|title|dir|lang)="[^"]*")*\s*/?>')
_ACTIVE = re.compile(
    r"<\s*/?\s*(?:script|iframe|object|embed|base|link|svg|form)\b", re.IGNORECASE
)
# nbconvert's own blocks that load scripts, emptied
_TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_widget_view -%}{%- endblock -%}
{%- block data_mermaid -%}{%- endblock -%}
{%- block data_svg -%}{%- endblock -%}
"""


def html(notebook: Mapping[str, Any]) -> bytes:
    """The page, in UTF-8.

    Raises:
        ValueError: something in it could run all the same.
        Exception: whatever nbconvert raises for what is not a notebook.
    """
    text = json.dumps(scrubbed(notebook))
    made, _ = _exporter().from_file(io.StringIO(text), {"metadata": {"name": "Madang"}})
    return _closed(made).encode()


@cache
def _exporter() -> Any:
    """Made once: its templates are compiled when they are first used."""
    made = HTMLExporter(
        sanitize_html=True, embed_images=False, raw_template=_TEMPLATE, exclude_anchor_links=True,
    )
    made.register_filter("clean_html", _clean)
    return made


def _clean(element: object) -> str:
    """HTML with nothing in it that runs, loads or leaves the page's flow."""
    text = element.decode() if isinstance(element, bytes) else str(element)
    cleaned: str = bleach.clean(
        text, tags=_TAGS, attributes=_allowed, protocols={"http", "https", "mailto", "data"},
        css_sanitizer=CSSSanitizer(allowed_css_properties=_STYLES), strip=True,
    )
    return _EMPTY.sub("", cleaned)


def _allowed(tag: str, name: str, value: str) -> bool:
    if name in _ATTRIBUTES["*"] or name in _ATTRIBUTES.get(tag, ()):
        return True
    if name == "style":
        # inside a style only what the browser need not fetch
        return "(" not in value
    if tag == "img":
        return name == "alt" or (name == "src" and _PICTURE.fullmatch(value) is not None)
    return tag == "a" and name == "href" and value.startswith(("http:", "https:", "mailto:", "#"))


def _closed(page: str) -> str:
    """The page with its own policy in front of everything."""
    before, head, rest = page.partition("<head>")
    if not head:
        raise ValueError("the template has no head")
    found = _ACTIVE.search(rest)
    if found is not None:
        raise ValueError(f"{found[0]!r} is in the page")
    meta = f'<meta http-equiv="Content-Security-Policy" content="{_META}">'
    return f"{before}{head}{meta}{rest}"
