# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import subprocess
import tarfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError, Unreachable, separated


class Repository:
    """A real git repository."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.com")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str], tag: str = "") -> str:
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "repo")
    made.commit({"backend/app.py": "1\n", "backend/run.sh": "#!/bin/sh\n", "frontend/x": ""}, "v1.0.0")
    return made


def source(repository: Repository, path: str = "backend") -> Source:
    return Source(str(repository.path), path, repository.path.parent / "mirrors")


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as bundle:
        return sorted(bundle.getnames())


def test_light_and_annotated_tags(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit({"backend/app.py": "2\n"})
    repository.git("tag", "--annotate", "v1.1.0", "--message", "second")
    assert source(repository).resolve("v1.0.0") == first
    assert source(repository).resolve("v1.1.0") == second
    assert source(repository).tags() == ["v1.0.0", "v1.1.0"]


def test_mirrors_are_where_caches_are(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that they outlive the container of a job."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    assert Source(str(repository.path)).mirror.parent == tmp_path / "kept" / "phasegate" / "mirrors"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Source(str(repository.path)).mirror.parent == Path("~/.cache/phasegate/mirrors").expanduser()


def test_a_tag_that_does_not_exist_names_the_nearest_and_the_newest(repository: Repository) -> None:
    for number in range(2, 12):
        repository.commit({"backend/app.py": f"{number}\n"}, f"v1.{number}.0")
    with pytest.raises(SourceError) as refused:
        source(repository).resolve("v1.10.1")
    said = str(refused.value)
    assert "no tag 'v1.10.1'" in said
    assert "Nearest: v1.10.0" in said
    assert "newest tag is v1.11.0" in said
    assert len(said.split("Nearest: ")[1].split(".  ")[0].split(" The")[0].split(",")) == 3


@pytest.mark.parametrize("ref", ["main", "HEAD", "latest"])
def test_what_moves_is_refused(repository: Repository, ref: str) -> None:
    with pytest.raises(SourceError, match="has to be a tag"):
        source(repository).resolve(ref)


def test_a_commit_is_refused_with_the_remedy(repository: Repository) -> None:
    with pytest.raises(SourceError, match="git tag NAME"):
        source(repository).resolve(repository.git("rev-parse", "HEAD"))


def test_a_repository_without_tags(tmp_path: Path) -> None:
    empty = Repository(tmp_path / "repo")
    empty.commit({"a": ""})
    with pytest.raises(SourceError, match="has no tags; make one"):
        source(empty).resolve("v1")


def test_tags_that_cannot_be_releases_are_named(tmp_path: Path) -> None:
    made = Repository(tmp_path / "repo")
    made.commit({"a": ""}, "release@2026")
    with pytest.raises(SourceError, match=r"its tags \(release@2026\) cannot be releases.*Make one.*git tag v1.0.0"):
        source(made).newest_tag()


def test_a_tag_without_files(tmp_path: Path) -> None:
    made = Repository(tmp_path / "repo")
    made.git("commit", "--quiet", "--allow-empty", "--message", "nothing")
    made.git("tag", "v1.0.0")
    with pytest.raises(SourceError, match=r"The tag v1\.0\.0 of .* has no files in /"):
        source(made, "").archive("v1.0.0", made.git("rev-parse", "HEAD"))


def test_an_unreachable_repository_hides_its_password() -> None:
    with pytest.raises(Unreachable) as refused:
        Source("https://user:hunter2@localhost:9/x.git", "", "/nonexistent").resolve("v1")
    assert "hunter2" not in str(refused.value)
    assert "cannot be reached" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "clean", "login"),
    [
        ("https://TOKEN99@host/x.git", "https://host/x.git", "TOKEN99:"),
        ("http://me:p%40ss@host:8/x.git", "http://host:8/x.git", "me:p@ss"),
        ("ssh://git@host/x", "ssh://git@host/x", ""),
        ("git@host:x.git", "git@host:x.git", ""),
        ("https://host/x.git", "https://host/x.git", ""),
    ],
)
def test_credentials_are_no_part_of_the_address(address: str, clean: str, login: str) -> None:
    header = f"Authorization: Basic {base64.b64encode(login.encode()).decode()}" if login else ""
    assert separated(address) == (clean, header)


def test_a_token_in_the_query_is_refused_with_the_remedy() -> None:
    with pytest.raises(SourceError, match="https://TOKEN@host") as refused:
        Source("https://host/x.git?private_token=SECRET99", "", "/nonexistent")
    assert "SECRET99" not in str(refused.value)


def test_credentials_reach_the_server_and_no_command_line(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real git against a real server that asks for a password; every command that git runs is looked at."""
    bare = tmp_path / "served" / "x.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository.path), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "update-server-info"], check=True)
    wanted = f"Basic {base64.b64encode(b'deploy:glpat-SECRET99').decode()}"

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == wanted:
                super().do_GET()
            else:
                self.send_error(401)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(bare.parent)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("GIT_TRACE", str(tmp_path / "trace"))  # with the arguments of its helpers
    try:
        address = f"http://deploy:glpat-SECRET99@127.0.0.1:{server.server_port}/x.git"
        there = Source(address, "", str(tmp_path / "cache"))
        commit = there.resolve("v1.0.0")
        assert there.archive("v1.0.0", commit).path.exists()
        with pytest.raises(Unreachable):
            Source(address.replace("SECRET99", "WRONG"), "", str(tmp_path / "other")).resolve("v1.0.0")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    trace = (tmp_path / "trace").read_text(errors="replace")
    assert "ls-remote" in trace
    assert "remote-http" in trace
    assert "SECRET99" not in trace
    assert "SECRET99" not in "".join(path.read_text(errors="replace") for path in (tmp_path / "cache").rglob("config"))


def test_a_diverged_checkout_says_how_far(repository: Repository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(repository.path), str(tmp_path / "clone")], check=True)
    repository.commit({"backend/app.py": "theirs\n"})
    clone = Repository.__new__(Repository)
    clone.path = tmp_path / "clone"
    clone.git("config", "user.name", "test")
    clone.git("config", "user.email", "test@example.com")
    clone.commit({"backend/mine.py": "1\n"})
    clone.commit({"backend/mine.py": "2\n"})
    clone.git("fetch", "--quiet")
    with pytest.raises(SourceError, match="2 commits ahead, 1 behind"):
        source(clone).resolve("main")


@pytest.mark.parametrize(
    ("edit", "dirty"),
    [("backend/app.py", True), ("backend/new.py", True), ("frontend/x", False)],
    ids=["changed", "new", "another folder"],
)
def test_a_dirty_checkout(repository: Repository, edit: str, dirty: bool) -> None:
    (repository.path / edit).write_text("edited\n")
    if not dirty:
        source(repository).refuse_dirty("v1.0.0")
        return
    with pytest.raises(SourceError) as refused:
        source(repository).refuse_dirty("v1.0.0")
    assert "not committed" in str(refused.value)
    assert edit in str(refused.value)


def test_a_bare_repository_is_never_dirty(repository: Repository, tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--bare", str(repository.path), str(tmp_path / "bare.git")], check=True)
    bare = Source(str(tmp_path / "bare.git"), "backend", tmp_path / "mirrors")
    bare.refuse_dirty("v1.0.0")
    assert names(bare.archive("v1.0.0", bare.resolve("v1.0.0")).path) == ["app.py", "run.sh"]


def test_the_archive_holds_the_folder_at_the_tag_and_nothing_else(repository: Repository) -> None:
    repository.commit({"backend/later.py": ""})
    (repository.path / "backend" / "run.sh").chmod(0o700)
    origin = source(repository)
    made = origin.archive("v1.0.0", origin.resolve("v1.0.0"))
    assert names(made.path) == ["app.py", "run.sh"]
    with tarfile.open(made.path) as bundle:
        assert {(item.mode, item.uid, item.uname) for item in bundle} == {(0o644, 0, "root")}


def test_the_whole_repository(repository: Repository) -> None:
    origin = source(repository, "")
    made = origin.archive("v1.0.0", origin.resolve("v1.0.0"))
    assert [name for name in names(made.path) if "." in name or name.endswith("x")] == ["backend/app.py", "backend/run.sh", "frontend/x"]


def test_two_controllers_make_the_same_bytes(repository: Repository, tmp_path: Path) -> None:
    one = source(repository)
    other = Source(str(repository.path), "backend", tmp_path / "elsewhere")
    commit = one.resolve("v1.0.0")
    assert one.archive("v1.0.0", commit).sha256 == other.archive("v1.0.0", commit).sha256


def test_the_archive_is_cached(repository: Repository) -> None:
    origin = source(repository)
    commit = origin.resolve("v1.0.0")
    first = origin.archive("v1.0.0", commit)
    repository.path.rename(repository.path.with_name("gone"))
    assert origin.archive("v1.0.0", commit) == first


def test_a_folder_that_is_not_there(repository: Repository) -> None:
    origin = source(repository, "backnd")
    with pytest.raises(SourceError, match=r"no folder backnd\. Folders there: backend, frontend"):
        origin.archive("v1.0.0", origin.resolve("v1.0.0"))


def test_submodules_are_refused(repository: Repository, tmp_path: Path) -> None:
    other = Repository(tmp_path / "other")
    other.commit({"a": ""})
    repository.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.path), "backend/vendored")
    repository.git("commit", "--quiet", "--message", "vendored")
    repository.git("tag", "v2.0.0")
    origin = source(repository)
    with pytest.raises(SourceError, match="backend/vendored"):
        origin.archive("v2.0.0", origin.resolve("v2.0.0"))


def test_what_one_commit_has_and_another_lacks(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit({"backend/app.py": "2\n"}, "v1.1.0")
    from_here = source(repository)
    assert from_here.changes(second, first) == [], "nothing is fetched for it"
    from_here.archive("v1.0.0", first)
    from_here.archive("v1.1.0", second)
    assert from_here.changes(second, first) == [f"{second[:7]} change", "1 file changed, 1 insertion(+), 1 deletion(-)"]
    assert from_here.changes(first, first) == []
    assert from_here.changes(second, "0" * 40) == [], "a commit that is not in the mirror"


def test_many_commits_are_cut(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    for number in range(4):
        last = repository.commit({"backend/app.py": f"{number}\n\n"}, f"v2.{number}.0")
    from_here = source(repository)
    from_here.archive("v2.3.0", last)
    lines = from_here.changes(last, first, limit=2)
    assert len(lines) == 4
    assert lines[2] == "and more"


def test_what_a_node_calls_a_commit_is_no_option(repository: Repository, tmp_path: Path) -> None:
    """A node could have had git write over any file of the operator's."""
    precious = tmp_path / "authorized_keys"
    precious.write_text("ssh-ed25519 AAAA operator\n")
    there = source(repository)
    commit = there.resolve("v1.0.0")
    there.archive("v1.0.0", commit)
    for forged in (f"--output={precious}", "v1.0.0", f"{commit}\n", "", "HEAD"):
        for pair in ((forged, commit), (commit, forged)):
            with pytest.raises(SourceError, match="as a commit; expected"):
                there.changes(*pair)
    assert precious.read_text() == "ssh-ed25519 AAAA operator\n"
    assert there.changes(commit, commit) == []


def placed(repository: Repository, lock: str = "", context: tuple[str, ...] = ()) -> Source:
    return Source(str(repository.path), "backend", repository.path.parent / "mirrors", lock, context)


def test_a_workspace_and_a_context_keep_their_places(repository: Repository) -> None:
    commit = repository.commit({"uv.lock": "", "pyproject.toml": "", "libs/shared/x.py": "", "libs/other/y.py": ""}, "v2.0.0")
    whole = placed(repository, "../uv.lock")
    assert {"app.py", "../uv.lock", "../pyproject.toml"} <= set(whole.files("v2.0.0", commit))
    assert {"uv.lock", "backend/app.py", "frontend/x", "libs/other/y.py"} <= set(names(whole.archive("v2.0.0", commit).path))
    some = placed(repository, "requirements.lock", ("libs/shared",))
    assert names(some.archive("v2.0.0", commit).path) == [
        "backend", "backend/app.py", "backend/run.sh", "libs", "libs/shared", "libs/shared/x.py",
    ]
    alone = source(repository).archive("v2.0.0", commit)
    assert names(alone.path) == ["app.py", "run.sh"]
    with pytest.raises(SourceError, match=r"has no folder lib\. Folders there: .*Correct the component's context"):
        placed(repository, "", ("lib",)).archive("v2.0.0", commit)


def test_a_folder_that_is_built_as_well_comes_along(repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")

    def beside(*folders: str) -> Source:
        return Source(str(repository.path), "backend", repository.path.parent / "mirrors", beside=folders)

    assert {"backend/app.py", "frontend/x"} <= set(names(beside("frontend").archive("v1.0.0", commit).path))
    with pytest.raises(SourceError, match=r"has no folder front\. Folders there: .*Correct the component's includes"):
        beside("front").archive("v1.0.0", commit)


def test_changes_of_the_context_are_changes(repository: Repository) -> None:
    repository.commit({"libs/shared/x.py": ""}, "v2.0.0")
    (repository.path / "libs/shared/x.py").write_text("changed")
    assert placed(repository).uncommitted() == ""
    assert placed(repository, "", ("libs/shared",)).uncommitted() == "libs/shared/x.py"


def test_tags_of_a_monorepo(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("tag", "--annotate", "--message", "one", "backend/v1.2.0")
    second = repository.commit({"backend/app.py": "2\n"}, "frontend/v9.0.0")
    made = source(repository)
    assert made.resolve("backend/v1.2.0") == first, "the commit, not the object of an annotated tag"
    assert made.resolve("backend..v1.2.0") == first, "the name of its release leads back to it"
    with pytest.raises(SourceError, match=r"no tag 'backend/v1\.2\.1'.*Nearest: backend/v1\.2\.0.*The newest tag is backend/v1\.2\.0"):
        made.resolve("backend/v1.2.1")
    assert names(made.archive("backend..v1.2.0", first).path) == ["app.py", "run.sh"]
    assert made.known("backend/v1.2.0") == made.known("backend..v1.2.0") == first

    repository.git("tag", "--force", "backend/v1.2.0", second)
    assert made.resolve("backend/v1.2.0") == second
    made.files("frontend/v9.0.0", second)
    made.files("backend/v1.2.0", second)
    assert made.known("backend/v1.2.0") == second, "it was moved to what another tag had brought"

    repository.git("tag", "--delete", "backend/v1.2.0")
    third = repository.commit({"backend/app.py": "3\n"}, "backend")
    assert "app.py" in made.files("backend", third), "a tag of this name cannot lie beside the former one"
    repository.git("tag", "--delete", "backend")
    fourth = repository.commit({"backend/app.py": "4\n"}, "backend/v2.0.0")
    assert "app.py" in made.files("backend/v2.0.0", fourth)
