# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has business with a server without a login."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.server_clients import client_hosts

COMPONENTS: dict[str, Any] = {
    "ollama": {"hosts": "gpu", "gate": [{"name": "a", "http": "x"}, {"name": "b", "http": "x", "from": "watch"}]},
    "backend": {"hosts": "app", "after": ["ollama"]},
    "worker": {"hosts": "single", "after": ["redis", "ollama"]},
    "frontend": {"hosts": "web", "after": ["backend"]},
}
GROUPS = {"gpu": ["g1"], "app": ["b1", "b2"], "web": ["w1"], "watch": ["m1"]}


def test_clients() -> None:
    assert client_hosts(COMPONENTS, "ollama", GROUPS) == ["b1", "b2", "m1", "single"]
    assert client_hosts(COMPONENTS, "frontend", GROUPS) == []
    assert client_hosts({}, "ollama", GROUPS) == []
