"""In whose name: the group that a lease is charged to, and the one that a run asks for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# as it was looked up until now; what a reservation that is gone had moved stays moved
CHARGED = """
UPDATE leases SET charged = coalesce(
    (SELECT r."group" FROM reservations r WHERE r.id = leases.reservation), leases."group"
) WHERE granted_at IS NOT NULL
"""


def upgrade() -> None:
    """Keep on the lease what was looked up at its reservation."""
    for table, name in (("leases", "charged"), ("runs", "group")):
        op.add_column(table, sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.execute(CHARGED)
