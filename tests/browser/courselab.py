"""A course in an open Lab: what lies in its folder, what comes, and where it is on the page."""

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as LateError

from tests.images.courseservice import CourseService, cell_of
from tests.workspace import wait_for

TENSORS, LOOP = "week1/tensors.ipynb", "week1/loop.ipynb"
FOLDER = "courses/torch-101"


def cell(id: str, source: str, kind: str = "code", **metadata: Any) -> dict[str, Any]:
    more = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"id": id, "cell_type": kind, "source": source, "metadata": metadata, **more}


def notebook(*cells: dict[str, Any]) -> str:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells,
                       "metadata": {"kernelspec": kernel}})


BEFORE = notebook(cell("a1", "# Tensors", "markdown"), cell("a2", "x = 1"),
                  *(cell(f"b{i}", f"y = {i}\n" * 8) for i in range(20)))
AFTER = notebook(
    cell("a1", "# Tensors and devices", "markdown"), cell("a2", "x = 1"),
    cell("a2-new", "x = 41  # of the instructor",
         madang={"new_version_of": "a2", "release": 3}),
    *(cell(f"b{i}", f"y = {i}\n" * 8) for i in range(20)), cell("c1", "z = 3"),
)
COMING = {
    TENSORS: (AFTER, "beside", [cell_of("a2", "beside"), cell_of("a1", "taken")]),
    LOOP: (notebook(cell("d1", "loop = 2")), "updated"),
    "README.md": ("Welcome.\n", "new"),
}


def open_file(page: Page, path: str) -> None:
    page.evaluate("path => { jupyterapp.commands.execute('docmanager:open', {path}); }",
                  f"{FOLDER}/{path}")
    expect(tab(page, path)).to_be_visible()
    expect(panel(page).locator(".jp-Cell").first).to_be_visible()


def tab(page: Page, path: str) -> Locator:
    return page.locator("#jp-main-dock-panel .lm-TabBar-tabLabel",
                        has_text=path.rsplit("/", 1)[1])


def panel(page: Page) -> Locator:
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def item(page: Page) -> Locator:
    return page.locator("#madang-course")


def dialog(page: Page) -> Locator:
    return page.locator(".jp-Dialog")


def by_keyboard(page: Page) -> None:
    """Enter on the item; once more where Lab, still starting, took the focus for itself."""
    def offered() -> bool:
        item(page).press("Enter")
        try:
            dialog(page).wait_for(timeout=20_000)
        except LateError:
            return False
        return True

    wait_for(offered, why="the offer")


def command(page: Page, name: str) -> None:
    """Not waited for: it may ask something."""
    page.evaluate("name => { jupyterapp.commands.execute(name); }", name)


def press(page: Page, label: str) -> None:
    dialog(page).get_by_role("button", name=label, exact=True).click()


def save(page: Page) -> None:
    """Ctrl+S until it is saved: a kernel that comes up says its language, which is a change."""
    def saved() -> bool:
        page.keyboard.press("Control+s")
        page.wait_for_timeout(500)
        return not page.evaluate("() => jupyterapp.shell.currentWidget.context.model.dirty")

    wait_for(saved, why="the notebook is saved")


def sources(service: CourseService, path: str) -> dict[str, str]:
    cells = json.loads(service.file(path).read_text())["cells"]
    return {x["id"]: "".join(x["source"]) for x in cells}


def first_cells(page: Page) -> dict[str, str]:
    """The second and the third, as they are in the open notebook."""
    found: dict[str, str] = page.evaluate(
        "() => Object.fromEntries(jupyterapp.shell.currentWidget.content.model.sharedModel.cells"
        ".map(x => [x.id, x.getSource()]).slice(1, 3))")
    return found


def type_into(page: Page, index: int, text: str) -> None:
    panel(page).locator(".jp-Cell").nth(index).locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def look_again(page: Page, service: CourseService) -> None:
    """As somebody who comes back to the page after a while."""
    service.asked.clear()

    def looked() -> bool:
        # a look that is under way has asked before
        page.evaluate("() => { const now = Date.now; Date.now = () => now() + 60000;"
                      "document.dispatchEvent(new Event('visibilitychange')); }")
        return ("GET", "/courses") in service.asked

    wait_for(looked, every=0.5, why="another look")
