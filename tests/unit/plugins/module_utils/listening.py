# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the servers that tests make up have in common."""

from __future__ import annotations

import socket
import threading


def hang_up(listener: socket.socket, thread: threading.Thread) -> None:
    """Close a listener whose connections *thread* accepts, but not while it is about to: the number of what was closed is soon that of
    another test's listener, and the thread would take its connections.
    """
    listener.shutdown(socket.SHUT_RDWR)  # accept ends with an error
    thread.join(5)  # one that talks finds the listener closed later
    listener.close()
