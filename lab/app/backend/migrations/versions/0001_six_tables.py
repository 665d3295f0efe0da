"""The six tables."""
from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.Column:
    return sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True)


def _workflow(nullable: bool) -> sa.Column:
    return sa.Column("workflow_id", sa.Text(), sa.ForeignKey("workflows.id", ondelete="CASCADE"), nullable=nullable)


def _moment(name: str, nullable: bool = True) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text(), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "workflows",
        sa.Column("id", sa.Text(), primary_key=True),
        _text("kind"), _text("brand_id", nullable=True), _text("user_request"), _text("risk_level"), _text("status"),
        sa.Column("spec", JSONB(), nullable=False),
        _moment("created_at", nullable=False), _moment("finished_at"),
    )
    op.create_index("ix_workflows_status", "workflows", ["status"])
    op.create_table(
        "workflow_nodes",
        _id(), _workflow(nullable=False), _text("node_id"), _text("agent_name"), _text("status"),
        sa.Column("output", JSONB()), _text("error", nullable=True), _moment("started_at"), _moment("finished_at"),
        sa.UniqueConstraint("workflow_id", "node_id"),
    )
    op.create_table(
        "workflow_edges",
        _id(), _workflow(nullable=False), _text("from_node"), _text("to_node"),
    )
    op.create_index("ix_workflow_edges_workflow_id", "workflow_edges", ["workflow_id"])
    op.create_table(
        "agent_logs",
        _id(), _workflow(nullable=True), _text("node_id", nullable=True), _text("agent_name"), _text("status"),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False), _text("error", nullable=True),
        _moment("created_at", nullable=False),
    )
    op.create_index("ix_agent_logs_workflow_id", "agent_logs", ["workflow_id"])
    op.create_table(
        "context_traces",
        _id(), _workflow(nullable=True), _text("agent_name"), _text("direction"),
        sa.Column("content", JSONB(), nullable=False), _moment("created_at", nullable=False),
    )
    op.create_index("ix_context_traces_workflow_id", "context_traces", ["workflow_id"])
    op.create_table(
        "router_logs",
        _id(), _text("user_id", nullable=True), _text("brand_id", nullable=True), _text("request_text"),
        _text("target_agent"), _text("selected_model"), _text("risk_level"), _moment("created_at", nullable=False),
    )
    op.create_index("ix_router_logs_created_at", "router_logs", ["created_at"])


def downgrade() -> None:
    for table in ("router_logs", "context_traces", "agent_logs", "workflow_edges", "workflow_nodes", "workflows"):
        op.drop_table(table)
