"""Celery: `celery -A app.celery_app worker` and `celery -A app.celery_app beat`."""
from __future__ import annotations

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging, worker_process_init

from app import logs
from app.db import engine
from app.settings import settings

celery = Celery("sparklio", broker=settings().redis_url, include=["app.tasks"])
celery.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,  # results stand in the database
    task_acks_late=True,  # a task of a worker that died is run again; tasks claim their node first
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,  # else one process may sit on two nodes that could run side by side
    worker_proc_alive_timeout=10.0,
    worker_soft_shutdown_timeout=10.0,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 300, "socket_timeout": 10, "socket_connect_timeout": 3},
    task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    timezone="Asia/Seoul",
    beat_schedule={
        "trend-collector": {"task": "app.tasks.collect_trends", "schedule": crontab(hour=2, minute=0)},
    },
)


@setup_logging.connect
def _logging(**_arguments: object) -> None:
    logs.setup()


@worker_process_init.connect
def _fork(**_arguments: object) -> None:
    """A forked process must not share its parent's connections."""
    engine().dispose(close=False)
