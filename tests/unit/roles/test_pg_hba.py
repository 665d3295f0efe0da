# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may connect to PostgreSQL: one line for each network, whether an entry names one or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

TEMPLATE = Path(__file__).resolve().parents[3] / "roles" / "postgres" / "templates" / "pg_hba.conf.j2"


def lines(address: Any, tls: dict[str, str]) -> list[list[str]]:
    """What pg_hba.conf says of those who come over TCP, word by word."""
    known = {"postgres_clients": [{"database": "shop", "user": "shop", "address": address}], "postgres_users": [], "postgres_tls": tls}
    text = Templar(loader=DataLoader(), variables=known).template(trust_as_template(TEMPLATE.read_text(encoding="utf-8")))
    return [line.split() for line in text.splitlines() if line.startswith("host")]


def test_an_entry_names_one_network_or_several() -> None:
    rest = ["shop,shop__drill", "shop"]
    one = ["host", *rest, "10.0.0.11/32", "scram-sha-256"]
    assert lines("10.0.0.11/32", {}) == [one]
    assert lines(["10.0.0.11/32", "127.0.0.1/32"], {"certificate": "/c"}) == [
        ["hostssl", *one[1:]], ["host", *rest, "127.0.0.1/32", "scram-sha-256"],
    ]
