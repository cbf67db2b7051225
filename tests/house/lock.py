"""The locks: exact versions of everything that pyproject.toml's lists need, as installed here.

    python tests/house/lock.py        write hub/requirements.txt and tests/requirements.txt
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
HUB, TESTS = ROOT / "hub" / "requirements.txt", ROOT / "tests" / "requirements.txt"
_HEAD = "# {what}; written by `python tests/house/lock.py`, do not edit.\n"


def wanted() -> tuple[list[str], list[str]]:
    """What we import, and what the tests need beside it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["dependencies"], project["optional-dependencies"]["test"]


def closure(names: list[str]) -> dict[str, str]:
    """Package → installed version, for `names` and all that they need on this Python."""
    found: dict[str, str] = {}
    todo = [Requirement(x) for x in names]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        one = todo.pop()
        name = canonicalize_name(one.name)
        if (name, frozenset(one.extras)) in seen:
            continue
        seen.add((name, frozenset(one.extras)))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed: pip install it, then lock again") from None
        found[name] = installed.version
        for text in installed.requires or ():
            need = Requirement(text)
            extras = one.extras or {""}
            if need.marker is None or any(need.marker.evaluate({"extra": x}) for x in extras):
                todo.append(need)
    return found


def locks() -> dict[Path, str]:
    """The two files as they should be."""
    hub, tests = wanted()
    base = closure(hub)
    more = {k: v for k, v in closure(tests).items() if k not in base}
    made = ((HUB, "What the host runs", base), (TESTS, "What the tests need beside it", more))
    return {
        path: _HEAD.format(what=what) + "".join(f"{k}=={v}\n" for k, v in sorted(found.items()))
        for path, what, found in made
    }


if __name__ == "__main__":
    for target, text in locks().items():
        target.write_text(text)
        print(f"{target.relative_to(ROOT)}: {text.count(chr(10)) - 1} packages", file=sys.stderr)
