"""Nights: planned runs, sweeps, retries, what a run came to; schedules and their occurrences."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SWEPT, SCHEDULED = sa.text("sweep <> ''"), sa.text("schedule <> ''")


def _text(name: str, **rest: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **rest})


def _whole(name: str, **rest: object) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **{"nullable": False, **rest})


def _moment(name: str, **rest: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **rest)


def upgrade() -> None:
    """Add columns to the runs, and two tables."""
    _runs()
    op.create_table(
        "schedules",
        _text("id", primary_key=True), _text("user"), _text("name"), _text("cron"), _text("zone"),
        _text("notebook"), _text("profile"), _moment("made_at", nullable=False),
        _moment("seen", nullable=False), _moment("next_at"), _text("parameters"), _text("sweep"),
        _text("image"), _text("cwd"), _whole("timeout"), _whole("retries"), _whole("catch_up"),
        _text("overlap"), sa.Column("paused", sa.Boolean, nullable=False), _text("notify"),
        _text("secrets"), _text("group"), _text("source"),
    )
    op.create_index("schedules_by_time", "schedules", ["next_at"])
    op.create_table(
        "occurrences",
        _text("schedule", primary_key=True), _text("slot", primary_key=True),
        _moment("at", nullable=False), _moment("made_at", nullable=False), _text("outcome"),
        _text("run"), _text("sweep"), _text("message"),
    )


def _runs() -> None:
    for column in (
        _moment("lined_at"), _text("sweep", server_default=""),
        _text("schedule", server_default=""), _text("slot", server_default=""),
        _moment("not_before"), _text("after", server_default=""),
        _whole("retries", server_default="0"), _whole("retried", server_default="0"),
        _text("metrics", server_default="{}"), _whole("steps_done", server_default="0"),
        _whole("steps", server_default="0"), _text("digest", server_default=""),
        _whole("memory_peak_mib", nullable=True), _whole("gpu_memory_peak_mib", nullable=True),
        _text("error", nullable=True), _text("secrets", server_default="[]"),
        _text("notify", server_default="[]"),
    ):
        op.add_column("runs", column)
    op.create_index("runs_by_owner", "runs", ["user", "asked_at"])
    op.create_index(
        "runs_by_sweep", "runs", ["sweep"], sqlite_where=SWEPT, postgresql_where=SWEPT,
    )
    op.create_index(
        "runs_by_schedule", "runs", ["schedule"], sqlite_where=SCHEDULED,
        postgresql_where=SCHEDULED,
    )
