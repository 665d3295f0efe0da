# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sphinx: the documentation site. It is built without a connection, hence no intersphinx."""

from __future__ import annotations

project = "phasegate.aistack"
copyright = "2026 phasegate contributors"
extensions = ["sphinx_antsibull_ext", "myst_parser", "sphinx_design", "sphinx_copybutton"]
pygments_style = "default"
pygments_dark_style = "github-dark"
highlight_language = "YAML+Jinja"
default_role = "any"
smartquotes = False  # --check is no dash
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
copybutton_exclude = ".linenos, .gp, .go"
html_theme = "furo"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1c5fbe", "color-brand-content": "#1c5fbe"},
    "dark_css_variables": {"color-brand-primary": "#7fb0f5", "color-brand-content": "#7fb0f5"},
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = project
html_show_sphinx = False
html_copy_source = False
html_use_index = False
suppress_warnings = ["ref.ref", "misc.highlighting_failure"]  # labels of Ansible's own documentation; shortened output that is no YAML
