"""Submissions that have a key; a schedule's row names the folder of its input."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add a table and a column."""
    op.create_table(
        "taken",
        sa.Column("by", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("sweep", sa.Text, nullable=False),
    )
    op.add_column("schedules", sa.Column("input", sa.Text, nullable=False, server_default=""))
