"""The verbs of `make` that check: test, lint, bench."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hub.face.setup import dockerd, parts
from hub.face.setup.talk import ROOT, say

_LINT = (("ruff", "check", "."), ("mypy",))  # what mypy reads stands in pyproject.toml


def test() -> None:
    """Lint, then all tests but the benchmarks, on a Docker Engine that is stopped again."""
    parts.git()
    parts.python(tests=True)
    parts.proxy()
    parts.browser()
    parts.postgresql()
    with dockerd.borrowed() as alone:
        parts.images()
        code = _lint()
        # the tests run even when lint fails: one round shows all there is to mend
        code = _tests(alone=alone) or code
    # nothing is printed after pytest's closing line
    raise SystemExit(code)


def lint() -> None:
    """Run ruff and mypy."""
    parts.python(tests=True)
    raise SystemExit(_lint())


def bench() -> None:
    """The benchmarks: figures of this machine."""
    parts.python(tests=True)
    parts.proxy()
    with dockerd.borrowed():
        parts.images()
        # one after the other: each has the machine to itself
        codes = [_bench(x) for x in sorted((ROOT / "tests" / "bench").glob("[a-z]*.py"))]
    raise SystemExit(max(codes, default=0))


def _bench(file: Path) -> int:
    say(f"• {file.relative_to(ROOT)}")
    return _call("-m", f"tests.bench.{file.stem}", env={"PYTHONPATH": str(ROOT)})


def _lint() -> int:
    worst = 0
    for argv in _LINT:
        say(f"• {' '.join(argv)}")
        worst = max(worst, _call("-m", *argv))
    return worst


def _tests(*, alone: bool) -> int:
    """What shakes the whole machine by itself first, then the rest on several workers.

    In this order because the many end with pytest's closing line, which counts nearly all.
    """
    everything = ("tests", "--ignore=tests/bench")
    first = _pytest(*everything, "-m", "alone", alone=alone)
    # most of the time is waiting for containers and browsers: more workers than cores
    workers = str(max(4, (os.cpu_count() or 2) // 2))
    rest = _pytest(
        *everything, "-m", "not alone", "-n", workers, "--dist", "loadfile",
        "--no-loadscope-reorder",
    )
    return first or rest


def _pytest(*arguments: str, alone: bool = False) -> int:
    # a test restarts dockerd, which it may do to nobody else's
    env = {"MADANG_TEST_OWNS_DOCKERD": "1"} if alone else {}
    return _call("-m", "pytest", *arguments, env=env)


def _call(*arguments: str, env: Mapping[str, str] | None = None) -> int:
    env = {**os.environ, **(env or {}), "PATH": parts.search_path()}
    done = subprocess.run(
        [str(parts.PYTHON), *arguments], env=env, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    return done.returncode
