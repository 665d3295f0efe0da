# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests at a steady rate through the edges; every answer that is not 200 is a failure."""

from __future__ import annotations

import os

from locust import FastHttpUser, constant_throughput, task


class Visitor(FastHttpUser):
    """Ten requests a second each, every fourth of them to the frontend; nothing is asked twice."""

    wait_time = constant_throughput(10)
    connection_timeout = 5.0
    network_timeout = 10.0
    max_retries = 0

    @task(3)
    def backend(self) -> None:
        """Ask the backend's edge, which answers from the live slot."""
        self._ask("/health")

    @task(1)
    def frontend(self) -> None:
        """Ask the frontend's."""
        self._ask(os.environ["BENCH_FRONTEND"])

    def _ask(self, address: str) -> None:
        with self.client.get(address, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
