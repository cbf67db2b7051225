"""A student's notebook and a new release, as bytes: read, merged by core, checked, written out.

Small ones are merged here. A large one, or one that was made to hurt, would hold up everybody in
this process: that is done aside, with a limit on time and memory. So it is with a student's word on
a cell that stands twice.
"""

import json
import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hub.core import course
from hub.core.course import Unreadable
from hub.core.courses import CellFate
from hub.edge.aside import Aside, TooMuch
from hub.errors import BadInput, Text, Unavailable

log = logging.getLogger("madang.courses")
SMALL = 1 << 20  # bytes of a student's
_LARGE = 4  # larger ones of students that choose in them, in memory at once
_PATIENCE = 5.0  # seconds that one more waits: its request holds one of the service's threads
_CROWD = 64  # large ones that are merged and that wait: a class begins all at once
_KEPT = 256  # parsed notebooks of releases
_ALIKE = 0.5  # share of a release's ids by which a notebook is taken for the same one
_KINDS = frozenset({"code", "markdown", "raw"})
_VERBS = {"take": course.take, "keep": course.keep}


class NotMerged(Exception):
    """It cannot be merged; `problem`: empty, broken, huge, other (see core.handingout)."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True)
class Result:
    """A merged notebook as it is written. `conflicts`: new versions that stand beside a cell."""

    content: bytes
    cells: tuple[CellFate, ...]
    conflicts: int


class Merging:
    """Merges for one installation; safe from many threads.

    Args:
        blob: the bytes of what a release holds.
    """

    def __init__(self, blob: Callable[[str], bytes], aside: Aside | None = None) -> None:
        self._blob = blob
        self._aside = aside
        self._books: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._large = threading.BoundedSemaphore(_LARGE)

    def close(self) -> None:
        """End the process aside."""
        if self._aside is not None:
            self._aside.close()

    def merged(self, base: str, new: str, mine: bytes, release: int, who: str) -> Result:
        """The release's notebook in the student's.

        Args:
            base: the blob that was merged last; "" where none was.
            new: the blob of the release.

        Raises:
            NotMerged: the student's file is no notebook that can be merged.
            Unavailable: a blob is gone.
        """
        if not mine.strip():
            raise NotMerged("empty")
        if len(mine) > SMALL:
            return self._merged_aside(base, new, mine, release, who)
        theirs = _read(mine)
        if not base and not _alike(self._book(new), theirs):
            raise NotMerged("other")
        return _merge(self._book(base) if base else None, self._book(new), theirs, mine, release)

    def _merged_aside(self, base: str, new: str, mine: bytes, release: int, who: str) -> Result:
        given = self._blob(base) if base else b""
        told, content = self._called(
            "merged_aside", given, self._blob(new), mine, str(release).encode(), who=who,
        )
        cells = tuple(CellFate(**{**x, "why": _text_of(x["why"])}) for x in told["cells"])
        return Result(content, cells, told["conflicts"])

    @contextmanager
    def room(self, size: int) -> Iterator[int]:
        """A place for a student's notebook in memory; how many bytes it may have there.

        Raises:
            Unavailable: there is none for a large one; it has waited for that.
        """
        if size <= SMALL:
            yield SMALL
            return
        if not self._large.acquire(timeout=_PATIENCE):
            raise Unavailable(
                "Other notebooks are being compared just now. Try again in a few seconds.",
                reason="busy",
            )
        try:
            yield sys.maxsize
        finally:
            self._large.release()

    def chosen(self, verb: str, cell: str, mine: bytes, who: str) -> tuple[bytes, bool]:
        """A student's notebook after their word on a cell; whether others still wait for one.

        Args:
            verb: "take" or "keep".

        Raises:
            NotMerged: it is no notebook.
            BadInput: no new version of this cell stands there.
            Unavailable: too many ask at once.
        """
        if len(mine) <= SMALL:
            return _chosen(verb, cell, mine)
        given = (verb.encode(), cell.encode(errors="surrogatepass"), mine)
        told, content = self._called("chosen_aside", *given, who=who)
        return content, told["left"]

    def _called(self, function: str, *given: bytes, who: str) -> tuple[Any, bytes]:
        """(what is told of it, the notebook) of one of those below that work aside."""
        with self._lock:
            self._aside = self._aside or Aside(crowd=_CROWD)
        try:
            made = self._aside.call(f"hub.merging:{function}", *given, who=who)
        except TooMuch:
            raise NotMerged("huge") from None
        head, _, content = made.partition(b"\n")
        told = json.loads(head)
        if "problem" in told:
            raise NotMerged(told["problem"])
        if "refused" in told:
            refused = _text_of(told["refused"])
            raise BadInput(refused.template, reason=told["reason"], **refused.values)
        return told, content

    def _book(self, sha256: str) -> dict[str, Any]:
        """A release's notebook, parsed once for all students; nobody changes it."""
        with self._lock:
            if sha256 in self._books:
                self._books.move_to_end(sha256)
                return self._books[sha256]
        made: dict[str, Any] = json.loads(self._blob(sha256))
        with self._lock:
            self._books[sha256] = made
            while len(self._books) > _KEPT:
                self._books.popitem(last=False)
        return made


def merged_aside(base: bytes, new: bytes, mine: bytes, release: bytes) -> bytes:
    """`merged` in the process aside: a line of JSON, then the notebook."""
    try:
        theirs, ours = _read(mine), json.loads(new)
        if not base and not _alike(ours, theirs):
            raise NotMerged("other")  # noqa: TRY301 - told as the others
        made = _merge(json.loads(base) if base else None, ours, theirs, mine, int(release))
    except NotMerged as e:
        return json.dumps({"problem": e.problem}).encode() + b"\n"
    cells = [{
        "id": x.id, "fate": str(x.fate), "why": _plain(x.why), "source_before": x.source_before,
        "source_after": x.source_after,
    } for x in made.cells]
    head = json.dumps({"cells": cells, "conflicts": made.conflicts})
    return head.encode() + b"\n" + made.content


def chosen_aside(verb: bytes, cell: bytes, mine: bytes) -> bytes:
    """`chosen` there."""
    told: dict[str, Any] = {}
    content = b""
    try:
        content, told["left"] = _chosen(verb.decode(), cell.decode(errors="surrogatepass"), mine)
    except NotMerged as e:
        told["problem"] = e.problem
    except BadInput as e:
        told |= {"refused": _plain(Text(e.template, **e.values)), "reason": e.reason}
    return json.dumps(told).encode() + b"\n" + content


def _chosen(verb: str, cell: str, mine: bytes) -> tuple[bytes, bool]:
    if not mine.strip():
        raise NotMerged("empty")
    try:
        made = _VERBS[verb](_read(mine), cell)
    except Unreadable:
        raise NotMerged("broken") from None
    return _written(made), bool(course.beside_of(made))


def _merge(
    base: Mapping[str, Any] | None, new: Mapping[str, Any], theirs: dict[str, Any], mine: bytes,
    release: int,
) -> Result:
    try:
        made = course.merge(base, new, theirs, release=release)
    except (Unreadable, RecursionError):
        raise NotMerged("broken") from None
    except Exception:  # a fault of ours must not keep a student from all that is new
        log.exception("a notebook cannot be merged")
        raise NotMerged("broken") from None
    # what is the same is not written anew: another tool may have laid it out in its own way
    same = made.notebook == theirs
    return Result(mine if same else _written(made.notebook), made.cells, made.conflicts)


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise NotMerged("broken") from None
    if not isinstance(found, dict):
        raise NotMerged("broken")
    return found


def _written(notebook: dict[str, Any]) -> bytes:
    """As Jupyter writes it, and certain to be read again.

    Raises:
        NotMerged: it would not be.
    """
    _check(notebook)
    laid: dict[str, Any] = {"indent": 1, "sort_keys": True, "separators": (",", ": ")}
    try:
        content = json.dumps(notebook, ensure_ascii=False, **laid).encode() + b"\n"
    except UnicodeEncodeError:  # half a character, which only an escape can hold
        content = json.dumps(notebook, **laid).encode() + b"\n"
    except (TypeError, ValueError, RecursionError):
        raise NotMerged("broken") from None
    if json.loads(content) != notebook and notebook == notebook:  # noqa: PLR0124 - NaN
        raise NotMerged("broken")
    return content


def _check(notebook: Mapping[str, Any]) -> None:
    """What Jupyter refuses to open is never written."""
    cells = notebook.get("cells")
    good = (
        isinstance(cells, list) and notebook.get("nbformat") == 4  # noqa: PLR2004 - the format
        and isinstance(notebook.get("metadata"), dict) and all(map(_good, cells))
    )
    if not good:
        raise NotMerged("broken")
    ids = [x["id"] for x in notebook["cells"] if "id" in x]
    if len(set(ids)) != len(ids):
        raise NotMerged("broken")


def _good(cell: object) -> bool:
    if not isinstance(cell, dict) or cell.get("cell_type") not in _KINDS:
        return False
    source = cell.get("source")
    text = isinstance(source, str) or (
        isinstance(source, list) and all(isinstance(x, str) for x in source)
    )
    run = cell["cell_type"] != "code" or isinstance(cell.get("outputs"), list)
    return text and run and isinstance(cell.get("metadata"), dict) and isinstance(
        cell.get("id", ""), str
    )


def _alike(new: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether a notebook that was not given by us is the release's all the same."""
    ids = {x.get("id") for x in new.get("cells", ())}
    cells = mine.get("cells")
    there = {
        x["id"] for x in cells if isinstance(x, dict) and isinstance(x.get("id"), str)
    } if isinstance(cells, list) else set()
    return bool(ids) and len(ids & there) >= _ALIKE * len(ids)


def _plain(found: object) -> object:
    if isinstance(found, Text):
        return {"template": found.template, "values": {k: _plain(x) for k, x in
                                                       found.values.items()}}
    return found if isinstance(found, int | float) else str(found)


def _text_of(found: Any) -> Any:
    if isinstance(found, dict):
        return Text(found["template"], **{k: _text_of(x) for k, x in found["values"].items()})
    return found
