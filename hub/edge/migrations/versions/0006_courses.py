"""Courses: releases, what students were given of them, and what is handed in."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _text(name: str, **rest: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **rest})


def _whole(name: str, **rest: object) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **{"nullable": False, **rest})


def _moment(name: str, **rest: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **rest})


def upgrade() -> None:
    """Add six tables."""
    op.create_table(
        "courses",
        _text("name", primary_key=True), _text("title"), _text("group"), _text("zone"),
        _moment("made_at"), _text("made_by"), _text("profile"), _text("image"),
    )
    op.create_table(
        "releases",
        _text("course", primary_key=True),
        _whole("number", primary_key=True, autoincrement=False),
        _text("commit"), _text("by"), _moment("at"), _text("notes"), _text("files"),
        _moment("withdrawn_at", nullable=True), _text("withdrawn_by"),
    )
    op.create_table(
        "students",
        _text("user", primary_key=True), _text("course", primary_key=True), _whole("release"),
        _whole("update"), _whole("held_at"), _text("bases"),
    )
    op.create_index("students_by_course", "students", ["course"])
    op.create_table(
        "handouts",
        _text("user", primary_key=True), _text("course", primary_key=True),
        _whole("update", primary_key=True, autoincrement=False), _whole("release"), _moment("at"),
        _text("files"), _text("before"), _moment("undone_at", nullable=True),
    )
    _handing_in()


def _handing_in() -> None:
    op.create_table(
        "collections",
        _text("id", primary_key=True), _text("course"), _text("name"), _text("path"),
        _moment("due"), _text("made_by"), _moment("made_at"), _moment("taken_at", nullable=True),
        _moment("feedback_at", nullable=True),
    )
    op.create_index("one_name_per_collection", "collections", ["course", "name"], unique=True)
    op.create_table(
        "submissions",
        _text("collection", primary_key=True), _text("user", primary_key=True), _whole("files"),
        sa.Column("size", sa.BigInteger, nullable=False), _moment("taken_at"), _text("problem"),
    )
