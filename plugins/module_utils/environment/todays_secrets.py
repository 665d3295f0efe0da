# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment that a component goes back with: that of then, in which every secret has the value of today. No I/O.

A password that was changed since would be refused, and a key of then would turn every user away. A secret is what a schema declares
so, then or today; where neither configuration says what it declares (an older version wrote it), what is named like one. An address
with a password counts as well, since what it leads to refuses the former one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import is_secret, passwords
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import bridge_name

Declared = Collection[str]


@dataclass(frozen=True)
class Merged:
    """An environment of then with the secrets of today.

    Attributes:
        values: variable to value; the variables are those of then.
        today: names of those that have another value than they had.
        kept: names of secrets that have the value of then, because today's environment does not have them.
    """

    values: dict[str, str]
    today: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def merge(then: Mapping[str, str], now: Mapping[str, str], then_declared: Declared | None, now_declared: Declared | None) -> Merged:
    """Put the secrets of *now* into *then*. The names that each schema declared are None where they were not written down."""

    def secret(name: str) -> bool:
        if any(passwords(values.get(name, "")) for values in (then, now)):
            return True
        declared = [then_declared, now_declared if name in now else None]
        known = [names for names in declared if names is not None]
        return any(name in names for names in known) if known else is_secret(name)

    found = [name for name in then if secret(name)]
    carried = {name: now[name] for name in found if name in now}
    # a login in two variables: in the middle of a rotation its name goes with its password
    carried.update({name: now[name] for name in then if name in now and _same_login(then[name], now[name])})
    return Merged(
        {**then, **carried},
        tuple(sorted(name for name, value in carried.items() if then[name] != value)),
        tuple(sorted(name for name in found if name not in now)),
    )


def _same_login(one: str, other: str) -> bool:
    """Whether one of them is the second login that a rotation adds beside the other."""
    return bool(one and other) and (one == bridge_name(other) or other == bridge_name(one))
