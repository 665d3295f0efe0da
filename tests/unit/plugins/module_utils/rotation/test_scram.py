# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What PostgreSQL keeps of a password; tests/integration/postgres compares with a real server."""

from __future__ import annotations

import base64

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.rotation import scram

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")  # of the example in RFC 7677


def test_a_verifier_has_the_servers_form_and_is_of_its_password_alone() -> None:
    kept = scram.verifier("pencil", SALT)
    assert kept.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    # StoredKey and ServerKey of RFC 7677's exchange
    assert kept.endswith("$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
    assert scram.matches(kept, "user", "pencil")
    assert not scram.matches(kept, "user", "pencil2")


@pytest.mark.parametrize("kept", [None, "", "plain", "SCRAM-SHA-256$4096:AA==", "md5"])
def test_what_is_none_matches_nothing(kept: str | None) -> None:
    assert not scram.matches(kept, "user", "plain")


def test_compatible_forms_of_letters_are_one() -> None:
    assert scram.matches(scram.verifier("ﬁsch", SALT), "user", "fisch")
