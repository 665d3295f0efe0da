# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a server that speaks HTTP is named and logged in to."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login

FILES = {"/p": "word", "/t": "token"}


@pytest.mark.parametrize(
    ("spec", "header"),
    [
        ({}, {}),
        ({"username": "u", "password_file": "/p"}, {"Authorization": "Basic dTp3b3Jk"}),
        ({"secret_file": "/t"}, {"Authorization": "Bearer token"}),
    ],
)
def test_what_is_sent_along(spec: dict[str, Any], header: dict[str, str]) -> None:
    assert http_login.authorization(spec, FILES.__getitem__) == header


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"target": "http://a"}, []),
        ({"target": "${url}"}, []),
        ({"username": "u", "password_file": "/p"}, []),
        ({"username": "u"}, ["username and password_file belong together"]),
        ({"password_file": "/p"}, ["username and password_file belong together"]),
        ({"username": "u", "password_file": "/p", "secret_file": "/t"}, ["secret_file or username, not both"]),
        ({"target": "a:80"}, ["'a:80' does not begin with http:// or https://"]),
    ],
)
def test_what_does_not_fit(spec: dict[str, Any], said: list[str]) -> None:
    assert http_login.problems(spec) == said
