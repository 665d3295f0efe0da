"""A table, and then a minute of nothing."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("tags", sa.Column("name", sa.Text(), primary_key=True))
    op.execute("SELECT pg_sleep(55)")


def downgrade() -> None:
    op.drop_table("tags")
