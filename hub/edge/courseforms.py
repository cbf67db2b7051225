"""Rows of `hub.edge.coursetables` to core's dataclasses and back. Only `courserows` imports it."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from hub.core.courses import (
    BaseFact,
    CellFate,
    Collection,
    Course,
    FileFact,
    FileFate,
    Handout,
    Release,
    Student,
    Submission,
)
from hub.errors import Text

Row = Mapping[str, Any]


def course_row(made: Course) -> dict[str, Any]:
    """What is written of a course; its fields are the columns."""
    return asdict(made)


def course_of(row: Row) -> Course:
    """A row of `courses`."""
    return Course(**row)


def release_row(made: Release) -> dict[str, Any]:
    """What is written of a release; its fields are the columns."""
    return {**_shallow(made), "files": [_fact(x) for x in made.files]}


def release_of(row: Row) -> Release:
    """A row of `releases`."""
    return Release(**{**row, "files": tuple(_fact_of(x) for x in row["files"])})


def student_row(made: Student) -> dict[str, Any]:
    """What is written of a student; its fields are columns."""
    bases = [[x.path, x.sha256, x.written, x.beside] for x in made.bases.values()]
    return {**_shallow(made), "bases": bases}


def student_of(row: Row) -> Student:
    """A row of `students`."""
    rest = {k: x for k, x in row.items() if k != "has"}
    return Student(**{**rest, "bases": {x[0]: BaseFact(*x) for x in row["bases"]}})


def handout_row(made: Handout, before: Student) -> dict[str, Any]:
    """What is written of a handout, and of where its student stood before it."""
    files = [_plain(x) for x in made.files]
    return {**_shallow(made), "files": files, "before": student_row(before)}


def handout_of(row: Row) -> Handout:
    """A row of `handouts`, with or without `before`."""
    rest = {k: x for k, x in row.items() if k != "before"}
    return Handout(**{**rest, "files": tuple(_fate_of(x) for x in row["files"])})


def before_of(row: Row) -> Student | None:
    """Where the student of a row of `handouts` stood before; None where that is kept no more."""
    return student_of(row["before"]) if row["before"] else None


def collection_row(made: Collection) -> dict[str, Any]:
    """What is written of a collection; its fields are the columns."""
    return asdict(made)


def collection_of(row: Row) -> Collection:
    """A row of `collections`."""
    return Collection(**row)


def submission_row(made: Submission) -> dict[str, Any]:
    """What is written of a submission; its fields are the columns."""
    return asdict(made)


def submission_of(row: Row) -> Submission:
    """A row of `submissions`."""
    return Submission(**row)


# ---- JSON ----------------------------------------------------------------------------------------


def _shallow(made: Any) -> dict[str, Any]:
    return {x.name: getattr(made, x.name) for x in fields(made)}


def _fact(made: FileFact) -> dict[str, Any]:
    """Without what is as usual: a course has a thousand of them."""
    row = {x.name: found for x in fields(made) if (found := getattr(made, x.name)) != x.default}
    if made.visible_from is not None:
        row["visible_from"] = made.visible_from.isoformat()
    return row


def _fact_of(row: Row) -> FileFact:
    since = row.get("visible_from")
    return FileFact(**{**row, "visible_from": since and datetime.fromisoformat(since)})


def _plain(made: FileFate | CellFate) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for x in fields(made):
        found = getattr(made, x.name)
        if isinstance(found, Text):
            row[x.name] = _text(found)
        elif x.name == "cells":
            row[x.name] = [_plain(cell) for cell in found]
        elif found != x.default:
            row[x.name] = str(found)
    return row


def _fate_of(row: Row) -> FileFate:
    cells = tuple(CellFate(**_read(x)) for x in row["cells"])
    return FileFate(**{**_read(row), "cells": cells})


def _text(found: object) -> object:
    if isinstance(found, Text):
        return {"template": found.template, "values": {
            k: _text(x) for k, x in found.values.items()
        }}
    return found if isinstance(found, int | float) else str(found)


def _read(row: Row) -> dict[str, Any]:
    return {k: _text_of(x) for k, x in row.items()}


def _text_of(found: Any) -> Any:
    if isinstance(found, dict):
        return Text(found["template"], **{k: _text_of(x) for k, x in found["values"].items()})
    return found
