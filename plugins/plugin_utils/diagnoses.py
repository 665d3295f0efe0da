# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of a diagnosis that come along (C(meta/diagnoses/)), and those of an inventory beside them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import rules

FOLDER = Path(__file__).resolve().parents[2] / "meta" / "diagnoses"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def come_along() -> tuple[Mapping[str, Any], ...]:
    """The rules of the collection, in the order of their files."""
    return tuple(rule for path in sorted(FOLDER.glob("*.yml")) for rule in yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER))


def problems(own: Any) -> list[str]:
    """All that is wrong with the rules of an inventory, one line each."""
    return rules.problems("aistack_diagnoses", own, [str(rule["name"]) for rule in come_along()])


def in_use(own: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that count, where :func:`problems` has nothing to say."""
    return rules.chosen(come_along(), own)
