# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate that clients would refuse is refused before a server has it, with what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.certificate import CertificateProblem, days_left
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

NAMES = ("db.example.com", "10.89.0.11")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def refused(pair: tuple[Path, Path], names: Any = NAMES, ca: Any = (), system: bool = False) -> str:
    with pytest.raises(CertificateProblem) as caught:
        days_left(str(pair[0]), str(pair[1]), names, [str(path) for path in ca], system)
    return str(caught.value)


def test_one_that_clients_take(authority: Authority) -> None:
    pair = authority.issue("good", *NAMES, ends=30)
    assert 29.8 < days_left(*map(str, pair), NAMES, [str(authority.ca)]) <= 30


def test_another_key(authority: Authority) -> None:
    certificate, _key = authority.issue("one", *NAMES)
    _certificate, key = authority.issue("two", *NAMES)
    assert f"{key} is not the key of the first certificate in {certificate}" in refused((certificate, key), ca=[authority.ca])


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"begins": -9, "ends": -1}, ("expired", "Renew it")),
        ({"begins": 1, "ends": 9}, ("not yet valid", "clock")),
        ({"passphrase": b"hunter2"}, ("behind a passphrase", "take it off")),
    ],
)
def test_one_that_is_of_no_use(authority: Authority, made: dict[str, Any], words: tuple[str, ...]) -> None:
    said = refused(authority.issue("useless", *NAMES, **made), ca=[authority.ca])
    for word in words:
        assert word in said


@pytest.mark.parametrize("name", ["other.example.com", "10.89.0.12"])
def test_every_name_that_clients_use_is_in_it(authority: Authority, name: str) -> None:
    said = refused(authority.issue("named", *NAMES), [*NAMES, name], [authority.ca])
    assert f"does not name {name}" in said
    assert "say in names (the role's …_tls)" in said


def test_one_that_nobody_trusted_has_signed(authority: Authority) -> None:
    other = Authority(authority.folder, "Other CA")
    pair = authority.issue("foreign", *NAMES)
    assert f"Trusted are {other.ca}" in refused(pair, ca=[other.ca])
    assert "this machine's CA certificates" in refused(pair, system=True)


@pytest.mark.parametrize("broken", ["certificate", "key", "ca"])
def test_a_file_that_is_no_certificate(authority: Authority, tmp_path: Path, broken: str) -> None:
    (tmp_path / "rubbish").write_text("-----BEGIN NOTHING-----\n")
    files = dict(zip(("certificate", "key"), authority.issue("whole", *NAMES)), ca=authority.ca)
    files[broken] = tmp_path / "rubbish"
    said = refused((files["certificate"], files["key"]), ca=[files["ca"]])
    assert str(tmp_path / "rubbish") in said
    assert "PEM" in said
    files[broken] = tmp_path / "absent"
    assert "No such file" in refused((files["certificate"], files["key"]), ca=[files["ca"]])


def test_no_name_proves_nothing(authority: Authority) -> None:
    assert "no name is given" in refused(authority.issue("mute", *NAMES), [], [authority.ca])
