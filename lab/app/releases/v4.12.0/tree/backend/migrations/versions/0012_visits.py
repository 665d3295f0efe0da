"""Who asks the router, and in which language. Only adds: v4.1.0 runs on it too. The downgrade drops what was collected."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("router_logs", sa.Column("language", sa.Text(), nullable=True))
    op.create_table(
        "router_visits",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("router_visits")
    op.drop_column("router_logs", "language")
