"""A push that was checked and taken: all that publishing it needs, kept until it is out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from hub.core.courses import Author, FileFact


@dataclass(frozen=True)
class Accepted:
    """What a commit will be as a release; its blobs are kept already.

    `about` is its course.toml, which was found good; `zone` counts where that names none.
    """

    course: str
    commit: str
    author: Author
    notes: str
    about: str
    zone: str
    files: tuple[FileFact, ...]


def as_json(one: Accepted) -> dict[str, Any]:
    """For a file, or for the way between two processes."""
    return {
        **{x: getattr(one, x) for x in ("course", "commit", "notes", "about", "zone")},
        "author": author_json(one.author), "files": [fact_json(x) for x in one.files],
    }


def of_json(found: Mapping[str, Any]) -> Accepted:
    """What `as_json` made.

    Raises:
        KeyError, TypeError, ValueError: something else.
    """
    rest = {x: str(found[x]) for x in ("course", "commit", "notes", "about", "zone")}
    files = tuple(fact_of(x) for x in found["files"])
    return Accepted(author=author_of(found["author"]), files=files, **rest)


def author_json(one: Author) -> dict[str, Any]:
    """Who publishes."""
    return {**asdict(one), "instructs": sorted(one.instructs)}


def author_of(found: Mapping[str, Any]) -> Author:
    """Who publishes."""
    return Author(
        str(found["name"]), frozenset(found["instructs"]), operator=bool(found["operator"])
    )


def fact_json(one: FileFact) -> dict[str, Any]:
    """A file."""
    since = one.visible_from
    return {**asdict(one), "visible_from": since and since.isoformat()}


def fact_of(found: Mapping[str, Any]) -> FileFact:
    """A file."""
    since = found["visible_from"]
    return FileFact(**{**found, "visible_from": since and datetime.fromisoformat(since)})
