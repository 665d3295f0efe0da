"""Notes."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)
    op.create_table("notes", key, sa.Column("text", sa.Text(), nullable=False))


def downgrade() -> None:
    op.drop_table("notes")
