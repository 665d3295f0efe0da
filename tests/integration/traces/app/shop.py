# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web application and its worker, which know nothing of traces: OpenTelemetry's own packages are put around them from outside."""

from __future__ import annotations

import os

import psycopg2
from celery import Celery
from fastapi import FastAPI

queue = Celery("shop", broker=os.environ["BROKER"])
api = FastAPI()


def number(sql: str) -> int:
    """What the database answers."""
    with psycopg2.connect(os.environ["DATABASE_URL"]) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


@queue.task(name="shop.mail")
def mail(order: int) -> int:
    """What a worker does of it."""
    return number(f"SELECT {order} + 2")


@api.get("/orders/{order}")
def order(order: int) -> dict[str, int]:
    """A request that goes through all."""
    found = number(f"SELECT {order} + 1")
    mail.delay(order)
    return {"order": found}
