"""The 22 cases of the research, merged by us, by git and by nbdime; what each merge costs.

    .venv/bin/python -m tests.bench.course [--times 30]

git really merges: three commits, `git merge`, and `git merge -Xours` as nbgitpuller does. nbdime
merges with its strategies "inline" and "use-local". All get the same three files, in one run. In
the table "S" and "I" are what the student and the instructor wrote: "ok" is that both are there,
nothing is there twice or has come back, and code that parsed does. "told": the tool said so.
Times are the processor's, so that nbdime's and ours can be compared on a busy machine; git's are
those of a program that is started.
"""

import argparse
import ast
import json
import logging
import random
import statistics
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.core.course import merge
from tests.core.coursecases import CASES, Case, cell
from tests.core.coursecases import book as made

Book = dict[str, Any]
GIT = ("git", "-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false")


@dataclass(frozen=True)
class Result:
    """A merged file, whether the tool told of a conflict, seconds; or the name of its crash."""

    text: str
    told: bool
    seconds: float
    crash: str = ""
    merged: frozenset[str] = frozenset()  # sources that it says are put together line by line


def written(book: Book) -> str:
    """As Lab saves it: what git compares is its lines."""
    cells = [{**x, "source": x["source"].splitlines(keepends=True)} for x in book["cells"]]
    return json.dumps({**book, "cells": cells}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


# ---- the tools -----------------------------------------------------------------------------------


def ours(case: Case) -> Result:
    begun = time.process_time()
    found = merge(case.base, case.new, case.mine)
    took = time.process_time() - begun
    lines = frozenset(x.source_after for x in found.cells if x.fate == "line-merged")
    return Result(written(found.notebook), bool(found.conflicts), took, merged=lines)


def git(*options: str) -> Callable[[Case], Result]:
    def run(folder: Path, *words: str) -> int:
        line = [*GIT, *words]
        return subprocess.run(line, cwd=folder, capture_output=True, check=False).returncode

    def merged(case: Case) -> Result:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            run(folder, "init", "-q", "-b", "student")
            for branch, book in (("student", case.base), ("release", case.new),
                                 ("student", case.mine)):
                if branch == "release":
                    run(folder, "checkout", "-q", "-b", "release")
                elif (folder / "lab.ipynb").exists():
                    run(folder, "checkout", "-q", "student")
                (folder / "lab.ipynb").write_text(written(book))
                run(folder, "add", ".")
                run(folder, "commit", "-q", "-m", "x")
            begun = time.perf_counter()
            code = run(folder, "merge", "-q", *options, "-m", "x", "release")
            took = time.perf_counter() - begun
            return Result((folder / "lab.ipynb").read_text(), code != 0, took)

    return merged


def nbdime(strategy: str) -> Callable[[Case], Result]:
    import nbformat
    from nbdime.merging.notebooks import merge_notebooks

    args = Namespace(merge_strategy=strategy, input_strategy=None, output_strategy=None,
                     ignore_transients=True, log_level="ERROR")

    def merged(case: Case) -> Result:
        books = [nbformat.from_dict(deepcopy(x)) for x in (case.base, case.mine, case.new)]
        begun = time.process_time()
        try:
            found, decisions = merge_notebooks(*books, args)
        except Exception as crash:  # noqa: BLE001 - whatever it raises is its result
            return Result("", told=True, seconds=0, crash=type(crash).__name__)
        took = time.process_time() - begun
        return Result(written(found), any(x.conflict for x in decisions), took)

    return merged


# ---- what came out -------------------------------------------------------------------------------


def judged(case: Case, result: Result) -> str:
    """In a few words."""
    if result.crash:
        return f"CRASH: {result.crash}"
    try:
        book = json.loads(result.text)
    except ValueError:
        return "NOT JSON"
    for x in book["cells"]:
        x["source"] = "".join(x["source"])
    found = [*_lost(case, book, result), *_harm(case, book)]
    extra = len(book["cells"]) - _expected(case)
    told = ["told"] if result.told else []
    return ", ".join([*(found or ["ok"]), *([f"{extra:+d} cells"] if extra > 0 and found else []),
                      *told])


def _lost(case: Case, book: Book, result: Result) -> list[str]:
    text = "\n".join([*(x["source"] for x in book["cells"]), json.dumps(book, ensure_ascii=False)])
    sources = {x["source"] for x in book["cells"]}
    found = []
    if not all(x in text for x in case.student):
        found.append("S LOST")
    elif not set(case.verbatim) <= sources | result.merged:
        found.append("S's cell changed")
    if not all(x in text for x in case.instructor):
        found.append("I LOST" if result.told else "I LOST silently")
    return found


def _harm(case: Case, book: Book) -> list[str]:
    found = []
    code = [x["source"] for x in book["cells"] if x["cell_type"] == "code"]
    ids = [str(x["id"]) for x in book["cells"] if "id" in x]
    if any("<<<<<<<" in x for x in code):
        found.append("markers in code")
    elif not all(map(_parses, code)):
        found.append("BROKEN code")
    if any("<<<<<<<" in x["source"] for x in book["cells"] if x["cell_type"] != "code"):
        found.append("markers in text")
    if "<<<<<<<" in json.dumps([x.get("outputs") for x in book["cells"]]):
        found.append("markers in outputs")
    if len(set(ids)) < len(ids):
        found.append("ids twice")
    if not all(isinstance(x.get("id", ""), str) for x in book["cells"]):
        found.append("an id is no text")
    if _back(case) & {x["source"] for x in book["cells"]}:
        found.append("a removed cell stays")
    if any(_stale(case, x) for x in book["cells"]):
        found.append("old output under new code")
    return found


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _sources(book: Book) -> set[str]:
    return {x["source"] for x in book["cells"]}


def _back(case: Case) -> set[str]:
    """What the instructor removed and the student had not changed."""
    kept = {x.get("id") for x in case.new["cells"]}
    gone = {x["source"] for x in case.base["cells"] if x["id"] not in kept}
    return (gone & _sources(case.mine)) - _sources(case.new)


def _stale(case: Case, found: Book) -> bool:
    new = _sources(case.new) - _sources(case.mine)
    return found["source"] in new and "STUDENT ran" in json.dumps(found.get("outputs"))


def _expected(case: Case) -> int:
    return len(merge(case.base, case.new, case.mine).notebook["cells"])


def table(tools: dict[str, Callable[[Case], Result]]) -> None:
    print(f"\n| case | {' | '.join(tools)} |\n|---|{'---|' * len(tools)}")
    for case in CASES:
        results = [tool(case) for tool in tools.values()]
        cells = (f"{judged(case, x)} ({x.seconds * 1000:.1f} ms)" for x in results)
        print(f"| {case.name} {case.says} | {' | '.join(cells)} |")


# ---- figures -------------------------------------------------------------------------------------


def random_case(cells: int, luck: random.Random) -> Case:
    """A student's five edits and the instructor's three; the student has run everything."""
    def text(i: int) -> str:
        return f"# step {i}\nx = {i}\n\nfor k in range(x):\n    train(k, rate={i / 100})\n\nplot(x)"

    base = made(*(cell(f"{'cm'[i % 3 == 0]}{i}", text(i)) for i in range(cells)))
    mine, new = deepcopy(base), deepcopy(base)
    for one, count, word in ((mine, 5, "STUDENT"), (new, 3, "INSTRUCTOR")):
        for i in luck.sample(range(cells), count):
            source = one["cells"][i]["source"].split("\n")
            source[luck.randrange(len(source))] += f"  # {word} {i}"
            one["cells"][i]["source"] = "\n".join(source)
    for i, x in enumerate(mine["cells"]):
        if x["cell_type"] == "code":
            x["execution_count"] = i
            x["outputs"] = [{"output_type": "stream", "name": "stdout", "text": f"{i}\n" * 20}]
    return Case("", "", base, new, mine, (), ())


def figures(tools: dict[str, Callable[[Case], Result]], times: int) -> None:
    print(f"\nmedian (worst) ms of a merge on the processor, {times} notebooks each, in turns")
    luck = random.Random(5)
    shapes = [("the 22 cases", list(CASES) * max(1, times // len(CASES)))] + [
        (f"{n} cells", [random_case(n, luck) for _ in range(times)]) for n in (24, 200)]
    for shape, cases in shapes:
        taken: dict[str, list[float]] = {x: [] for x in tools}
        for case in cases:
            for name, tool in tools.items():
                result = tool(case)
                if not result.crash:
                    taken[name].append(result.seconds * 1000)
        print(f"  {shape:14s} " + "   ".join(
            f"{name} {statistics.median(x):.2f} ({max(x):.1f})" for name, x in taken.items() if x))


def main() -> None:
    """Print the table, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=30)
    asked = parser.parse_args()
    import nbdime as package

    logging.disable()  # nbdime tells of each conflict
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    print(f"{version.stdout.strip()}, nbdime {package.__version__}")
    nbdimes = {f"nbdime {x}": nbdime(x) for x in ("inline", "use-local")}
    table({"ours": ours, "git merge": git(), "git merge -Xours": git("-Xours"), **nbdimes})
    figures({"ours": ours, **nbdimes}, asked.times)


if __name__ == "__main__":
    main()
