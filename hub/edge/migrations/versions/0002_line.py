"""The line: what is promised, told and used; groups and reservations; which rows are new."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

OVER = sa.text("draining_at IS NOT NULL")
# what a lease blocks of its card, where the slice is still known; others were never charged
RATE = """
UPDATE leases SET rate = coalesce((
    SELECT CASE WHEN s.compute > 7.0 * s.memory / 8 THEN s.compute ELSE 7.0 * s.memory / 8 END
    FROM slices s WHERE s.node = leases.slice_node AND s.gpu = leases.slice_gpu
    AND s.profile = leases.slice_profile AND s.start = leases.slice_start
), 0) WHERE slice_gpu IS NOT NULL
"""


def _text(name: str, **rest: object) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **rest})


def _real(name: str, **rest: object) -> sa.Column[float]:
    return sa.Column(name, sa.Double, **{"nullable": False, **rest})


def _moment(name: str, **rest: object) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), **rest)


def _changed() -> sa.Column[int]:
    return sa.Column("changed", sa.BigInteger, nullable=False, server_default="0")


def upgrade() -> None:
    """Add what the line needs; leases stay."""
    _version()
    op.add_column("slices", _text("blocked", server_default=""))
    op.add_column("slices", _changed())
    _leases()
    attempt = sa.Column("attempt", sa.Integer, nullable=False, server_default="1")
    op.add_column("runs", attempt)
    op.create_table(
        "groups",
        _text("name", primary_key=True), _real("weight"), _real("quota", nullable=True),
        _real("user_quota", nullable=True), sa.Column("ends", sa.Date),
    )
    op.create_table(
        "usage",
        _text("group", primary_key=True), _text("user", primary_key=True), _real("decayed"),
        _moment("at", nullable=False), _real("week"), _moment("week_of"), _changed(),
    )
    op.create_table(
        "reservations",
        _text("id", primary_key=True), _text("group"), _text("profile"),
        sa.Column("count", sa.Integer, nullable=False), _text("zone"), _text("kind"),
        *(_text(x, nullable=True) for x in (
            "days", "start", "end", "first", "last", "begins", "ends"
        )),
        _text("made_by"), _moment("made_at"), _text("note"),
    )


def _version() -> None:
    version = op.create_table(
        "version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False), _text("trail"), _text("roster"),
    )
    name = secrets.token_hex(6)
    op.bulk_insert(version, [{"id": 1, "number": 0, "trail": name, "roster": name}])


def _leases() -> None:
    for column in (
        _moment("promised"), _real("rate", server_default="0"),
        _text("reservation", server_default=""), _moment("active_at"), _moment("heard_at"),
        _text("notice_why", nullable=True), _moment("notice_at"), _moment("leave_by"),
        _text("why", nullable=True), _moment("eta_earliest"), _moment("eta_latest"),
        _text("member_of", server_default="[]"), _changed(),
    ):
        op.add_column("leases", column)
    op.execute(RATE)
    op.create_index("leases_by_change", "leases", ["changed"])
    op.create_index(
        "leases_by_end", "leases", ["draining_at"], sqlite_where=OVER, postgresql_where=OVER,
    )
