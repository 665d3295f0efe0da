"""Labels of workflows. Fails after the table was made: workflows have no column named label."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workflow_labels",
        sa.Column("workflow_id", sa.Text(), sa.ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("label", sa.Text(), nullable=False),
    )
    op.execute("INSERT INTO workflow_labels (workflow_id, label) SELECT id, label FROM workflows")


def downgrade() -> None:
    op.drop_table("workflow_labels")
