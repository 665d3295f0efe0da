"""What Celery runs: one task a node, so that nodes without a path between them run side by side."""
from __future__ import annotations

import logging
from typing import Any

from app import pm
from app.celery_app import celery
from app.db import AWAY

log = logging.getLogger(__name__)


# The database may be away for a minute: a restart, a switch to a restored one.
PATIENT = {"autoretry_for": AWAY, "max_retries": 30, "default_retry_delay": 2}


@celery.task(bind=True, **PATIENT)
def run_node(self: Any, job_id: str, node_id: str) -> None:
    """Run the node if nobody else has, then send off those that waited for it."""
    again = self.request.retries > 0 or bool((self.request.delivery_info or {}).get("redelivered"))
    if pm.claim(job_id, node_id, again):
        pm.perform(job_id, node_id)
    send(job_id)


@celery.task(**PATIENT)
def collect_trends() -> None:
    send(pm.create(pm.trend_plan(), "daily trends"))


def send(job_id: str) -> None:
    """Send off every node of the job that can run now."""
    for node_id in pm.advance(job_id):
        run_node.delay(job_id, node_id)
