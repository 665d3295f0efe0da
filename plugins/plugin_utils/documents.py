# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents out of templates: those of the collection, or an operator's own of the same name in the folder ``aistack_templates``.

Templates see the facts that they are given and nothing of the inventory; they run in Jinja's sandbox. Values are escaped in what ends
with ``.html.j2``, in which the filter ``commands`` sets as code what stands between backquotes; in ``.md.j2`` the filter ``cell`` makes
a value fit into one cell of a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup, escape

from ansible_collections.phasegate.aistack.plugins.module_utils.report.run_story import took
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import judged
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import cell
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import COLLECTION

TEMPLATES = COLLECTION / "playbooks" / "templates"


class Unwritable(ValueError):
    """A template does not work; the text says which, where, and what to do."""


def commands(value: Any) -> Markup:
    """A sentence, escaped; what stands between backquotes is set as code."""
    parts = [escape(part) for part in str(value).split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))


def render(name: str, facts: Mapping[str, Any], folder: str = "") -> str:
    """The document that the template *name* makes of *facts*.

    Args:
        name: file name, such as ``report.html.j2``.
        facts: variables of the template.
        folder: an operator's templates, looked into first; empty: there are none.

    Raises:
        Unwritable: the folder is not there, or a template has a fault.
    """
    if folder and not Path(folder).is_dir():
        raise Unwritable(f"aistack_templates: {folder} is no folder on this machine. Make it, with a template such as {name} copied from "
                         f"{TEMPLATES}, or leave the variable out.")
    own = [folder] if folder else []
    loader = FileSystemLoader([*own, str(TEMPLATES)])
    environment = SandboxedEnvironment(loader=loader, autoescape=lambda found: bool(found and found.endswith(".html.j2")),
                                       undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(cell=cell, commands=commands, judged=judged, took=took)
    place = next((f"{where}/{name}" for where in own if (Path(where) / name).is_file()), f"{TEMPLATES}/{name}")
    try:
        return environment.get_template(name).render(**facts)
    except TemplateNotFound as error:
        raise Unwritable(f"There is no template {error.name} in {', '.join([*own, str(TEMPLATES)])}.") from error
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        line = getattr(error, "lineno", None)
        where = f"{place}:{line}" if line else place
        hint = f" Fix it, or take the file out of {folder} to have the collection's own." if place.startswith(folder or "\n") else ""
        raise Unwritable(f"The template {where} does not work: {type(error).__name__}: {error}.{hint}") from error


def sections(text: str) -> tuple[str, dict[str, str]]:
    """The title of a Markdown document, and what stands under each heading of the second level; under an empty one what comes before."""
    title, found, heading, fence = "", {"": ""}, "", False
    for line in text.splitlines():
        fence ^= line.startswith("```")
        if not fence and line.startswith("# ") and not title:
            title = line[2:]
        elif not fence and line.startswith("## "):
            heading = line[3:]
            found[heading] = ""
        else:
            found[heading] += f"{line}\n"
    return title, {name: body.strip("\n") for name, body in found.items()}


def arranged(name: str, text: str, facts: Mapping[str, Any], folder: str = "") -> str:
    """A Markdown document as the template *name* arranges it: *facts*, besides C(title) and C(sections), see :func:`sections`.

    Who goes back is not held up by a template: where an operator's does not work, the document is as the collection has it, and says so.
    """
    title, found = sections(text)
    given = {**facts, "title": title, "sections": found}
    try:
        return render(name, given, folder)
    except Unwritable as error:
        return f"{render(name, given)}\n> {error}\n"
