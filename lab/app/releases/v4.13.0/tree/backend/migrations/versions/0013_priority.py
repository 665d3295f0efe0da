"""Priority of workflows. Its index is built beside the running work, which commits; then it fails: no column urgency."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflows", sa.Column("priority", sa.BigInteger(), nullable=True))
    with op.get_context().autocommit_block():
        op.create_index("ix_workflows_priority", "workflows", ["priority"], postgresql_concurrently=True)
    op.execute("UPDATE workflows SET priority = urgency")


def downgrade() -> None:
    op.drop_index("ix_workflows_priority", "workflows")
    op.drop_column("workflows", "priority")
