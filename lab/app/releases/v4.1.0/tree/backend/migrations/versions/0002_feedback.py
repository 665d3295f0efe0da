"""Feedback on workflows, and the model in the agents' log. Only adds: v4.0.0 runs on it too."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("agent_logs", sa.Column("model", sa.Text(), nullable=True))
    op.create_table(
        "workflow_feedback",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("workflow_id", sa.Text(), sa.ForeignKey("workflows.id", ondelete="CASCADE"), nullable=False),
        sa.Column("rating", sa.BigInteger(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_workflow_feedback_workflow_id", "workflow_feedback", ["workflow_id"])


def downgrade() -> None:
    op.drop_table("workflow_feedback")
    op.drop_column("agent_logs", "model")
