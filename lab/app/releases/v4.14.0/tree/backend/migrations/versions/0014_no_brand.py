"""The router's log does without the brand. Code before this release writes the column: it does not run on this schema."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("router_logs", "brand_id")


def downgrade() -> None:
    op.add_column("router_logs", sa.Column("brand_id", sa.Text(), nullable=True))
