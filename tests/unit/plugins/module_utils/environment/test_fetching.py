# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an environment may stand on a command line, and what may not."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.fetching import apt_conf, split


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("HTTPS_PROXY", "http://proxy:3128", "http://proxy:3128"),
        ("HTTPS_PROXY", "http://deploy:hush@proxy:3128", "http://proxy:3128"),
        ("https_proxy", "http://deploy:hu@sh/x@proxy:3128", "http://proxy:3128"),
        ("http_proxy", "deploy:hush@proxy:3128", "proxy:3128"),
        ("ALL_PROXY", "socks5h://deploy:hush@proxy:1080", "socks5h://proxy:1080"),
        ("NO_PROXY", "localhost,10.0.0.0/8", "localhost,10.0.0.0/8"),
        ("PIP_INDEX_URL", "https://hush-token@index/simple", "https://index/simple"),
        ("PIP_EXTRA_INDEX_URL", "https://a/simple https://u:hush@b/simple", "https://a/simple https://b/simple"),
        ("UV_INDEX_URL", "https://index/simple?token=hush-hush", None),
        ("npm_config_//registry/:_authToken", "hush-hush", None),
        ("UV_HTTP_TIMEOUT", 60, "60"),
        ("UV_NO_CACHE", True, "true"),
        ("SSL_CERT_FILE", "/etc/ssl/own.pem", "/etc/ssl/own.pem"),
        ("npm_config_registry", "https://registry/npm/@scope/", "https://registry/npm/@scope/"),
        ("npm_config_registry", "https://registry:8443/npm/@scope/", "https://registry:8443/npm/@scope/"),
        ("HTTPS_PROXY", "http://deploy:hu sh@proxy:3128", "http://proxy:3128"),
        ("http_proxy", "de ploy:hush@proxy:3128", "proxy:3128"),
        ("PIP_INDEX_URL", "https://deploy:hu/sh@index/simple", None),
        ("GOPROXY", "https://u:hush@proxy,direct", "https://proxy,direct"),
        ("GOPROXY", "https://u:hu/sh@proxy,direct", None),
    ],
)
def test_split(name: str, value: object, shown: str | None) -> None:
    seen, secret = split({name: value})
    assert seen.get(name) == shown
    assert secret == ({} if shown == str(value).replace("True", "true") else {name: value})
    assert "hush" not in str(seen).replace("/", "").replace(" ", "")


def test_apt_conf() -> None:
    assert apt_conf({}) == ""
    assert apt_conf({"PIP_INDEX_URL": "https://u:hush@index"}) == ""
    given = {"http_proxy": "u:hu;sh@proxy:1", "HTTPS_PROXY": 'http://u:h"ush@proxy:2'}
    assert apt_conf(given) == 'Acquire::http::Proxy "http://u:hu%3Bsh@proxy:1";\nAcquire::https::Proxy "http://u:h%22ush@proxy:2";\n'
