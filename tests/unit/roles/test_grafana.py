# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grafana's settings and unit: nothing that everybody knows, nothing that is fetched, no secret in what all may read."""

from __future__ import annotations

import configparser
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/grafana"
GIVEN = {
    "grafana_listen": "127.0.0.1", "grafana_port": 3001, "grafana_root_url": "", "grafana_admin_user": "boss",
    "grafana_admin_password": "s3cret-of-the-boss", "__grafana_data": "/var/lib/aistack-grafana", "__grafana_user": "grafana",
    "__grafana_provisioning": "/etc/aistack-grafana/provisioning", "__grafana_password": "/etc/aistack-grafana/admin.password",
    "__grafana_key": "/etc/aistack-grafana/secret.key", "__grafana_env": "/etc/aistack-grafana/grafana.env",
    "__grafana_program": "/opt/g/current/bin/grafana", "__grafana_server": "/opt/g/current", "__grafana_asked_with": "",
    "__grafana_config": "/etc/aistack-grafana/grafana.ini",
}


def rendered(name: str, **more: Any) -> str:
    engine = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    engine.filters["basename"] = lambda path: Path(path).name
    return engine.from_string((ROLE / "templates" / f"{name}.j2").read_text(encoding="utf-8")).render({**GIVEN, **more})


def settings(**more: Any) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=True)
    found.read_string(rendered("grafana.ini", **more))
    return found


def test_its_password_and_its_key_are_files() -> None:
    assert settings()["security"]["admin_password"] == "$__file{/etc/aistack-grafana/admin.password}"
    assert settings()["security"]["secret_key"] == "$__file{/etc/aistack-grafana/secret.key}"
    assert "s3cret" not in rendered("grafana.ini") + rendered("grafana.service")


def test_nobody_comes_in_without_a_login_and_nothing_goes_out() -> None:
    found = settings()
    assert (found["server"]["http_addr"], found["server"]["http_port"]) == ("127.0.0.1", "3001")
    wanted = ("auth.anonymous enabled", "users allow_sign_up", "analytics reporting_enabled", "analytics check_for_updates",
              "analytics check_for_plugin_updates", "news news_feed_enabled", "snapshots external_enabled", "unified_alerting enabled",
              "plugins plugin_admin_enabled")
    assert {found[section][key] for section, key in map(str.split, wanted)} == {"false"}
    assert found["plugins"]["preinstall_disabled"] == "true"


@pytest.mark.parametrize("url", ["https://g.example.com/", "http://g.example.com/"])
def test_a_cookie_goes_over_tls_alone_where_browsers_come_so(url: str) -> None:
    assert (settings(grafana_root_url=url)["security"].get("cookie_secure") == "true") is url.startswith("https")
    assert settings(grafana_root_url=url)["server"]["root_url"] == url


@pytest.mark.parametrize("password", ["", "s3cret-of-the-reader"])
def test_the_unit_reads_the_password_for_prometheus_from_a_file(password: str) -> None:
    lines = rendered("grafana.service", __grafana_asked_with=password).splitlines()
    assert ("EnvironmentFile=/etc/aistack-grafana/grafana.env" in lines) is bool(password)
    assert "s3cret" not in "\n".join(lines)
    assert "ExecStart=/opt/g/current/bin/grafana server --homepath=/opt/g/current --config=/etc/aistack-grafana/grafana.ini" in lines
    assert {"User=grafana", "StateDirectory=aistack-grafana", "ProtectSystem=strict", "NoNewPrivileges=true"} <= set(lines)


def test_own_dashboards_are_those_that_lie_there() -> None:
    known = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    assert known["__grafana_own"] == sorted(path.name for path in (ROLE / "files/dashboards").iterdir())
