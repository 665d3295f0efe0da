# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of a site that Next.js has built: the server that it puts together, with all of ``public`` and of the static files.

Next.js copies neither of both into its standalone output, but for files of ``public`` that a page reads. In a repository with
workspaces the server is below the output, at the site's own path.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ansible_collections.phasegate.aistack.plugins.module_utils.release import sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

STANDALONE = "standalone"
SERVER = "server.js"
DEEP = 5
"""Folders that a build may be below the tree, and a server below the build."""

_DIST = re.compile(r'"distDir":\s*"([^"]+)"')
_SITE = re.compile(r"[A-Za-z0-9._@-]+(?:/[A-Za-z0-9._@-]+)*")


def keep(component: str, tag: str, tree: Path, own: Path | None = None) -> None:
    """Reduce a built tree to the server of its site, started by ``server.js`` in the tree's own folder. ``own`` is the component's folder.

    Raises:
        ReleaseError: there is no such server, more than one, or it leaves the tree by a link.
    """
    dist = _dist(component, tag, tree, own or tree)
    standalone = dist / STANDALONE
    server = _server(component, tag, tree, standalone)
    site = server.parent.relative_to(standalone)
    inner = _inner(server, dist)
    source = dist.parents[len(inner.parts) - 1]
    for folder in (dist / "static", source / "public", server.parent / inner, server.parent / "public"):
        sandbox.inside(tree, folder)
    kept = tree.with_name(f"{tree.name}.output")
    shutil.rmtree(kept, ignore_errors=True)  # of a build that was interrupted; what cannot go makes the rename fail
    os.rename(standalone, kept)
    os.chmod(kept, 0o700)
    for made, wanted in ((dist / "static", kept / site / inner / "static"), (source / "public", kept / site / "public")):
        if made.is_dir():
            if wanted.is_dir():  # what was traced of it is a part of it
                shutil.rmtree(wanted)
            wanted.parent.mkdir(parents=True, exist_ok=True)
            os.rename(made, wanted)
    if site.parts:
        (kept / SERVER).write_text(f'import("./{site.as_posix()}/{SERVER}")\n', encoding="utf-8")
    shutil.rmtree(tree)
    os.rename(kept, tree)


def _folders(top: Path, deep: int = DEEP) -> Iterator[Path]:
    """A folder and those below it, packages aside, not through links."""
    yield top
    for here, names, _files in os.walk(top):
        names[:] = sorted(name for name in names if name not in ("node_modules", ".git") and not (Path(here) / name).is_symlink())
        yield from (Path(here) / name for name in names)
        if len(Path(here).relative_to(top).parts) >= deep:
            names.clear()


def _dist(component: str, tag: str, tree: Path, own: Path) -> Path:
    """The folder that Next.js built into: .next, or the one with a server's folder. Raises ReleaseError."""
    usual = own / ".next"
    if os.path.lexists(usual / STANDALONE) or usual.is_symlink():
        sandbox.inside(tree, usual / STANDALONE)
        return usual
    found = [folder.parent for folder in _folders(tree) if folder.name == STANDALONE and any(_servers(folder))]
    if len(found) == 1:
        return found[0]
    if found:
        raise ReleaseError(
            f"The build of {component} {tag} left more than one site: {', '.join(_said(tree, found))}. Expected one. Have the component's "
            "build (build) make its own site alone, or give the component the site's folder (path)."
        )
    built = [folder.parent for folder in _folders(tree) if folder.name == "server" and (folder.parent / "BUILD_ID").is_file()]
    seen = f"It left {', '.join(_said(tree, built))} without {STANDALONE}." if built else "It left no folder of Next.js' at all."
    raise ReleaseError(
        f"The build of {component} {tag} left no server of its own (.next/standalone/{SERVER}, or the same in another distDir or below a "
        f"workspace). {seen} Expected output: 'standalone' in next.config of the site, and the command that builds it in the component's "
        "build; a site that is exported (output: 'export') is of the kind static. Correct it and give the release a new tag."
    )


def _said(tree: Path, folders: list[Path]) -> list[str]:
    return [str(folder.relative_to(tree)) for folder in folders]


def _servers(standalone: Path) -> Iterator[Path]:
    """Servers of sites in an output, the outermost first."""
    yield from (folder / SERVER for folder in _folders(standalone) if (folder / SERVER).is_file())


def _server(component: str, tag: str, tree: Path, standalone: Path) -> Path:
    """The server of the site; what lies in its build may be called so as well. Raises ReleaseError."""
    found = list(_servers(standalone))
    if not found:
        raise ReleaseError(
            f"The build of {component} {tag} left {standalone.relative_to(tree)} without a {SERVER} in it or below (looked {DEEP} folders "
            "deep). Expected one, from output: 'standalone' in next.config. Build it again, and give the release a new tag."
        )
    server = min(found, key=lambda path: (len(path.parts), str(path)))
    site = server.parent.relative_to(standalone).as_posix()
    if site != "." and not _SITE.fullmatch(site):
        raise ReleaseError(
            f"The site of {component} {tag} is in {site!r}. Expected letters, digits, '.', '_', '@' and '-' in the names of its folders."
        )
    return server


def _inner(server: Path, dist: Path) -> PurePosixPath:
    """The site's distDir, as its server says, where that is where it was built; else the name of the folder."""
    said = _DIST.search(server.read_text(encoding="utf-8", errors="replace"))
    named = PurePosixPath(said.group(1)) if said else PurePosixPath(dist.name)
    return named if named.parts and dist.parts[-len(named.parts) :] == named.parts else PurePosixPath(dist.name)
