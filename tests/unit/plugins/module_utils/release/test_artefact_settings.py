# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_settings import Settings, read, settings_problems

STORE = {"store": "s3://kept/a/b/", "endpoint": "http://s3:9000", "access_key_id": "k", "secret_key_file": "/s"}


@pytest.mark.parametrize("off", [False, "false", "no", "Off"])
def test_switched_off(off: Any) -> None:
    assert read(off) is None


@pytest.mark.parametrize("on", [{}, True, "yes", None])
def test_what_counts_where_nothing_is_said(on: Any) -> None:
    assert read(on) == Settings()


def test_what_is_said() -> None:
    said = read({**STORE, "on": "builder", "keep": "3", "changed": "end", "sign": {"public_key": "/p"}, "rebuild": True})
    assert said is not None
    assert (said.bucket, said.prefix, said.on, said.keep, said.changed, said.rebuild) == ("kept", "a/b", "builder", 3, "end", True)
    assert said.store == {name: value for name, value in STORE.items() if name != "store"}
    assert said.sign == {"public_key": "/p"}
    assert read({**STORE, "store": "s3://kept"}) == Settings(bucket="kept", store=said.store)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"on": "bulider"}, "aistack_artefacts.on: no host 'bulider' in the inventory; did you mean 'builder'?"),
        ({"keep": 0}, "aistack_artefacts.keep: must be a whole number from 1 on, is 0"),
        ({"changed": "ignore"}, "aistack_artefacts.changed: 'ignore' is not one of rebuild, end"),
        ({"folders": "/x"}, "aistack_artefacts: unknown key 'folders'; did you mean 'folder'?"),
        ({"sign": {"key": "/k"}}, "aistack_artefacts.sign: 'public_key' is missing"),
        ({"endpoint": "http://s3"}, "aistack_artefacts.endpoint: belongs to a store, and there is none; add store: s3://BUCKET/PREFIX"),
        ({**STORE, "store": "s3://"}, "aistack_artefacts.store: must be s3://BUCKET or s3://BUCKET/PREFIX, is 's3://'"),
        ({**STORE, "store": "https://s3/kept"}, "aistack_artefacts.store: must be s3://BUCKET"),
        ({"store": "s3://kept", "endpoint": "http://s3", "access_key_id": "k"}, "aistack_artefacts: 'secret_key_file' is missing"),
        ({"store": "s3://kept", "endpoint": "http://s3", "secret_key_file": "/s"}, "aistack_artefacts: 'access_key_id' is missing, and so"),
        ({"store": "s3://kept", "access_key_id": "k", "secret_key_file": "/s"}, "aistack_artefacts: 'endpoint' is missing"),
        ("perhaps", "aistack_artefacts: must be false, or a mapping"),
    ],
)
def test_what_makes_no_sense(given: Any, problem: str) -> None:
    (found,) = settings_problems(given, ["builder", "one"])
    assert found.startswith(problem)


def test_hosts_are_not_judged_where_they_are_not_known() -> None:
    assert settings_problems({"on": "elsewhere"}) == []


def test_reading_refuses_with_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"aistack_artefacts\.keep.*has to be false or a mapping"):
        read({"keep": "some"})
