"""When runs ended, so that a morning's report reads the night and not the whole term."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ENDED = sa.text("ended_at IS NOT NULL")


def upgrade() -> None:
    """Add an index."""
    op.create_index(
        "runs_by_end", "runs", ["ended_at"], sqlite_where=ENDED, postgresql_where=ENDED,
    )
