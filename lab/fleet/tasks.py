"""Its tasks: each leaves a line when it is done, so that one that is lost, or done twice, is seen."""
import os
import time

import redis
from celery import Celery

DONE = "fleet:done"
app = Celery("fleet", broker=os.environ["REDIS_URL"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@app.task
def settle(name: str, seconds: float) -> None:
    """Take so many seconds, then note the task as done."""
    time.sleep(seconds)
    redis.from_url(os.environ["REDIS_URL"]).rpush(DONE, name)
