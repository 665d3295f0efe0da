"""What has to be true before the first request is taken."""
from __future__ import annotations

import logging

from app.settings import settings

log = logging.getLogger(__name__)


def check() -> None:
    """Raise if the application cannot work at all. Databases that are away are /readyz's business, not a reason to die."""
    log.info("sparklio %s starting, model %s", settings().version, settings().ollama_model)
