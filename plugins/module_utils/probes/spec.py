# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canonical form of a probe of the types that this collection has."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import normalise_with
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import SPECS


def normalise(probe: Mapping[str, object], component: str | None) -> dict[str, object]:
    """Return the canonical form of a probe in either form; canonical ones come back as they are.

    Args:
        probe: as it stands in an inventory.
        component: whose gate it belongs to; None keeps what the probe says.

    Raises:
        ProbeError: with every problem that was found.
    """
    return normalise_with(SPECS, probe, component)
