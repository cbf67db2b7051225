"""Every text that a person may read: what is said in the code and in the templates."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from hub.face import pages

ROOT = Path(__file__).resolve().parents[2]
# whoever runs the machine reads English: their terminal, their log, the settings' errors
OPERATORS = (
    "hub/config.py", "hub/doctor.py", "hub/upkeep.py", "hub/machine.py", "hub/core/roster.py",
    "hub/face/cli.py", "hub/face/serve.py", "hub/face/keys.py", "hub/face/children.py",
    "hub/face/programs.py", "hub/face/ports.py",
    "hub/face/accounts.py", "hub/face/setup", "hub/edge", "hub/core/geometry.py",
    "hub/face/replay.py", "hub/replaying.py", "hub/core/replay/jobs.py",
    "hub/core/replay/whatif.py", "hub/face/health.py", "hub/face/lifeline.py",
    "hub/schedulefile.py", "hub/face/secrets_cli.py",
)
_REFUSALS = {"Refusal", "BadInput", "NotFound", "NotAllowed", "Unavailable", "Text"}
_SAID = re.compile(r"""\b_\(\s*(?P<q>["'])(?P<text>(?:(?!(?P=q)).)*)(?P=q)""")


def of_code(text: str) -> Iterator[str]:
    """Texts of refusals and of `Text`, and of `say(language, text)`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(
            node.func, "id", "")
        at = 0 if name in _REFUSALS else 1 if name == "say" else None
        if at is not None and len(node.args) > at:
            found = node.args[at]
            if isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield found.value


def of_template(text: str) -> Iterator[str]:
    """Texts of `_("…")`."""
    for found in _SAID.finditer(text):
        yield found["text"]


def all_texts() -> dict[str, str]:
    """Text → the file that says it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "hub").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if not name.startswith(OPERATORS):
            found |= dict.fromkeys(of_code(path.read_text()), name)
    # said to students by modules whose other texts are the operator's
    found |= dict.fromkeys(
        (x for x in of_code((ROOT / "hub/face/accounts.py").read_text()) if "Madang's list" in x),
        "hub/face/accounts.py",
    )
    found |= dict.fromkeys(pages.SPOKEN, "hub/face/pages.py")
    for path in sorted((ROOT / "hub/face/templates").rglob("*.html")):
        found |= dict.fromkeys(of_template(path.read_text()), str(path.relative_to(ROOT)))
    return found
