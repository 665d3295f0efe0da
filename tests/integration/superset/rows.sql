-- Copyright (c) 2026 phasegate contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What two days of the reference application leave in its tables: at least one row for every chart.
INSERT INTO workflows (id, kind, brand_id, user_request, risk_level, status, spec, created_at, finished_at) VALUES
  ('workflow_1', 'campaign', 'acme', 'launch a campaign', 'high', 'completed', '{}', now() - interval '1 day', now() - interval '23 hours'),
  ('workflow_2', 'campaign', 'beta', 'launch another', 'low', 'failed', '{}', now(), now()),
  ('video_1', 'video', 'acme', 'a clip', 'low', 'completed', '{}', now() - interval '1 hour', now()),
  ('trend_1', 'trend', NULL, 'daily trends', 'low', 'completed', '{}', now() - interval '1 hour', now()),
  ('trend_2', 'trend', NULL, 'daily trends', 'low', 'failed', '{}', now(), now());
INSERT INTO workflow_nodes (workflow_id, node_id, agent_name, status, output, started_at, finished_at) VALUES
  ('workflow_1', 'copywriter', 'CopywriterAgent', 'completed', '{"headline": "Launch", "channels": ["search", "email"]}', now(), now()),
  ('workflow_1', 'reviewer', 'ReviewerAgent', 'completed', '{"verdict": "approved"}', now(), now()),
  ('video_1', 'assemble', 'VideoAssembler', 'completed', '{"frames": 12, "bytes": 345678}', now(), now()),
  ('trend_1', 'collect', 'TrendCollector', 'completed', '{"requests": 7, "top": {"launch": 4, "logo": 2}}', now(), now());
INSERT INTO agent_logs (workflow_id, node_id, agent_name, status, duration_ms, error, created_at) VALUES
  ('workflow_1', 'copywriter', 'CopywriterAgent', 'completed', 812, NULL, now() - interval '1 day'),
  ('workflow_1', 'reviewer', 'ReviewerAgent', 'completed', 640, NULL, now()),
  ('workflow_2', 'vision', 'VisionGeneratorAgent', 'failed', 91, 'UpstreamError: comfyui', now()),
  (NULL, NULL, 'BriefAgent', 'completed', 300, NULL, now());
INSERT INTO context_traces (workflow_id, agent_name, direction, content, created_at) VALUES
  (NULL, 'BrandAgent', 'output', '{"brand_id": "acme", "colors": ["#aa0000", "#00aa00"]}', now()),
  (NULL, 'BriefAgent', 'output', '{"title": "A banner", "risk_level": "low", "deliverables": ["image"]}', now()),
  (NULL, 'EditorAgent', 'output', '{"instruction": "make the title red", "patch": {"op": "set", "target": "title"}}', now()),
  (NULL, 'EditorAgent', 'output', '{"instruction": "hm", "patch": null}', now());
INSERT INTO router_logs (user_id, brand_id, request_text, target_agent, selected_model, risk_level, created_at) VALUES
  ('u1', 'acme', 'a logo', 'BrandAgent', 'qwen2.5:7b', 'low', now() - interval '1 day'),
  ('u2', 'beta', 'a picture', 'VisionGeneratorAgent', 'comfyui', 'medium', now());
