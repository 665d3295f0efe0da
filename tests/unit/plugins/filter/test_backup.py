# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.backup import FilterModule, backup_description


def test_the_filters_are_there() -> None:
    assert set(FilterModule().filters()) == {"backup_description"}


def test_a_node_takes_its_part() -> None:
    backup = {"postgres": [{"name": "db", "component": "backend"}], "files": ["/etc/app"]}
    components, groups = {"backend": {"hosts": "backend"}}, {"backend": ["b1"]}
    described = backup_description(backup, "lab", "b1", components, groups, "/var/lib/lab")
    assert described["postgres"] == [{"name": "db", "component": "backend"}]
    assert backup_description(backup, "lab", "gpu", components, groups, "/var/lib/lab")["postgres"] == []


def test_what_makes_no_sense_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match=r"aistack_backup: unknown key 'bucket'; did you mean 'buckets'\?"):
        backup_description({"bucket": []}, "lab", "b1", {}, {}, "/var/lib/lab")
