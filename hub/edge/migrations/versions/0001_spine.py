"""The first tables: slices, leases, runs, members."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

HOLDING = sa.text("stage IN ('granted', 'running', 'draining', 'quarantined')")
OPEN = sa.text("stage IN ('waiting', 'granted', 'running')")


def _text(name: str, **rest: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **rest})


def _whole(name: str, **rest: bool) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **{"nullable": False, **rest})


def _moment(name: str, **rest: bool) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **rest)


def upgrade() -> None:
    """Make everything."""
    _slices()
    _leases()
    _runs()
    op.create_table(
        "members", _text("name", primary_key=True), _text("group", primary_key=True), _text("role")
    )


def _slices() -> None:
    op.create_table(
        "slices",
        _text("node", primary_key=True), _text("gpu", primary_key=True),
        _text("profile", primary_key=True),
        _whole("start", primary_key=True, autoincrement=False),
        _text("uuid"), _text("gpu_name"), _whole("gpu_index"), _whole("compute"),
        _whole("memory"), _whole("memory_mib"), _whole("used_mib", nullable=True),
        _text("processes", nullable=True), sa.Column("present", sa.Boolean, nullable=False),
    )


def _leases() -> None:
    op.create_table(
        "leases",
        _text("id", primary_key=True), _text("user"), _text("kind"), _text("name"),
        _text("profile"), _text("image"), _moment("asked_at", nullable=False), _text("group"),
        _text("options"), _text("stage"), _text("slice_node", nullable=True),
        _text("slice_gpu", nullable=True), _text("slice_profile", nullable=True),
        _whole("slice_start", nullable=True), _moment("granted_at"), _moment("started_at"),
        _moment("draining_at"), _moment("ended_at"), _moment("until"), _text("cause"),
    )
    op.create_index(
        "one_holder_per_slice", "leases",
        ["slice_node", "slice_gpu", "slice_profile", "slice_start"],
        unique=True, sqlite_where=HOLDING, postgresql_where=HOLDING,
    )
    op.create_index(
        "one_open_per_owner", "leases", ["user", "kind", "name"],
        unique=True, sqlite_where=OPEN, postgresql_where=OPEN,
    )
    op.create_index("leases_by_stage", "leases", ["stage"])
    op.create_index("leases_by_age", "leases", ["asked_at"])


def _runs() -> None:
    op.create_table(
        "runs",
        _text("id", primary_key=True), _text("user"), _text("notebook"), _text("profile"),
        _text("image"), _text("parameters"), _text("stage"), _moment("asked_at", nullable=False),
        _text("folder"), _text("cwd"), _whole("timeout"), _moment("started_at"),
        _moment("ended_at"), _whole("exit_code", nullable=True), _whole("cells_done"),
        _whole("cells"), _text("message"), _text("slice"), _text("commit"),
        _text("seed", nullable=True),
    )
    op.create_index("runs_by_stage", "runs", ["stage"])
    op.create_index("runs_by_age", "runs", ["asked_at"])
