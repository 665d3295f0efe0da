# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sentence of several strings, one of which fills names in, fills them in everywhere."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
FIELD = re.compile(r"(?<![$^@{])\{[a-z_][a-z0-9_.]*\}(?!\})")
"""What is filled in; not ${port} of a probe, nor what git writes behind ^ and @."""
PREFIX = re.compile(r"[A-Za-z]*")
BETWEEN = (tokenize.NL, tokenize.COMMENT)
BEGINS, ENDS = (getattr(tokenize, f"FSTRING_{name}", None) for name in ("START", "END"))
"""From Python 3.12 on a string that fills names in is no string to the tokenizer."""


def filling(text: str) -> bool:
    found = PREFIX.match(text)
    return found is not None and "f" in found[0].lower()


def unfilled(source: str) -> Iterator[str]:
    """Strings beside one that fills names in, which name one themselves and fill nothing in."""
    plain: list[str] = []
    fills, inside = False, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (BEGINS, ENDS):
            inside += 1 if token.type == BEGINS else -1
            fills = True
        elif inside or token.type in BETWEEN:
            continue
        elif token.type == tokenize.STRING:
            fills = fills or filling(token.string)
            plain += [] if filling(token.string) else [token.string]
        else:
            yield from (text for text in plain if fills and FIELD.search(text))
            plain, fills = [], False


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"{tag} has none;"\n" name it: {name}.config"', 1),
        ('("a {name}"\n f"of {tag}")', 1),
        ('f"{tag} has none;" f" name it: {name}.config"', 0),
        ('f"{tag}:" " ask ${port}, tag^{commit} or {{name}}"', 0),
        ('"a {name}".format(name=1)', 0),
    ],
)
def test_it_is_seen(source: str, found: int) -> None:
    assert len(list(unfilled(f"x = ({source})\n"))) == found


def test_no_sentence_shows_the_name_of_what_it_should_say() -> None:
    files = sorted(PLUGINS.rglob("*.py"))
    assert len(files) > 300
    sources = {str(path): path.read_text(encoding="utf-8") for path in files}
    assert [(name, text) for name, source in sources.items() if FIELD.search(source) for text in unfilled(source)] == []
