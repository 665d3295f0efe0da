# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx: the documentation site. It is built without a connection, hence no intersphinx."""

from __future__ import annotations

project = "phasegate.aistack"
copyright = "2026 phasegate contributors"
extensions = ["sphinx_antsibull_ext"]
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
default_role = "any"
html_theme = "alabaster"
html_theme_options = {"description": "AI stacks, phase by phase, behind gates", "page_width": "1100px", "fixed_sidebar": True}
html_title = project
html_show_sphinx = False
html_copy_source = False
html_use_index = False
suppress_warnings = ["ref.ref"]  # labels of Ansible's own documentation, which is not part of this site
