# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slot of a site of files: a real nginx with the configuration that the role writes for it."""

from __future__ import annotations

import getpass
import http.client
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .test_drain import PATIENCE, free_port, until
from .test_shared import ROOT

PLAY = """
- hosts: all
  gather_facts: false
  vars_files: ["{role}/defaults/main.yml", "{role}/vars/main.yml"]
  tasks:
    - ansible.builtin.template:
        src: "{role}/templates/nginx.conf.j2"
        dest: "{folder}/{{{{ item }}}}.conf"
        mode: "0644"
        validate: "{{{{ __static_validate }}}} %s"
      loop: [site, app]
      vars:
        __static_slot: blue
        aistack_component_name: "{{{{ item }}}}"
        aistack_component: "{{{{ described | combine({{'options': options[item], 'port': item}}) }}}}"
"""
TREE = {
    "index.html": "page of {tag}", "docs/index.html": "documents", "404.html": "not here", "assets/app.{tag}.js": "code of {tag}",
    "empty/x.txt": "x", "release.json": "secret", "release.files.json": "secret", ".env": "secret", ".git/config": "secret",
    ".well-known/security.txt": "mail us", "style.css": "a" * 2000,
}


def get(port: int, path: str, **headers: str) -> tuple[int, Any, str]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = client.getresponse()
        return answer.status, answer.headers, answer.read().decode("latin-1")
    finally:
        client.close()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, int]]]:
    """The folder of two sites, and the port of the slot of each: `app` draws its pages in the browser."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    assert program, "nginx is needed: tests/tools/host-packages.sh nginx"
    folder, ports = tmp_path_factory.mktemp("n"), {"site": free_port(), "app": free_port()}
    for name in ports:
        for tag in ("v1", "v2"):
            for path, text in TREE.items():
                file = folder / name / "releases" / tag / path.format(tag=tag)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text.format(tag=tag))
        (folder / name / "slots/blue").mkdir(parents=True)
        (folder / name / "slots/blue/release").symlink_to("../../releases/v1")
    given = {
        "ansible_python_interpreter": sys.executable, "aistack_root": str(folder),
        "aistack_ports": {f"{name}_blue": port for name, port in ports.items()},
        "described": {"kind": "static", "assets": ["/assets/"]},
        "options": {"site": {"headers": {"X-Content-Type-Options": "nosniff"}}, "app": {"spa": True, "cache": "max-age=60"}},
    }
    (folder / "vars.json").write_text(json.dumps(given))
    (folder / "play.yml").write_text(PLAY.format(role=ROOT / "roles/static", folder=folder))
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"@{folder / 'vars.json'}"]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
    done = subprocess.run(
        [*command, str(folder / "play.yml")], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        stdin=subprocess.DEVNULL, env={**environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    running = []
    try:
        for name, port in ports.items():
            (folder / f"{name}.tmp").mkdir()
            command = [program, "-e", "stderr", "-p", f"{folder}/{name}.tmp/", "-c", f"{folder}/{name}.conf"]
            running.append(subprocess.Popen([*command, "-g", f"user {getpass.getuser()};"], stdin=subprocess.DEVNULL))
            until(lambda port=port: _answers(port))
        yield folder, ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        return get(port, "/healthz")[0] == 200
    except OSError:
        return False


def test_it_says_which_release_it_serves(sites: tuple[Path, dict[str, int]]) -> None:
    folder, ports = sites
    status, headers, text = get(ports["site"], "/healthz")
    assert (status, json.loads(text)) == (200, {"status": "ok", "version": "v1"})
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("application/json", "no-store")
    index = folder / "site/releases/v1/index.html"
    index.rename(index.with_suffix(".away"))
    assert get(ports["site"], "/healthz")[0] == 503
    index.with_suffix(".away").rename(index)


def test_pages_are_asked_for_again_and_assets_kept(sites: tuple[Path, dict[str, int]]) -> None:
    _folder, ports = sites
    status, headers, text = get(ports["site"], "/")
    assert (status, text, headers["Cache-Control"], headers["Content-Type"]) == (200, "page of v1", "no-cache", "text/html")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert get(ports["site"], "/", If_None_Match=headers["ETag"])[0] == 304
    status, headers, text = get(ports["site"], "/assets/app.v1.js")
    assert (status, text, headers["Cache-Control"]) == (200, "code of v1", "public, max-age=31536000, immutable")
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, text = get(ports["site"], "/assets/app.v0.js")
    assert (status, headers["Cache-Control"], text) == (404, None, "not here"), "what is not there is kept by nobody"
    assert get(ports["site"], "/style.css", Accept_Encoding="gzip", X_Forwarded_For="10.0.0.1")[1]["Content-Encoding"] == "gzip"


def test_only_what_is_meant_to_be_seen_is(sites: tuple[Path, dict[str, int]]) -> None:
    _folder, ports = sites
    for name in ports:
        for path in ("/release.json", "/release.files.json", "/.env", "/.git/config", "/assets/../release.json", "/%2eenv", "//.env"):
            assert "secret" not in get(ports[name], path)[2], path
        assert get(ports[name], "/.well-known/security.txt")[2] == "mail us"
        status, _headers, text = get(ports[name], "/empty/")
        assert "x.txt" not in text, "folders are not listed"
    assert status in (403, 404)
    assert get(ports["site"], "/docs/")[2] == "documents"
    status, headers, _text = get(ports["site"], "/docs")
    assert (status, headers["Location"]) == (301, "/docs/"), "by whatever name and port it was asked"
    assert get(ports["site"], "/cart")[0] == 404


def test_pages_that_a_browser_draws(sites: tuple[Path, dict[str, int]]) -> None:
    _folder, ports = sites
    for path in ("/", "/cart/42", "/docsy"):
        status, headers, text = get(ports["app"], path)
        assert (status, text, headers["Cache-Control"]) == (200, "page of v1", "max-age=60"), path
    assert get(ports["app"], "/assets/app.v0.js")[0] == 404, "else the edge would never look for it in the other slot"
