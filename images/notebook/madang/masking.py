"""A run's secrets: where the notebook finds them, and `***` for them in all that is kept of it.

Masking is a net under an accident, as a traceback that holds a token. It is no wall against
whoever may use the secret: a notebook can print it backwards.
"""

# nbformat has no types
# mypy: disable-error-code="misc, no-untyped-call, no-any-return"

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

from nbformat import NotebookNode

from madang.job import BadJob, Secret

MASK = "***"
SHORTEST = 6  # characters; what is shorter stands in texts by chance
_TEXT = ("text", "ename", "evalue")
_METADATA = ("madang", "papermill", "widgets")
_PICTURE = re.compile(r"image/(?!svg)|video/|audio/")


def read(secrets: Iterable[Secret]) -> tuple[dict[str, str], "Mask"]:
    """(environment for the kernel, what masks their values).

    Each has its file in NAME_FILE; those that are variables too are in NAME.

    Raises:
        BadJob: one is not there.
    """
    environment, values = {}, []
    for one in secrets:
        try:
            value = one.path.read_bytes().decode(errors="replace")
        except OSError as e:
            raise BadJob(f"The secret {one.name} cannot be read: {e.strerror}.") from e
        environment[f"{one.name}_FILE"] = str(one.path)
        if one.env:
            environment[one.name] = value
        values.append(value)
    return environment, Mask(values)


class Mask:
    """Replaces values by `***`, also as they stand in a repr, in JSON, in HTML and in addresses.

    Of a value of several lines, each line counts: that is how a log and a notebook hold it.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        forms = {x for value in values for x in _forms(value) if len(x) >= SHORTEST}
        # the longest first: one may begin with another
        self._forms = sorted(forms, key=lambda x: (-len(x), x))
        text = "|".join(map(re.escape, self._forms))
        self._pattern = re.compile(text) if text else None

    def __bool__(self) -> bool:
        """Whether there is anything to mask."""
        return self._pattern is not None

    def text(self, text: str) -> str:
        """A text without the values."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def sure(self, text: str) -> int:
        """How many characters of it can be shown, masked, whatever comes after them.

        All but the longest end that a value may begin with.
        """
        end = min((_begun(text, x) for x in self._forms), default=len(text))
        # a whole value may end as it begins: it is not cut in two
        found = self._pattern.finditer(text) if self._pattern else ()
        return next((x.start() for x in found if x.start() < end < x.end()), end)

    def deep(self, value: Any) -> Any:
        """Every text in lists and dicts, names in dicts too; a copy."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return type(value)({self.text(str(k)): self.deep(x) for k, x in value.items()})
        return [self.deep(x) for x in value] if isinstance(value, list | tuple) else value

    def notebook(self, nb: NotebookNode) -> NotebookNode:
        """A notebook as it may be kept; a copy, because the one that runs needs its sources."""
        if self._pattern is None:
            return nb
        kept = NotebookNode(nb, cells=[self._cell(x) for x in nb.cells])
        # not all of it: a value may be the name of a kernel, and what knows that must find it
        kept.metadata = NotebookNode(nb.metadata, **{
            k: self.deep(nb.metadata[k]) for k in _METADATA if k in nb.metadata
        })
        return kept

    def _cell(self, cell: NotebookNode) -> NotebookNode:
        changed: dict[str, Any] = {"source": self.text(cell.source)}
        if "outputs" in cell:
            changed["outputs"] = [self._output(x) for x in cell.outputs]
        return NotebookNode(cell, **changed)

    def _output(self, out: NotebookNode) -> NotebookNode:
        changed: dict[str, Any] = {k: self.deep(out[k]) for k in _TEXT if k in out}
        if "traceback" in out:
            changed["traceback"] = self.deep(out.traceback)
        if "data" in out:
            # in a picture's base64 a value stands by chance only
            changed["data"] = NotebookNode({
                k: x if _PICTURE.match(k) else self.deep(x) for k, x in out.data.items()
            })
        return NotebookNode(out, **changed)


def _begun(text: str, form: str) -> int:
    """Where the longest end of `text` begins that `form` goes on from; else the text's length."""
    at = text.find(form[0], max(0, len(text) - len(form) + 1))
    while at >= 0 and not form.startswith(text[at:]):
        at = text.find(form[0], at + 1)
    return at if at >= 0 else len(text)


def _forms(value: str) -> Iterator[str]:
    whole = value.strip()
    for text in {whole, *(x.strip() for x in whole.splitlines())}:
        yield text
        yield repr(text)[1:-1]
        yield ascii(text)[1:-1]
        yield repr(text.encode())[2:-1]
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield html.escape(text)
        yield quote(text)
        yield quote(text, safe="")
        yield quote_plus(text)
