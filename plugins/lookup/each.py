# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A variable once for each of several values of another one, as a list: what a loop of set_fact would take a turn each for."""

from __future__ import annotations

DOCUMENTATION = r"""
name: each
short_description: What a variable says for each value of another one
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Fills a variable in once for each value of another variable, on which it depends, and returns what it was as a list.
  - Several components of a host are handed to one task so, instead of a task each.
options:
  _terms:
    description: The values; a list among them stands for what is in it.
    type: list
    elements: raw
    required: true
  variable:
    description: Name of the variable that is filled in.
    type: str
    required: true
  name:
    description: Name of the variable that has each value in turn.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Two users, of a variable that says what one component's is
  ansible.builtin.debug:
    msg: "{{ query('phasegate.aistack.each', ['backend', 'worker'], variable='user_of_component', name='component') }}"
  vars:
    user_of_component: "aistack-{{ component }}"
"""

RETURN = r"""
_raw:
  description: What the variable was, in the order of the values.
  type: list
  elements: raw
"""

from typing import Any, cast

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Fills in with one variable changed."""

    def run(self, terms: Any, variables: Any = None, variable: str = "", name: str = "", **_more: Any) -> list[Any]:
        """One entry for each value. Raises AnsibleError where there is no such variable."""
        known, own = dict(variables or {}), cast("Any", self._templar)
        if variable not in known or not name:
            raise AnsibleError(f"each: variable is {variable!r}, name is {name!r}; expected the name of a variable that is there, and that "
                               "of one on which it depends")
        values = [value for term in terms for value in (term if isinstance(term, (list, tuple)) else [term])]
        found = []
        for value in values:
            templar = own.copy_with_new_env(available_variables={**known, name: value})
            found.append(templar.template(known[variable]))
        return found
