# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The eight dashboards of the reference application: its tables, what is asked of them, and where it is shown.

``make superset-assets`` writes them into ``assets/`` as Superset exports them. What is not in a table of its own is a question (``sql``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Dataset:
    """A table, or a question that is asked as if it were one.

    Attributes:
        columns: name to type, as PostgreSQL names it.
        metrics: name to expression; C(count) is always there.
        time: the column that says when.
        sql: the question; empty for a table of this name.
    """

    name: str
    columns: dict[str, str]
    time: str = ""
    metrics: dict[str, str] = field(default_factory=dict)
    sql: str = ""


@dataclass(frozen=True)
class Chart:
    """One picture.

    Attributes:
        kind: C(number), C(share), C(table), C(bars) or C(line); the last two are over time, a day each.
        by: columns to group by.
        metrics: names of metrics of the dataset.
        only: column to value: the rows that count.
        width: of twelve.
    """

    title: str
    kind: str
    dataset: str
    metrics: tuple[str, ...] = ("count",)
    by: tuple[str, ...] = ()
    only: dict[str, Any] = field(default_factory=dict)
    width: int = 4


@dataclass(frozen=True)
class Dashboard:
    """Rows of charts."""

    title: str
    slug: str
    rows: tuple[tuple[Chart, ...], ...]


WHEN = "TIMESTAMP WITH TIME ZONE"

DATASETS = (
    Dataset("workflows",
            {"id": "TEXT", "kind": "TEXT", "brand_id": "TEXT", "user_request": "TEXT", "risk_level": "TEXT", "status": "TEXT",
             "created_at": WHEN, "finished_at": WHEN},
            "created_at",
            {"brands": "COUNT(DISTINCT brand_id)",
             "completed": "COUNT(*) FILTER (WHERE status = 'completed')",
             "failed": "COUNT(*) FILTER (WHERE status = 'failed')",
             "seconds": "AVG(EXTRACT(EPOCH FROM finished_at - created_at))"}),
    Dataset("agent_logs",
            {"id": "BIGINT", "workflow_id": "TEXT", "node_id": "TEXT", "agent_name": "TEXT", "status": "TEXT", "duration_ms": "BIGINT",
             "error": "TEXT", "created_at": WHEN},
            "created_at",
            {"failed": "COUNT(*) FILTER (WHERE status = 'failed')",
             "mean_ms": "AVG(duration_ms)",
             "p95_ms": "PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY duration_ms)"}),
    Dataset("router_logs",
            {"id": "BIGINT", "user_id": "TEXT", "brand_id": "TEXT", "request_text": "TEXT", "target_agent": "TEXT",
             "selected_model": "TEXT", "risk_level": "TEXT", "created_at": WHEN},
            "created_at",
            {"users": "COUNT(DISTINCT user_id)", "brands": "COUNT(DISTINCT brand_id)"}),
    Dataset("brand_kits",
            {"brand_id": "TEXT", "color": "TEXT", "created_at": WHEN}, "created_at", {"brands": "COUNT(DISTINCT brand_id)"},
            "SELECT content ->> 'brand_id' AS brand_id, color, created_at\n"
            "FROM context_traces, jsonb_array_elements_text(content -> 'colors') AS color\n"
            "WHERE agent_name = 'BrandAgent' AND direction = 'output'"),
    Dataset("briefs",
            {"title": "TEXT", "risk_level": "TEXT", "deliverable": "TEXT", "created_at": WHEN}, "created_at", {},
            "SELECT content ->> 'title' AS title, content ->> 'risk_level' AS risk_level, deliverable, created_at\n"
            "FROM context_traces, jsonb_array_elements_text(content -> 'deliverables') AS deliverable\n"
            "WHERE agent_name = 'BriefAgent' AND direction = 'output'"),
    Dataset("videos",
            {"workflow_id": "TEXT", "status": "TEXT", "frames": "BIGINT", "bytes": "BIGINT", "seconds": "DOUBLE PRECISION",
             "created_at": WHEN},
            "created_at",
            {"frames_made": "SUM(frames)", "mean_seconds": "AVG(seconds)", "megabytes": "SUM(bytes) / 1000000.0"},
            "SELECT w.id AS workflow_id, w.status, (n.output ->> 'frames')::bigint AS frames, (n.output ->> 'bytes')::bigint AS bytes,\n"
            "  EXTRACT(EPOCH FROM w.finished_at - w.created_at)::double precision AS seconds, w.created_at\n"
            "FROM workflows w LEFT JOIN workflow_nodes n ON n.workflow_id = w.id AND n.agent_name = 'VideoAssembler'\n"
            "WHERE w.kind = 'video'"),
    Dataset("edits",
            {"status": "TEXT", "op": "TEXT", "target": "TEXT", "instruction": "TEXT", "created_at": WHEN}, "created_at",
            {"understood": "COUNT(*) FILTER (WHERE status = 'completed')"},
            "SELECT CASE WHEN content -> 'patch' = 'null' THEN 'failed' ELSE 'completed' END AS status,\n"
            "  content -> 'patch' ->> 'op' AS op, content -> 'patch' ->> 'target' AS target, content ->> 'instruction' AS instruction,\n"
            "  created_at\n"
            "FROM context_traces WHERE agent_name = 'EditorAgent' AND direction = 'output'"),
    Dataset("trend_words",
            {"word": "TEXT", "requests": "BIGINT", "finished_at": WHEN}, "finished_at", {"requests_with_it": "SUM(requests)"},
            "SELECT word, requests::bigint AS requests, finished_at\n"
            "FROM workflow_nodes, jsonb_each_text(output -> 'top') AS top (word, requests)\n"
            "WHERE agent_name = 'TrendCollector' AND status = 'completed'"),
    Dataset("publications",
            {"workflow_id": "TEXT", "brand_id": "TEXT", "channel": "TEXT", "verdict": "TEXT", "headline": "TEXT", "finished_at": WHEN},
            "finished_at",
            {"campaigns": "COUNT(DISTINCT workflow_id)"},
            "SELECT w.id AS workflow_id, w.brand_id, channel, COALESCE(r.output ->> 'verdict', 'not reviewed') AS verdict,\n"
            "  c.output ->> 'headline' AS headline, w.finished_at\n"
            "FROM workflows w JOIN workflow_nodes c ON c.workflow_id = w.id AND c.agent_name = 'CopywriterAgent'\n"
            "CROSS JOIN jsonb_array_elements_text(c.output -> 'channels') AS channel\n"
            "LEFT JOIN workflow_nodes r ON r.workflow_id = w.id AND r.agent_name = 'ReviewerAgent'\n"
            "WHERE w.kind = 'campaign' AND w.status = 'completed'"),
)

TREND = {"kind": "trend"}
GENERATORS = {"agent_name": ["StrategistAgent", "CopywriterAgent", "VisionGeneratorAgent", "ReviewerAgent"]}

DASHBOARDS = (
    Dashboard("Global Overview", "global-overview", (
        (Chart("Workflows", "number", "workflows"), Chart("Workflows that failed", "number", "workflows", ("failed",)),
         Chart("Users of the router", "number", "router_logs", ("users",))),
        (Chart("Workflows a day", "bars", "workflows", by=("kind",), width=8),
         Chart("Workflows by state", "share", "workflows", by=("status",))),
        (Chart("Requests a day", "line", "router_logs", by=("risk_level",), width=6),
         Chart("Agents", "table", "agent_logs", ("count", "failed", "mean_ms", "p95_ms"), ("agent_name",), width=6)),
    )),
    Dashboard("Brand Kit", "brand-kit", (
        (Chart("Brands with a kit", "number", "brand_kits", ("brands",)),
         Chart("Brands with workflows", "number", "workflows", ("brands",)),
         Chart("Brands asked for", "number", "router_logs", ("brands",))),
        (Chart("Colours of brands", "table", "brand_kits", by=("brand_id", "color"), width=6),
         Chart("Workflows by brand", "table", "workflows", ("count", "completed", "failed"), ("brand_id",), width=6)),
    )),
    Dashboard("Marketing Brief", "marketing-brief", (
        (Chart("Briefs", "number", "agent_logs", only={"agent_name": "BriefAgent"}),
         Chart("Deliverables", "share", "briefs", by=("deliverable",)), Chart("Briefs by risk", "share", "briefs", by=("risk_level",))),
        (Chart("Briefs a day", "bars", "briefs", by=("risk_level",), width=6),
         Chart("Titles of briefs", "table", "briefs", by=("title", "deliverable"), width=6)),
    )),
    Dashboard("Generators", "generators", (
        (Chart("Runs of generators", "number", "agent_logs", only=GENERATORS),
         Chart("Runs that failed", "number", "agent_logs", ("failed",), only=GENERATORS),
         Chart("Runs by generator", "share", "agent_logs", by=("agent_name",), only=GENERATORS)),
        (Chart("Runs a day", "bars", "agent_logs", by=("agent_name",), only=GENERATORS, width=6),
         Chart("Time of a run", "line", "agent_logs", ("mean_ms",), ("agent_name",), GENERATORS, width=6)),
    )),
    Dashboard("Video Generation", "video-generation", (
        (Chart("Videos", "number", "videos"), Chart("Frames", "number", "videos", ("frames_made",)),
         Chart("Videos by state", "share", "videos", by=("status",))),
        (Chart("Videos a day", "bars", "videos", by=("status",), width=6),
         Chart("Seconds to a video", "line", "videos", ("mean_seconds",), width=6)),
    )),
    Dashboard("Editor", "editor", (
        (Chart("Edits", "number", "edits"), Chart("Edits that were understood", "number", "edits", ("understood",)),
         Chart("What was done", "share", "edits", by=("op",), only={"status": "completed"})),
        (Chart("Edits a day", "bars", "edits", by=("status",), width=6),
         Chart("What was edited", "table", "edits", by=("target", "op"), only={"status": "completed"}, width=6)),
    )),
    Dashboard("TrendPipeline", "trendpipeline", (
        (Chart("Collections", "number", "workflows", only=TREND),
         Chart("Collections that failed", "number", "workflows", ("failed",), only=TREND),
         Chart("Seconds to a collection", "number", "workflows", ("seconds",), only=TREND)),
        (Chart("Words people asked with", "table", "trend_words", ("requests_with_it",), ("word",), width=6),
         Chart("Collections a day", "bars", "workflows", by=("status",), only=TREND, width=6)),
    )),
    Dashboard("Publishing", "publishing", (
        (Chart("Campaigns that can go out", "number", "publications", ("campaigns",)),
         Chart("Channels", "share", "publications", by=("channel",)), Chart("What review said", "share", "publications", by=("verdict",))),
        (Chart("Campaigns a day", "bars", "publications", ("campaigns",), ("channel",), width=6),
         Chart("Headlines", "table", "publications", by=("headline", "channel", "verdict"), width=6)),
    )),
)
