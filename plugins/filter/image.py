# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters image_reference and image_problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.module_utils.release import image


def reference(component: str, tag: str, commit: str) -> str:
    """What the image of a release is called.

    Raises:
        AnsibleFilterError: it cannot be called so.
    """
    try:
        return image.reference(str(component), str(tag), str(commit))
    except image.ImageNameError as error:
        raise AnsibleFilterError(f"image_reference: {error}") from error


class FilterModule:
    """Names of the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the name of each filter to its function."""
        return {"image_problem": image.reference_problem, "image_reference": reference}
