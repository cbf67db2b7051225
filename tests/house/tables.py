"""The README's tables of settings and metrics, made from the code.

    python tests/house/tables.py      write them into README.md
"""

import re
from collections.abc import Iterator

from hub import metrics
from hub.config import Settings
from tests.house.sources import ROOT

README = ROOT / "README.md"


def settings() -> Iterator[str]:
    yield "| setting | default | what it is |"
    yield "|---|---|---|"
    for name, field in Settings.model_fields.items():
        yield f"| `{name}` | {_default(field.default)} | {field.description} |"


def series() -> Iterator[str]:
    yield "| series | type | labels | what it counts |"
    yield "|---|---|---|---|"
    for one in metrics.ALL:
        labels = ", ".join(f"`{x}`" for x in one.labels)
        yield f"| `{one.name}` | {one.type} | {labels} | {one.help} |"


def filled(text: str) -> str:
    """`text` with its marked tables as they should be."""
    for name, rows in (("settings", settings()), ("metrics", series())):
        table = "\n".join(rows)
        text, count = re.subn(
            rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- /{name} -->)",
            lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL)
        assert count == 1, name
    return text


def _default(value: object) -> str:
    if value is None or value in ("", (), {}):
        return ""
    if isinstance(value, dict):
        return ", ".join(f"`{k}` = {v}" for k, v in value.items())
    if isinstance(value, tuple):
        return ", ".join(f"`{x}`" for x in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    README.write_text(filled(README.read_text()))
