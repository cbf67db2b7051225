"""How long a run took before, so that it is not begun where it would have to give way."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column to the leases."""
    op.add_column("leases", sa.Column("needs", sa.Double))
