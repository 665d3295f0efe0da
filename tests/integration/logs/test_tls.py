# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VictoriaLogs comes to speak TLS while a shipper sends to it in plain text: no line is lost, and whoever reads it trusts its CA."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

from .conftest import PASSWORD, World, wait
from .test_figures import Reader

LOGIN = {"username": "reader", "seconds": 600}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A store that has come to speak TLS, with lines of before, of between, and of after its shipper was told."""
    one = World(tmp_path_factory.mktemp("tls"))
    try:
        done = one.configure()
        assert done.returncode == 0, done.stdout + done.stderr
        one.start_store()
        one.start_shipper()
        one.write("before")
        assert wait(lambda: one.count("before") == 1)
        one.speak_tls(authority, authority.issue("logs", "127.0.0.1"))
        done = one.configure("victorialogs")
        assert done.returncode == 0, done.stdout + done.stderr
        assert one.store
        one.store.terminate()
        one.store.wait(15)
        one.start_store()
        one.write(*(f"between {number}" for number in range(5)))
        assert wait(lambda: "it speaks TLS: log_shipper_url has to begin with https" in one.said()), one.said()
        done = one.configure("log_shipper")
        assert done.returncode == 0, done.stdout + done.stderr
        one.stop_shipper()
        one.start_shipper()
        one.write("after")
        yield one
    finally:
        one.end()


def shown(world: World) -> str:
    """The serial number of the certificate that the store shows."""
    assert world.context
    plain = socket.create_connection(("127.0.0.1", world.port), 5)
    with world.context.wrap_socket(plain, server_hostname="127.0.0.1") as tls:
        certificate = tls.getpeercert()
    assert certificate
    return str(certificate["serialNumber"])


def test_no_line_is_lost_on_the_way_to_tls(secure: World) -> None:
    assert wait(lambda: secure.count("after") == 1), secure.said()
    assert secure.said().rstrip().endswith(f"sends what localhost says to https://127.0.0.1:{secure.port}")
    assert "refused" not in secure.said()
    assert (secure.count("between"), secure.count("between", "count_uniq(id)"), secure.count("before")) == (5, 5, 1)


def test_what_the_role_lays_down(secure: World) -> None:
    kept = secure.folder / "etc/tls.pem"
    assert kept.stat().st_mode & 0o777 == 0o640
    assert f"-tls -tlsCertFile={kept} -tlsKeyFile={kept}" in secure.line_of("victorialogs.service")


def test_a_gate_asks_it_with_the_ca(secure: World, authority: Authority) -> None:
    login = {**LOGIN, "password_file": str(secure.password), "components": ["api"]}
    assert secure.probe(ca_file=str(authority.ca), **login).ok
    without = secure.probe(**login)
    assert not without.ok
    assert "certificate" in f"{without.got} {without.detail}".lower()


def test_prometheus_reads_its_figures_with_the_ca(secure: World, tmp_path: Path) -> None:
    reader = Reader(secure, tmp_path)
    done = reader.configure()
    assert done.returncode == 0, done.stdout + done.stderr
    reader.start()
    try:
        assert wait(lambda: reader.store().get("health") == "up"), reader.store()
        assert reader.store()["scrapeUrl"] == f"https://127.0.0.1:{secure.port}/metrics"
        assert PASSWORD not in (tmp_path / "prometheus.yml").read_text()
    finally:
        reader.end()


def test_a_renewed_certificate_is_shown_without_a_restart(secure: World, authority: Authority) -> None:
    before = shown(secure)
    certificate, key = authority.issue("renewed", "127.0.0.1")
    (secure.folder / "etc/tls.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    assert wait(lambda: shown(secure) != before, 5)
    secure.write("with the new one")
    assert wait(lambda: secure.count('"with the new one"') == 1), secure.said()


def test_a_certificate_without_its_key_is_refused(secure: World, authority: Authority) -> None:
    """What is there stays."""
    certificate, _key = authority.issue("elsewhere", "127.0.0.1")
    kept = (secure.folder / "etc/tls.pem").read_bytes()
    done = secure.configure("victorialogs", victorialogs_tls={"certificate": str(certificate)})
    assert done.returncode != 0
    assert "victorialogs_tls on localhost: expected certificate and key" in " ".join((done.stdout + done.stderr).split())
    assert (secure.folder / "etc/tls.pem").read_bytes() == kept
