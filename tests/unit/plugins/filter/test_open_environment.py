# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plays ask of the environment in which things are fetched."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.environment import open_environment


def test_an_environment_of_another_type_is_named() -> None:
    with pytest.raises(AnsibleFilterError, match="expected a mapping of variables"):
        open_environment("HTTPS_PROXY=http://proxy")
