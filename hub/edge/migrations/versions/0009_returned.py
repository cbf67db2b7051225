"""Whom feedback was returned to, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add a column."""
    op.add_column("submissions", sa.Column("returned_at", sa.DateTime(timezone=True)))
