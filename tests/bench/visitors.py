# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests at a steady rate through the edge; every answer that is not 200 is a failure."""

from __future__ import annotations

from locust import FastHttpUser, constant_throughput, task


class Visitor(FastHttpUser):
    """Ten requests a second each; nothing is asked twice."""

    wait_time = constant_throughput(10)
    connection_timeout = 5.0
    network_timeout = 10.0
    max_retries = 0

    @task
    def health(self) -> None:
        """Ask what the edge answers from the live slot."""
        with self.client.get("/health", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
