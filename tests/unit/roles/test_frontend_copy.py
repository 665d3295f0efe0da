# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a site's server that a slot runs: what it writes while it runs is written there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "frontend"
VARS: dict[str, Any] = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
UNIT: dict[str, Any] = yaml.safe_load((ROLE / "tasks/unit.yml").read_text(encoding="utf-8"))[0]["vars"]["release_unit"]


def line(key: str) -> str:
    """A line of the unit, as the role hands it to the template."""
    known = {**VARS, "aistack_component_name": "web", "frontend_bind": "127.0.0.1", "frontend_node": "node", "frontend_heap": 192}
    text = UNIT[key]
    for _depth in range(2):
        text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(text).render(known)
    return text


def prepared(release: Path, cache: Path) -> Path:
    """Run the command as systemd runs it, which knows two signs twice for one."""
    shell, option, script = line("prepare").split(" ", 2)
    assert (shell, option, script[0], script[-1]) == ("/bin/sh", "-c", "'", "'")
    assert not set(script[1:-1]) & {"'", "\\", "\n"}
    argv = [shell, option, script[1:-1].replace("$$", "$").replace("%%", "%")]
    subprocess.run(argv, cwd=release, env={"PATH": "/usr/bin:/bin", "CACHE_DIRECTORY": str(cache)}, check=True, timeout=60)
    return cache / "site"


def test_a_slot_runs_the_copy() -> None:
    assert line("exec").endswith("node --max-old-space-size=192 %C/aistack-web-%i/site/server.js")
    assert line("cache_directory") == "aistack-web-%i"


@pytest.mark.parametrize("site", ["", "apps/web/"])
def test_what_a_site_writes_is_a_copy_and_the_rest_is_the_release(tmp_path: Path, site: str) -> None:
    release, cache = tmp_path / "v1", tmp_path / "cache"
    cache.mkdir()
    (cache / "site/old").mkdir(parents=True)
    (cache / "site/old/page.html").write_text("of the release before")
    for name in ("node_modules/next/i.js", f"{site}.next/server/app/isr.html", f"{site}.next/server/app/public/page.html",
                 f"{site}public/robots.txt", f"{site}node_modules/own/i.js", f"{site}server.js"):
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_text(name)
        (release / name).chmod(0o444)
    if site:
        (release / "server.js").write_text(f'import("./{site}server.js")\n')
    found = prepared(release, cache)
    assert not (found / "old").exists(), "pages of the release before are not served again"
    for name in (f"{site}.next/server/app/isr.html", f"{site}.next/server/app/public/page.html", f"{site}server.js", "server.js"):
        assert (found / name).resolve() == found / name
        assert (found / name).read_text() == (release / name).read_text()
        assert (found / name).stat().st_mode & 0o200
    for name in ("node_modules/next/i.js", f"{site}node_modules/own/i.js", f"{site}public/robots.txt"):
        assert (found / name).resolve() == release / name, "as large as it is, it stays where it is"
    assert prepared(release, cache) == found
