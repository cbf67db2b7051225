"""What no run needs is not imported: it would cost each of them a third of a second.

A runner is isolated (`python -I`), so all that is left out here is known: the image's own.
"""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

# what jsonschema imports if it is there, to check dates and addresses in other people's schemas;
# no notebook format has any. The first compiles a grammar for 2 to 3 seconds
_FORMATS = (
    "rfc3987_syntax", "rfc3987", "isoduration", "uri_template", "rfc3339_validator",
    "rfc3986_validator", "fqdn", "webcolors",
)
_SELDOM = ("requests", "click")  # papermill's: for notebooks behind https://, and its command line


def prepare() -> None:
    """Before papermill is imported."""
    for name in _FORMATS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    for name in _SELDOM:
        _when_used(name)
    # papermill looks for engines and the like of others in all packages, twice
    found = ModuleType("entrypoints")
    found.get_group_all = _none  # type: ignore[attr-defined]
    sys.modules.setdefault("entrypoints", found)


def _when_used(name: str) -> None:
    """Let a module be loaded when something in it is asked for.

    importlib's own LazyLoader loads it already when it is imported a second time.
    """
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    load, module = spec.loader.exec_module, importlib.util.module_from_spec(spec)

    def asked(what: str) -> Any:
        if vars(module).pop("__getattr__", None):
            load(module)
            return getattr(module, what)
        raise AttributeError(f"module {name!r} has no attribute {what!r}")

    vars(module)["__getattr__"] = asked
    sys.modules[name] = module


def _none(*_: object, **__: object) -> Iterator[object]:
    return iter(())
