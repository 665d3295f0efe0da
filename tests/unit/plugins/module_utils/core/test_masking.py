# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts without their secrets, however these are spelled in them."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import MASK, Masker, is_secret, without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env, quote as env_quote

NASTY = "p'a\"s$s%w\\o`r@d:/# é1"
LINES = "-----BEGIN-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n-----END-----"


@pytest.mark.parametrize("shown", [
    NASTY, json.dumps({"x": NASTY}), json.dumps(NASTY, ensure_ascii=False), repr(NASTY), shlex.quote(NASTY), quote(NASTY, safe=""),
    f"KeyError: {NASTY!r} in /srv",
])
def test_a_secret_goes_in_every_spelling(shown: str) -> None:
    masked = Masker.of({"SMTP_PW": NASTY}).mask(f"before {shown} after")
    assert NASTY not in masked
    for piece in ("a\"s$s", "s$s%w", "%24s%25w"):
        assert piece not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_each_line_of_a_secret_goes() -> None:
    masker = Masker.of({"JWT_PRIVATE_KEY": LINES})
    assert masker.mask("log: kqhkiG9w0BAQ== here") == f"log: {MASK}[JWT_PRIVATE_KEY] here"
    assert "MIIEvQIBADANBg" not in masker.mask(json.dumps(LINES))


def test_what_the_schema_declares_is_secret_whatever_its_name_and_length() -> None:
    assert Masker.of({"PIN": "123"}, declared={"PIN"}).mask("pin 123") == f"pin {MASK}[PIN]"
    assert Masker.of({"PIN": "123"}).mask("pin 123") == "pin 123"
    assert Masker.of({"API_KEY": "abc"}).mask("abc") == "abc"  # a name alone is no reason to blot out every abc


def test_values_are_taken_from_the_file_as_systemd_reads_them() -> None:
    environment = parse_env(f"SECRET_KEY={env_quote(NASTY)}\nPLAIN=info\n")
    assert Masker.of(environment).mask(f"boot with {NASTY} at info") == f"boot with {MASK}[SECRET_KEY] at info"


def test_passwords_of_addresses_go_as_they_stand_and_decoded() -> None:
    masker = Masker.of({"DATABASE_URL": "postgresql://app:p%40ss%2Fword@db:5432/shop"})
    assert masker.mask("password p@ss/word for app") == f"password {MASK} for app"
    assert masker.mask("p%40ss%2Fword") == MASK
    assert "db:5432" in masker.mask("cannot reach db:5432")


@pytest.mark.parametrize(("text", "clean"), [
    ("https://ghp_TOKEN@github.com/x.git", f"https://{MASK}@github.com/x.git"),
    ("https://deploy:glpat-S@git.corp/x.git failed", f"https://deploy:{MASK}@git.corp/x.git failed"),
    ("https://git.corp/x.git?private_token=abc&a=1", f"https://git.corp/x.git?private_token={MASK}&a=1"),
    ("postgresql://app@db/x", "postgresql://app@db/x"),
    ("ssh://git@host/x", "ssh://git@host/x"),
    ("postgresql://app:a@b@db/x", f"postgresql://app:{MASK}@db/x"),
    ("http://127.0.0.1:8000/health?id=7", "http://127.0.0.1:8000/health?id=7"),
    ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
    ("{'authorization': 'token abc'}", f"{{'authorization': 'token {MASK}'}}"),
    ("mail to ops@example.com", "mail to ops@example.com"),
])
def test_what_shows_by_its_place_that_it_is_secret(text: str, clean: str) -> None:
    assert without_credentials(text) == clean


def test_names_that_sound_like_a_secret() -> None:
    assert all(is_secret(name) for name in ("SECRET_KEY", "SMTP_PW", "DB_PASSWORD", "GITHUB_TOKEN", "BASIC_AUTH", "PASSWORD_SALT"))
    assert not any(is_secret(name) for name in ("LOG_LEVEL", "AUTHOR", "PWNED_CHECK", "TIMEOUT"))
    assert is_secret("LOG_LEVEL", {"LOG_LEVEL"})
    assert not Masker.of({"LOG_LEVEL": "info"})


PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASC==\n-----END PRIVATE KEY-----\n"
SERVICE = json.dumps(
    {"type": "service_account", "client_email": "shop@example.com", "private_key": PEM, "parts": [{"token": "t0k-3n+42"}]}
)
TRICKY = 'ab$cd"ef\\gh'


@pytest.mark.parametrize(
    ("shown", "gone"),
    [
        (json.dumps({"event": json.dumps({"token": TRICKY})}), "ef"),
        (json.dumps({"event": f"bad token {TRICKY!r}"}), "ef"),
        (repr(repr(TRICKY)), "ef"),
        (f"input_value='{'k' * 12 + 'START' + 'm' * 8}...{'n' * 10}THE-END-OF-IT'", "START"),
        (f"input_value='{'k' * 12 + 'START' + 'm' * 8}...{'n' * 10}THE-END-OF-IT'", "THE-END"),
    ],
    ids=["JSON in JSON", "repr in JSON", "repr of repr", "its beginning, as validators cut it", "and its end"],
)
def test_a_secret_goes_as_logs_spell_it(shown: str, gone: str) -> None:
    long = "k" * 12 + "START" + "m" * 8 + "-in-between-" + "n" * 11 + "THE-END-OF-IT"
    masked = Masker.of({"API_TOKEN": TRICKY, "LONG_KEY": long}).mask(shown)
    assert gone not in masked


@pytest.mark.parametrize(
    "shown",
    ["kiG9w0BAQEFAASC==", "token t0k-3n+42 refused", json.dumps(SERVICE), repr(json.loads(SERVICE)),
     json.dumps(json.loads(SERVICE), indent=1)],
    ids=["a line", "a part", "JSON in JSON", "as a dictionary", "indented"],
)
def test_what_is_secret_inside_a_secret_of_json_goes_as_well(shown: str) -> None:
    masked = Masker.of({"SERVICE_ACCOUNT_KEY": SERVICE}).mask(f"cannot sign: {shown}")
    for piece in ("kiG9w0BAQEFAASC", "MIIEvQ", "t0k-3n"):
        assert piece not in masked
    assert Masker.of({"SERVICE_ACCOUNT_KEY": SERVICE}).mask("a service_account for shop@example.com") == (
        "a service_account for shop@example.com"
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"https://ghp_{'x' * 36}:x-oauth-basic@github.com/x.git", f"https://{MASK}:{MASK}@github.com/x.git"),
        (f"https://{'T0ken' * 8}:@git.corp/x.git", f"https://{MASK}:{MASK}@git.corp/x.git"),
        ("https://oauth2:glpat-S@git.corp/x.git", f"https://oauth2:{MASK}@git.corp/x.git"),
        (f"remote: token ghp_{'A1' * 18} has expired", f"remote: token {MASK} has expired"),
        (f"npm_{'a1' * 18} is no token", f"{MASK} is no token"),
        ("//npm.corp/:_authToken=abc123", f"//npm.corp/:_authToken={MASK}"),
        ("_password = 'cGFzcw=='", f"_password = '{MASK}'"),
        ("the folder npm_modules and glpat-like words stay", "the folder npm_modules and glpat-like words stay"),
    ],
)
def test_what_shows_by_its_form_that_it_is_secret(text: str, clean: str) -> None:
    assert without_credentials(text) == clean
    assert Masker().mask(text) == clean


def test_a_value_as_an_environment_file_quotes_it() -> None:
    """A build that prints its environment file, and a shorter secret that is a part of the value."""
    masker = Masker()
    masker.learn({"API_TOKEN": 'ab$cd"ef\\gh`i', "SHORT": "ab"}, ["API_TOKEN", "SHORT"])
    assert masker.mask('API_TOKEN="ab\\$cd\\"ef\\\\gh\\`i"') == 'API_TOKEN="****[API_TOKEN]"'


def test_the_variable_whose_value_is_gone_is_named() -> None:
    known = Masker.of({"ACCESS_KEY": "shop", "API_TOKEN": "k1", "DB_URL": "postgresql://u:ab-cd@db/x"}, ["API_TOKEN"])
    assert known.mask("shop v4.1.0 starting with k1") == "****[ACCESS_KEY] v4.1.0 starting with ****[API_TOKEN]"
    assert known.mask("postgresql://u:ab-cd@db and ab-cd") == "postgresql://u:****@db and ****"
    # neither is a secret sought in the name of another, nor is one shown for the sake of a name
    assert Masker.of({"ACCESS_KEY": "shop", "PIN": "KEY"}, ["PIN"]).mask("shop KEY") == "****[ACCESS_KEY] ****[PIN]"
    assert Masker.of({"A_PASSWORD": "same", "B_PASSWORD": "same"}).mask("same") == "****[A_PASSWORD]"
