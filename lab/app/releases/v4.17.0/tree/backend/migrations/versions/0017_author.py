"""Who gave the feedback. Only adds: v4.1.0 runs on it too."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workflow_feedback", sa.Column("author", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("workflow_feedback", "author")
