"""The six tables."""
from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Optional

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Document = JSON().with_variant(JSONB(), "postgresql")
Big = BigInteger().with_variant(Integer(), "sqlite")
When = DateTime(timezone=True)


def now() -> datetime:
    return datetime.now(timezone.utc)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    })
    type_annotation_map = {str: Text, datetime: When, dict[str, Any]: Document}


class Workflow(Base):
    """status: accepted, running, completed or failed. kind: campaign, video or trend."""
    __tablename__ = "workflows"
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    brand_id: Mapped[Optional[str]]
    user_request: Mapped[str]
    risk_level: Mapped[str]
    status: Mapped[str] = mapped_column(default="accepted", index=True)
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[Optional[datetime]]


class WorkflowNode(Base):
    """status: pending, queued, running, completed or failed."""
    __tablename__ = "workflow_nodes"
    __table_args__ = (UniqueConstraint("workflow_id", "node_id"),)
    id: Mapped[int] = mapped_column(Big, Identity(), primary_key=True)
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"))
    node_id: Mapped[str]
    agent_name: Mapped[str]
    status: Mapped[str] = mapped_column(default="pending")
    output: Mapped[Optional[dict[str, Any]]]
    error: Mapped[Optional[str]]
    started_at: Mapped[Optional[datetime]]
    finished_at: Mapped[Optional[datetime]]


class WorkflowEdge(Base):
    __tablename__ = "workflow_edges"
    id: Mapped[int] = mapped_column(Big, Identity(), primary_key=True)
    workflow_id: Mapped[str] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), index=True)
    from_node: Mapped[str]
    to_node: Mapped[str]


class AgentLog(Base):
    """One run of one agent, in a workflow or called directly."""
    __tablename__ = "agent_logs"
    id: Mapped[int] = mapped_column(Big, Identity(), primary_key=True)
    workflow_id: Mapped[Optional[str]] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), index=True)
    node_id: Mapped[Optional[str]]
    agent_name: Mapped[str]
    status: Mapped[str]
    duration_ms: Mapped[int] = mapped_column(Big)
    error: Mapped[Optional[str]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class ContextTrace(Base):
    """What an agent was given, or what it gave back."""
    __tablename__ = "context_traces"
    id: Mapped[int] = mapped_column(Big, Identity(), primary_key=True)
    workflow_id: Mapped[Optional[str]] = mapped_column(ForeignKey("workflows.id", ondelete="CASCADE"), index=True)
    agent_name: Mapped[str]
    direction: Mapped[str]
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class RouterLog(Base):
    __tablename__ = "router_logs"
    id: Mapped[int] = mapped_column(Big, Identity(), primary_key=True)
    user_id: Mapped[Optional[str]]
    brand_id: Mapped[Optional[str]]
    request_text: Mapped[str]
    target_agent: Mapped[str]
    selected_model: Mapped[str]
    risk_level: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
