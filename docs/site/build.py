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
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"
OUTPUT = ROOT / "build" / "docs"
SOURCE = OUTPUT / "source"
COLLECTION = "collections/phasegate/aistack/index"

GROUPS = {
    "First steps": ["readme", "guide-first", "guide-stack"],
    "Guides": ["guide-deploy", "guide-build", "guide-back", "guide-diagnose", "guide-disaster", "guide-secrets", "guide-web",
               "guide-containers", "guide-awx", "guide-runner", "guide-eda", "guide-monitoring", "guide-upgrade"],
    "Reference": ["verbs", "playbooks", "reference", COLLECTION],
    "Design": ["architecture", "coverage", "faults", "testing", "contributing"],
}
"""The navigation. A guide that is not named stands at the end of the guides, any other page at the end of the design."""

SHORT = {"readme": "Overview", "guide-stack": "Your own application",
         "verbs": "Verbs", "reference": "Keys and probes", COLLECTION: "Modules, filters and roles",
         "architecture": "Architecture", "coverage": "Coverage", "faults": "What breaks, and what comes of it",
         "testing": "Besides make test"}
"""What pages are called in the navigation, where their title is long, or that of the whole."""

COMMAND = re.compile(r"^(?:ansible|make|aistack|git|uv|ssh|sudo|export|\. |\$ |python|curl)")


def header_comment(playbook: Path) -> str:
    """Return the comment that a playbook begins with, without its number signs."""
    lines = []
    for line in playbook.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            lines.append(line[1:].removeprefix(" "))
        elif line != "---":
            break
    return "\n".join(lines)


def fenced(text: str) -> str:
    """Give blocks of code without a language one: commands are a shell's, all else is text."""
    parts = re.split(r"(?ms)^( *)```([\w+-]*)\n(.*?)^ *```$", text)
    for at in range(1, len(parts), 4):
        indent, language, body = parts[at : at + 3]
        if not language:
            language = "bash" if any(COMMAND.match(line.strip()) for line in body.splitlines()) else "text"
        parts[at : at + 3] = ["", "", f"{indent}```{language}\n{body}{indent}```"]
    return "".join(parts)


def relinked(text: str, pages: set[str]) -> str:
    """Let links between the files of the repository lead to pages of the site; those to other files become their name."""

    def link(match: re.Match[str]) -> str:
        words, target = match.group(1), match.group(2)
        path, hash_, anchor = target.partition("#")
        if "://" in target or not path:
            return match.group(0)
        if "pictures/" in path:
            return f"[{words}](pictures/{Path(path).name})"
        name = Path(path).stem.lower()
        return f"[{words}]({name}.md{hash_}{anchor})" if path.endswith(".md") and name in pages else f"`{words}`"

    return re.sub(r"\[([^\]\n]*)\]\(([^)\s]+)\)", link, text)


def guide_pages() -> set[str]:
    """Write one page per Markdown file and return the names of the pages."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
    sources = {path.stem.lower(): path for path in found if path.exists()}
    for name, path in sources.items():
        text = relinked(fenced(path.read_text(encoding="utf-8")), set(sources))
        if name == "readme":  # the whole has that name already
            text = re.sub(r"\A# .*", f"# {SHORT[name]}", text)
        (SOURCE / f"{name}.md").write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "docs" / "pictures", SOURCE / "pictures", ignore=shutil.ignore_patterns("*.py"))
    return set(sources)


def playbooks_page() -> str:
    """Write the page that lists the playbooks and return its name."""
    text = "# Playbooks\n\nWhat each verb does, as its playbook says it. Its parameters and its exit status: [Verbs](verbs.md).\n\n"
    for playbook in sorted((ROOT / "playbooks").glob("*.yml")):
        text += f"## {playbook.stem}\n\n"
        for code, lines in blocks(header_comment(playbook)):
            text += f"```bash\n{lines}\n```\n\n" if code else f"{lines}\n\n"
    (SOURCE / "playbooks.md").write_text(text, encoding="utf-8")
    return "playbooks"


def blocks(comment: str) -> list[tuple[bool, str]]:
    """A comment as paragraphs and, where lines are indented, code; a long command is broken before its options."""
    found: list[tuple[bool, str]] = []
    for line in comment.splitlines():
        code = line.startswith("  ")
        if found and found[-1][0] == code:
            found[-1] = (code, f"{found[-1][1]}\n{line.strip()}")
        elif line.strip():
            found.append((code, line.strip()))
    return [(code, lines if code else re.sub(r"([<>*_])", r"\\\1", lines)) for code, lines in found]


def plain_reference() -> None:
    """Take out of the reference what the theme has by itself: a table of contents on each page, and all pages in the navigation of each."""
    for path in (SOURCE / "collections").rglob("*.rst"):
        text = re.sub(r"(?m)^\.\. (?:contents|toctree)::\n(?:(?: +.*)?\n)+", "\n", path.read_text(encoding="utf-8"))
        if path == SOURCE / f"{COLLECTION}.rst":
            text = re.sub(r"(?m)^Phasegate\.Aistack\n=+$", heading(SHORT[COLLECTION]), text)
        elif ":orphan:" not in text:
            text = f":orphan:\n\n{text}"
        path.write_text(text, encoding="utf-8")


def heading(text: str) -> str:
    """Return a reStructuredText title."""
    return f"{text}\n{'=' * len(text)}"


def index_page(pages: set[str]) -> None:
    """Write the first page: its text, and the navigation in its groups."""
    placed = {name for names in GROUPS.values() for name in names}
    missing = sorted(name for names in GROUPS.values() for name in names if name not in pages)
    if missing:
        raise SystemExit(f"docs/site/build.py: no page {', '.join(missing)}, which the navigation names")
    text = relinked((SITE / "index.md").read_text(encoding="utf-8"), pages)
    for group, names in GROUPS.items():
        more = sorted(pages - placed)
        names = [*names, *(name for name in more if (group, name.startswith("guide")) in (("Guides", True), ("Design", False)))]
        entries = "\n".join(f"{SHORT[name]} <{name}>" if name in SHORT else name for name in names)
        text += f"\n```{{toctree}}\n:caption: {group}\n:hidden:\n:maxdepth: 1\n\n{entries}\n```\n"
    (SOURCE / "index.md").write_text(text, encoding="utf-8")


def main() -> int:
    """Build everything from scratch; return the exit status of the first tool that fails."""
    shutil.rmtree(OUTPUT, ignore_errors=True)  # not there the first time; what cannot go makes mkdir fail
    SOURCE.mkdir(parents=True, mode=0o700)
    tools = Path(sys.executable).parent
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "PATH": f"{tools}:{os.environ['PATH']}"}
    options = ["--use-current", "--fail-on-error", "--dest-dir", str(SOURCE), "phasegate.aistack"]
    command = [str(tools / "antsibull-docs"), "--config-file", str(SITE / "antsibull-docs.cfg"), "collection", *options]
    status = subprocess.run(command, env=environment, check=False).returncode
    if status:
        return status
    plain_reference()
    index_page({*guide_pages(), playbooks_page(), COLLECTION})
    command = [str(tools / "sphinx-build"), "-q", "-j", "auto", "-b", "html", "-c", str(SITE), str(SOURCE), str(OUTPUT / "html")]
    status = subprocess.run(command, check=False).returncode
    if not status:
        print(f"docs: {(OUTPUT / 'html' / 'index.html').relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
