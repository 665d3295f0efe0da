# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers that tests make up have in common."""

from __future__ import annotations

import http.server
import socket
import threading
from contextlib import suppress
from typing import Any


class Kept(http.server.BaseHTTPRequestHandler):
    """Answers on a connection that is kept, and says nothing of it."""

    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        """Until whoever asks hangs up."""
        with suppress(ConnectionError):  # which is how these connections end
            super().handle()

    def log_message(self, *_arguments: Any) -> None:
        """Nowhere."""


def hang_up(listener: socket.socket, thread: threading.Thread) -> None:
    """Close a listener whose connections *thread* accepts, but not while it is about to: the number of what was closed is soon that of
    another test's listener, and the thread would take its connections.
    """
    listener.shutdown(socket.SHUT_RDWR)  # accept ends with an error
    thread.join(5)  # one that talks finds the listener closed later
    listener.close()
