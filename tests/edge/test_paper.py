"""A notebook as a page: to be read, and with nothing in it that runs or is loaded."""

import json
import re
from base64 import b64encode
from typing import Any

import pytest

from hub.core.scrub import scrubbed
from hub.edge.paper import html
from tests.notebooks import code, notebook, png, printed, shown, text

ALERT = "<script>alert(1)</script>"
SVG = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
# whatever runs, or is fetched, or leaves the page's flow
RUNS = re.compile(
    r"<\s*(script|iframe|object|embed|base|link|svg|math|form|input|meta http-equiv=.refresh)"
    r"|\bon[a-z]+\s*=\s*[\"']?[a-z]+\(|javascript:|data:text|data:image/svg|url\(\s*[\"']?(?!data:)",
    re.IGNORECASE,
)


def body(page: bytes) -> str:
    return page.decode().partition("<main>")[2]


HOSTILE: list[Any] = [
    text("a", ALERT), text("a", "[x](javascript:alert(1)) ![y](https://evil.example/pixel.png)"),
    text("a", "<a href='java\tscript:alert(1)'>x</a> <a href='&#106;avascript:alert(1)'>y</a>"),
    text("a", "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>"),
    text("a", "<svg><style><img src=x onerror=alert(1)></style></svg>"),
    text("a", "<form action=//evil><button>go</button></form><base href=//evil>"),
    text("a", "<div style='background:url(//evil);position:fixed;inset:0'>x</div>"),
    text("a", f"```{ALERT}\n{ALERT}\n```\n`{ALERT}`"), text("a", "# <img src=x onerror=alert(1)>"),
    {**text("a", "![](attachment:x)"), "attachments": {"x": {"image/svg+xml": SVG}}},
    {**text("a", ALERT), "cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}},
    {**text("a", "x"), "cell_type": ALERT},
    {**code("a", ALERT), "id": f"'>{ALERT}"}, code("a", "x", tags=(f"'>{ALERT}",)),
    {**code("a", "x"), "execution_count": ALERT},
    *(code("a", "x", shown(kind, content)) for kind, content in (
        ("text/html", ALERT), ("text/html", "<img src=x onerror=alert(1)>"), ("text/html", SVG),
        ("text/html", "<iframe srcdoc='<script>alert(1)</script>'></iframe>"),
        ("text/html", "<img src='data:image/svg+xml;base64,AAAA'>"),
        ("text/html", "<meta http-equiv=refresh content='0;url=//evil'>"),
        ("text/markdown", ALERT), ("text/latex", ALERT), ("image/svg+xml", SVG),
        ("application/javascript", "alert(1)"), ("text/vnd.mermaid", ALERT),
        ("application/vnd.jupyter.widget-view+json", {"model_id": ALERT}),
        ("image/png", '"><script>alert(1)</script>'), ("image/png", b64encode(b"<svg>").decode()),
        ("text/plain", ALERT),
    )),
    code("a", "x", shown("image/png", png()) | {
        "metadata": {"image/png": {"width": "1 onerror=alert(1)", "height": ALERT}}
    }),
    code("a", "x", shown("image/png", png()) | {
        "metadata": {"filenames": {"image/png": "x' onerror='alert(1)"}}
    }),
    code("a", "x", {**printed(ALERT), "name": ALERT}), code("a", "x", printed(f"\x1b[31m{ALERT}")),
    code("a", "x", {"output_type": "error", "ename": ALERT, "evalue": ALERT,
                    "traceback": [f"\x1b[1m{ALERT}", {"a": 1}]}),
    code("a", "x", {"output_type": ALERT}),
]


@pytest.mark.parametrize("cell", HOSTILE, ids=lambda x: json.dumps(x)[40:80])
def test_nothing_that_a_notebook_holds_runs_or_is_loaded(cell: dict[str, Any]) -> None:
    page = html(notebook(cell))
    found = RUNS.search(re.sub(r"&[a-z#0-9]+;[^<]*", "", body(page)))
    assert not found, body(page)


@pytest.mark.filterwarnings("ignore:No lexer found")
@pytest.mark.parametrize("metadata", [
    {"title": f"</title>{ALERT}"},
    {"widgets": {"application/vnd.jupyter.widget-state+json": ALERT}},
    {"language_info": {"name": ALERT, "pygments_lexer": "../../x"}},
    {"language_info": {"name": "no-such-language"}}, {"kernelspec": {"language": ALERT}},
])
def test_nothing_in_its_metadata_does(metadata: dict[str, Any]) -> None:
    page = html(notebook(code("a", "x = 1"), metadata=metadata)).decode()
    assert "alert(1)" not in page
    assert "x" in body(page.encode())


def test_the_page_forbids_scripts_before_anything_else() -> None:
    page = html(notebook()).decode()
    assert re.search(
        r'<head><meta http-equiv="Content-Security-Policy" content="default-src \'none\';', page
    )
    assert "<script" not in page
    assert not re.search(r"(src|href)=.https?:", page)


def test_it_can_be_read() -> None:
    table = (
        "<table border=1 class='dataframe'><thead><tr><th>x</th></tr></thead>"
        "<tbody><tr><td>1</td></tr></tbody></table>"
    )
    attached = {**text("c", "![](attachment:a.png) ![](attachment:none.png)"),
                "attachments": {"a.png": {"image/png": png(5, 5)}}}
    page = body(html(notebook(
        text("a", "# 제목\n\n- *one*\n\n[link](https://example.org)\n\n| a |\n|---|\n| 2 |\n"),
        code("b", "print('<안녕>')", printed("<안녕>"), shown("text/html", table),
             shown("image/png", png())),
        attached,
    )))
    assert "<h1>제목</h1>" in page
    assert "<em>one</em>" in page
    assert '<a href="https://example.org">link</a>' in page
    assert page.count("<td>") == 2
    assert "&lt;안녕&gt;" in page
    assert f'src="data:image/png;base64,{png()}"' in page
    assert f'src="data:image/png;base64,{png(5, 5)}"' in page
    assert "&lt;td" not in page


@pytest.mark.parametrize("broken", [
    {}, {"cells": 5}, {"cells": [None, 1, "x", [], {}]}, {"cells": [{"cell_type": "code"}]},
    {"cells": [{"cell_type": "markdown", "source": {"a": 1}}], "metadata": 3, "nbformat": 9},
    {"cells": [{"cell_type": "code", "source": "\ud800", "outputs": [1, {"data": 5}, {}]}]},
])
def test_what_is_hardly_a_notebook_is_a_page_all_the_same(broken: dict[str, Any]) -> None:
    assert b"<main>" in html(broken)


def test_what_is_too_large_is_left_out() -> None:
    many = [printed(f"line {i}\n") for i in range(1000)]
    found = scrubbed(notebook(
        code("a", "x" * 10**6, *many), code("b", "", printed("y" * 10**6)),
        code("c", "", shown("text/html", "<b>" * 10**6) | {
            "data": {"text/html": "<b>" * 10**6, "text/plain": "plain"}}),
    ))
    first, second, third = found["cells"]
    assert len(first["source"]) < 200_000
    assert len(first["outputs"]) == 201
    assert len(second["outputs"][0]["text"]) < 200_000
    assert second["outputs"][0]["text"].endswith("y")
    assert third["outputs"][0]["data"] == {"text/plain": "plain"}
