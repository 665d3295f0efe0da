# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superset's settings, unit and scripts: no secret where others read, its key made once, its tables prepared before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/superset"
KNOWN = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
ENVIRONMENT = {"SUPERSET_CONFIG_PATH": "/etc/aistack-superset/superset_config.py", "PGPASSFILE": "/etc/aistack-superset/pgpass"}


def rendered(name: str, **more: Any) -> str:
    engine = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False)
    engine.filters["basename"] = lambda path: Path(path).name
    given = {"superset_user": "superset", "superset_listen": "127.0.0.1", "superset_port": 8088, "superset_workers": 2,
             "superset_threads": 8, "superset_timeout": 120, "__superset_venv": "/opt/s/current", "__superset_number": "6.1.0",
             "__superset_data": "/var/lib/aistack-superset", "__superset_environment": ENVIRONMENT}
    return engine.from_string((ROLE / "templates" / f"{name}.j2").read_text(encoding="utf-8")).render({**given, **more})


@pytest.mark.parametrize(("listen", "bind"), [("127.0.0.1", "127.0.0.1:8088"), ("fd00::2", "[fd00::2]:8088")])
def test_the_unit_listens_where_it_is_told_and_knows_no_secret(listen: str, bind: str) -> None:
    lines = rendered("superset.service", superset_listen=listen).splitlines()
    start = next(line for line in lines if line.startswith("ExecStart="))
    assert start.startswith(f"ExecStart=/opt/s/current/bin/gunicorn --bind={bind} --workers=2 --threads=8 ")
    assert start.endswith(" superset.app:create_app()")
    wanted = {"User=superset", "StateDirectory=aistack-superset", "ProtectSystem=strict", "NoNewPrivileges=true", "CapabilityBoundingSet=",
              "MemoryDenyWriteExecute=true", 'Environment="PGPASSFILE=/etc/aistack-superset/pgpass"'}
    assert wanted <= set(lines)
    assert not [line for line in lines if "assword" in line]


def test_the_configuration_reads_key_and_settings_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key\n")
    (tmp_path / "settings").write_text(json.dumps({"WTF_CSRF_ENABLED": True, "ROW_LIMIT": 5}))
    text = rendered("superset_config.py", __superset_key=str(tmp_path / "key"), __superset_settings_file=str(tmp_path / "settings"))
    found: dict[str, Any] = {}
    exec(compile(text, "superset_config.py", "exec"), found)
    assert (found["SECRET_KEY"], found["WTF_CSRF_ENABLED"], found["ROW_LIMIT"]) == ("a-key", True, 5)
    assert "a-key" not in text


def test_a_key_is_long_and_never_the_same(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        subprocess.run(["/bin/sh", "-c", KNOWN["__superset_make_key"], str(tmp_path / name)], check=True)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        made.append((tmp_path / name).read_text())
    assert len(made[0]) == 64
    assert made[0] != made[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_what_is_to_be_prepared(tmp_path: Path) -> None:
    marker, password = tmp_path / "prepared", tmp_path / "admin.password"
    password.write_text("x")

    def todo(what: str) -> str:
        command = ["/bin/sh", "-c", KNOWN["__superset_look"], str(marker), str(password), what]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert todo("6.1.0 sqlite") == "all"
    marker.write_text("6.1.0 sqlite\n")
    os.utime(password, (time.time() - 60,) * 2)
    assert todo("6.1.0 sqlite") == ""
    assert todo("6.1.1 sqlite") == "all"
    os.utime(password, (time.time() + 60,) * 2)
    assert todo("6.1.0 sqlite") == "password"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Programs that note how they were called, in the place of Superset's and systemd's."""
    for name in ("venv/bin/superset", "venv/bin/python", "path/systemctl", "path/setpriv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        text = '#!/bin/sh\necho "$(basename "$0") $*" >>"$NOTES"\n'
        if name.endswith("python"):
            text = '#!/bin/sh\nread -r secret\necho "python $3 $4, $secret on standard input" >>"$NOTES"\necho made\n'
        if name.endswith("setpriv"):  # as root the script changes its user; whoever runs this test does not
            text = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "password").write_text("s3cret\n")
    return tmp_path


def prepare(server: Path, todo: str) -> list[str]:
    env = {"PATH": f"{server / 'path'}:{os.environ['PATH']}", "NOTES": str(server / "notes")}
    words = [server / "venv", "root", server / "password", server / "prepared", "6.1.0 sqlite", "s.service", todo, "boss", "b@x"]
    (server / "notes").write_text("")
    script = (ROLE / "files/prepare.sh").read_text(encoding="utf-8")
    command = ["/bin/sh", "-c", script, "prepare", *map(str, words)]
    done = subprocess.run(command, env=env, input="the program", capture_output=True, text=True, check=True)
    assert done.stdout == "made\n"
    assert "s3cret" not in " ".join(command)
    return (server / "notes").read_text().splitlines()


def test_tables_are_prepared_before_the_administrator_and_a_running_server_is_stopped_first(server: Path) -> None:
    admin = "python boss b@x, s3cret on standard input"
    assert prepare(server, "all") == ["superset db upgrade", "superset init", admin]
    assert (server / "prepared").read_text() == "6.1.0 sqlite\n"
    assert prepare(server, "all")[0] == "systemctl stop s.service"
    assert prepare(server, "password") == [admin]


def test_what_fails_is_done_again(server: Path) -> None:
    (server / "venv/bin/superset").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        prepare(server, "all")
    assert not (server / "prepared").exists()


def test_its_own_lock_file_is_of_the_version_that_is_documented() -> None:
    lock = (ROLE / "files/superset.txt").read_text(encoding="utf-8")
    assert "apache-superset==6.1.0 " in lock
    assert "Superset 6.1.0 under a unit" in (ROLE / "README.md").read_text(encoding="utf-8")
    wanted = (ROLE / "files/superset.in").read_text(encoding="utf-8").splitlines()
    for line in (one for one in wanted if not one.startswith("#")):
        name = line.partition("==")[0].partition("<")[0].lower()
        assert f"\n{name}==" in f"\n{lock}", line
