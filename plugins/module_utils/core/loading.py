# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release's own code, which is imported before it can be asked anything: that has a time of its own, and words of its own."""

from __future__ import annotations

IMPORT_TIMEOUT = 120.0
"""Seconds that a release's own code may take until it is loaded: env.py, the scripts, the application, and whatever they import."""

UNLOADED, UNANSWERED = 98, 97
"""Exit statuses of a script that begins with :data:`PREAMBLE` and came to the end of either time."""

PREAMBLE = f"""
import os, sys, threading, time
def _within(seconds, status):
    timer = threading.Timer(seconds, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return timer
_began, _loading = time.monotonic(), _within(float(sys.argv.pop(1)), {UNLOADED})
def loaded(seconds):
    _loading.cancel()
    _within(seconds, {UNANSWERED})
    return round(time.monotonic() - _began, 1)
"""
"""Begins a script whose first argument says for how many seconds it may load. It calls C(loaded(seconds)) when it has, which returns for
how long it did; the seconds for the rest count from there."""


def not_loaded(app: str, seconds: float) -> str:
    """Words for C(UNLOADED)."""
    return (
        f"the application {app} was not loaded within {seconds:g} s. What it imports takes that long, or waits for something: let it"
        " import what it needs and no more"
    )
