#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation site into build/docs/html: guides, playbooks, and the reference of modules and roles.

The reference comes from the same texts that `ansible-doc` shows; the guides are the Markdown files of the repository;
the page of playbooks is made of the comment that each of them begins with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"
OUTPUT = ROOT / "build" / "docs"
RST = OUTPUT / "rst"


def heading(text: str) -> str:
    """Return a reStructuredText title."""
    return f"{text}\n{'=' * len(text)}\n\n"


def header_comment(playbook: Path) -> str:
    """Return the comment that a playbook begins with, without its number signs."""
    lines = []
    for line in playbook.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            lines.append(line[1:].removeprefix(" "))
        elif line != "---":
            break
    return "\n".join(lines)


def guide_pages() -> list[str]:
    """Write one page per Markdown file and return the names of the pages."""
    sources = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
    markdown = MarkdownIt("commonmark").enable("table")
    names = []
    for source in (path for path in sources if path.exists()):
        text = source.read_text(encoding="utf-8")
        title, _, body = text.partition("\n") if text.startswith("# ") else (f"# {source.stem}", "", text)
        html = markdown.render(body).replace("<table>", '<table class="docutils">')
        indented = "\n".join("   " + line for line in html.splitlines())
        name = source.stem.lower()
        (RST / f"{name}.rst").write_text(f"{heading(title[2:].strip())}.. raw:: html\n\n{indented}\n", encoding="utf-8")
        names.append(name)
    return names


def playbooks_page() -> str:
    """Write the page that lists the playbooks and return its name."""
    text = heading("Playbooks")
    for playbook in sorted((ROOT / "playbooks").glob("*.yml")):
        title = f"phasegate.aistack.{playbook.stem}"
        comment = "\n".join("   " + line for line in header_comment(playbook).splitlines())
        text += f"{title}\n{'-' * len(title)}\n\n.. code-block:: text\n\n{comment}\n\n"
    (RST / "playbooks.rst").write_text(text, encoding="utf-8")
    return "playbooks"


def main() -> int:
    """Build everything from scratch; return the exit status of the first tool that fails."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    RST.mkdir(parents=True, mode=0o700)
    tools = Path(sys.executable).parent
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "PATH": f"{tools}:{os.environ['PATH']}"}
    options = ["--use-current", "--fail-on-error", "--dest-dir", str(RST), "phasegate.aistack"]
    command = [str(tools / "antsibull-docs"), "--config-file", str(SITE / "antsibull-docs.cfg"), "collection", *options]
    status = subprocess.run(command, env=environment, check=False).returncode
    if status:
        return status
    pages = [*guide_pages(), playbooks_page(), "collections/phasegate/aistack/index"]
    entries = "\n".join(f"   {page}" for page in pages)
    index = heading("phasegate.aistack") + "Deploys AI stacks in phases behind gates, and takes them back to the last good state.\n\n"
    (RST / "index.rst").write_text(f"{index}.. toctree::\n   :maxdepth: 1\n\n{entries}\n", encoding="utf-8")
    command = [str(tools / "sphinx-build"), "-q", "-b", "html", "-c", str(SITE), str(RST), str(OUTPUT / "html")]
    status = subprocess.run(command, check=False).returncode
    if not status:
        print(f"docs: {(OUTPUT / 'html' / 'index.html').relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
