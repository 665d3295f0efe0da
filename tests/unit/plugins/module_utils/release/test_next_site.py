# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a site: outputs as Next.js 16 lays them down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, next_site
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError


def built(tree: Path, where: str = "", dist: str = ".next", site: str = "") -> Path:
    """A tree after ``next build`` of the site in the folder ``where``; the server is at ``site`` in its output."""
    home = tree / where
    output = home / dist / "standalone"
    own = output / site
    server = f'const nextConfig = {{"env":{{}},"distDir":"./{dist}","output":"standalone"}}\nrequire("next")\n'
    for path, text in (
        (own / "server.js", server), (own / dist / "BUILD_ID", "b"), (own / dist / "server/app/server.js", "no site"),
        (output / "node_modules/next/server.js", "no site"), (home / dist / "BUILD_ID", "b"), (home / dist / "server/page.js", ""),
        (home / dist / "static/c.js", "c"), (home / "public/fonts/x.ttf", "font"), (home / "public/robots.txt", "robots"),
        (own / "public/fonts/x.ttf", "font"), (home / "app/page.js", ""), (tree / "node_modules/dev/standalone/server.js", ""),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tree


def kept(tree: Path) -> list[str]:
    next_site.keep("web", "v1", tree)
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file())


def wanted(dist: str = ".next", site: str = "") -> list[str]:
    of_site = ["public/fonts/x.ttf", "public/robots.txt", "server.js"]
    of_site += [f"{dist}/{name}" for name in ("BUILD_ID", "server/app/server.js", "static/c.js")]
    return sorted(["node_modules/next/server.js", *(f"{site}{name}" for name in of_site), *(["server.js"] if site else [])])


def test_all_of_public_is_there_although_a_page_reads_some_of_it(tmp_path: Path) -> None:
    assert kept(built(tmp_path / "v1")) == wanted()
    assert not (tmp_path / "v1.output").exists()


def test_a_site_without_public_and_without_static(tmp_path: Path) -> None:
    tree = built(tmp_path / "v1")
    for folder in ("public", ".next/static", ".next/standalone/public"):
        shutil.rmtree(tree / folder)
    assert kept(tree) == [name for name in wanted() if "public" not in name and "static" not in name]


@pytest.mark.parametrize("dist", ["build", "out/next"])
def test_another_folder_to_build_into(tmp_path: Path, dist: str) -> None:
    assert kept(built(tmp_path / "v1", dist=dist)) == wanted(dist)


@pytest.mark.parametrize(("where", "dist"), [("apps/web", ".next"), ("apps/web", "build"), ("", ".next")])
def test_a_site_of_a_workspace_is_started_from_the_top(tmp_path: Path, where: str, dist: str) -> None:
    tree = built(tmp_path / "v1", where, dist, "apps/web")
    assert kept(tree) == wanted(dist, "apps/web/")
    assert (tree / "server.js").read_text() == 'import("./apps/web/server.js")\n'


def refused(tree: Path) -> str:
    with pytest.raises(ReleaseError) as caught:
        build.keep_output(Recipe(component="web", tag="v1", kind="node", tools=tree, cache=tree, output="next-standalone"), tree)
    assert (tree / "app/page.js").is_file()
    return str(caught.value)


def test_without_a_server_the_remedy_is_named(tmp_path: Path) -> None:
    tree = built(tmp_path / "v1", dist="build")
    shutil.rmtree(tree / "build/standalone")
    assert "It left build without standalone. Expected output: 'standalone' in next.config" in refused(tree)
    shutil.rmtree(tree / "build")
    assert "It left no folder of Next.js' at all." in refused(tree)
    (tree / ".next/standalone").mkdir(parents=True)
    assert "left .next/standalone without a server.js in it or below" in refused(tree)


def test_two_sites_in_one_tree(tmp_path: Path) -> None:
    tree = built(built(tmp_path / "v1", "apps/web"), "apps/admin")
    (tree / "app").mkdir()
    (tree / "app/page.js").touch()
    assert "left more than one site: apps/admin/.next, apps/web/.next. Expected one." in refused(tree)


def test_a_folder_whose_name_is_code(tmp_path: Path) -> None:
    assert "The site of web v1 is in \"a')b\"" in refused(built(tmp_path / "v1", site="a')b"))
