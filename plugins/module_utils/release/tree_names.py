# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a description may say of files in a release's tree."""

from __future__ import annotations


def leads_out(path: str) -> bool:
    """Whether a path, relative to a folder, is not inside it."""
    return path.startswith("/") or ".." in path.split("/")


def output_problem(kind: str, output: str) -> str:
    """Why *output* is nothing that a release of that kind can keep; empty where it can."""
    folder = kind == "static" and not output.startswith("/") and not {"", ".", ".."} & set(output.split("/"))
    if output == "none" or (output == "next-standalone" and kind == "node") or folder:
        return ""
    return (
        f"'{output}' is nothing that can be kept of a release of kind {kind}. Expected none, next-standalone (a Next.js site, kind node), "
        "or, for kind static, the folder that the build writes, such as dist"
    )
