"""What is imported is declared, and what is declared is locked."""

import re
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.house import lock
from tests.house.sources import ROOT, files, imports

# imported by the hub but no package of its own: said why
_NOT_DECLARED = {"madang"}


def _declared(names: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(x).name) for x in names}


def test_every_library_that_the_hub_imports_is_declared() -> None:
    hub, _ = lock.wanted()
    known, where = _declared(hub), packages_distributions()
    missing = []
    for path in (*files("hub"), ROOT / "spawner_config.py"):
        for one in imports(path):
            top = one.module.partition(".")[0]
            if top in sys.stdlib_module_names or top in {"hub", "tests", "", *_NOT_DECLARED}:
                continue
            if not {canonicalize_name(x) for x in where.get(top, [top])} & known:
                missing.append(str(one))
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("path", [lock.HUB, lock.TESTS], ids=["hub", "tests"])
def test_the_lock_holds_what_is_declared(path: "lock.Path") -> None:
    """Versions may differ on another Python; every package must be there, with one version."""
    lines = [x for x in path.read_text().splitlines() if not x.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.+]+", x) for x in lines)
    locked = {x.partition("==")[0] for x in lines}
    needed = {x.partition("==")[0] for x in lock.locks()[path].splitlines() if "==" in x}
    assert needed == locked


@pytest.mark.parametrize("path", sorted(lock.locks()), ids=lambda p: p.parent.name)
def test_every_locked_package_takes_debians_python(path: Path) -> None:
    """Debian 12 has 3.11.2: a lock made with a later 3.11 may name what pip will not find there."""
    for line in path.read_text().splitlines():
        name, _, _ = line.partition("==")
        if line.startswith("#"):
            continue
        wanted = distribution(name).metadata["Requires-Python"] or ""
        assert SpecifierSet(wanted).contains("3.11.2"), f"{line} needs Python {wanted}"
