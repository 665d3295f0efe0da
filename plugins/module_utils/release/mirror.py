# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where releases come from: tags of a git repository, as archives with a checksum. Runs on the controller.

A bare mirror of each repository is kept in a cache folder; the operator's checkout is never touched.
"""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import os
import posixpath
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replacing
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import (
    COMMIT,
    RELEASE_NAME,
    RELEASE_WORDS,
    nearest,
    newest,
    printable,
    release_name,
    tag_of,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release import git_words
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import lock_folder, place_of, plain
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import sha256

KEEP_ARCHIVES = 20
POINTER = (110, 300)
"""Bytes that a pointer of Git LFS has at least and at most: a version, a SHA-256, a size, and rarely an extension."""
END = "--end-of-options"
"""Behind it nothing is an option, whatever it begins with."""
GIT_TIMEOUT = 600
LOCK_WAIT = 4.0 * GIT_TIMEOUT
"""Seconds for another run that fetches and packs."""


def default_place() -> str:
    """Where mirrors are kept that nobody has named a place for: with other caches of the user who runs this, as XDG_CACHE_HOME has them."""
    return f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/phasegate/mirrors"


class SourceError(Exception):
    """The repository does not give what was asked for."""


class Unreachable(SourceError):
    """The repository cannot be reached at all."""


@dataclass(frozen=True)
class File:
    """A file of a commit: the hash of its content, and its size in bytes."""

    blob: str
    size: int


@dataclass(frozen=True)
class Archive:
    """A tar.gz of one folder at one commit."""

    path: Path
    sha256: str


def separated(repo: str) -> tuple[str, str]:
    """Split the address of a repository into one without credentials, and the header that brings them to its server.

    On git's command line, and on those of its own helpers, an address can be read by everybody on the controller.

    Raises:
        SourceError: a token stands in the query of the address, from where it cannot be taken away.
    """
    found = re.fullmatch(r"(?P<scheme>https?)://(?P<info>[^/@\s]*)@(?P<rest>.*)", repo, re.IGNORECASE | re.DOTALL)
    address, header = repo, ""
    if found:
        address = f"{found.group('scheme')}://{found.group('rest')}"
        user, _colon, password = found.group("info").partition(":")
        login = f"{unquote(user)}:{unquote(password)}".encode()
        header = f"Authorization: Basic {base64.b64encode(login).decode('ascii')}"
    if address.startswith(("http://", "https://")) and without_credentials(address) != address:
        raise SourceError(
            f"The address of the repository {without_credentials(address)} carries a token in its query, which git would show on its "
            "command line. Write it as https://TOKEN@host/… or https://USER:TOKEN@host/… instead."
        )
    return address, header


class Source:
    """One repository, and the folder in it that a component is made of (empty for all of it).

    ``lock`` above that folder, ``context`` and ``beside`` bring more of the repository; see :mod:`release.place`. ``said_at`` is where
    whoever asks said its address.
    """

    said_at = git_words.IN_STACK

    def __init__(
        self, repo: str, path: str = "", mirror_dir: str | os.PathLike[str] = "", lock: str = "", context: Sequence[str] = (),
        beside: Sequence[str] = (),
    ) -> None:
        self.repo, self._header = separated(os.path.expanduser(repo))
        if os.path.isdir(self.repo):
            self.repo = os.path.abspath(self.repo)
        self.path = plain(path)
        self.context = tuple(plain(folder) for folder in context)
        self.beside = tuple(plain(folder) for folder in beside)
        self.place = place_of(path, lock, context, beside)
        self._above = lock_folder(path, lock) if lock.startswith("../") else None
        self.shown = without_credentials(self.repo)
        base = Path(mirror_dir or default_place()).expanduser()
        self.mirror = base / hashlib.sha256(self.repo.encode()).hexdigest()[:20]

    def part(self, path: str) -> Source:
        """Another folder of the repository, by itself."""
        other = copy.copy(self)
        other.path, other.place, other.context, other.beside, other._above = plain(path), place_of(path), (), (), None
        return other

    def _git(self, *arguments: str, cwd: str | Path | None = None) -> proc.Ended:
        env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            env.pop(name, None)
        env.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=15")
        if self._header:  # the environment of a process is for its user's eyes alone
            count = int(env.get("GIT_CONFIG_COUNT") or 0)
            env.update({"GIT_CONFIG_COUNT": str(count + 1), f"GIT_CONFIG_KEY_{count}": f"http.{self.repo}.extraHeader"})
            env[f"GIT_CONFIG_VALUE_{count}"] = self._header
        try:
            done = proc.finish(["git", *arguments], GIT_TIMEOUT, errors="surrogateescape", cwd=cwd, env=env)
        except FileNotFoundError as missing:
            raise SourceError("git is not installed on the controller; releases are staged from it. Install git.") from missing
        if done.timed_out:
            raise Unreachable(f"git did not answer within {GIT_TIMEOUT} s for the repository {self.shown}.")
        return done

    def _remote(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return tags and branches, each name to commit."""
        answer = self._git("ls-remote", END, self.repo, "HEAD", "refs/heads/*", "refs/tags/*")
        if answer.rc != 0:
            said = git_words.explained(answer.stderr, answer.rc, self.shown, self.said_at)
            raise Unreachable(f"The repository {self.shown} cannot be reached from the controller. {said}")
        tags: dict[str, str] = {}
        branches: dict[str, str] = {}
        for line in answer.stdout.splitlines():
            commit, _tab, ref = line.partition("\t")
            if not COMMIT.fullmatch(commit):
                raise SourceError(f"The repository {self.shown} names {printable(commit[:80])!r} as a commit; expected its hash.")
            if ref.startswith("refs/heads/"):
                branches[ref[len("refs/heads/") :]] = commit
            elif ref.startswith("refs/tags/"):
                name = ref[len("refs/tags/") :]
                if name.endswith("^{}"):  # the commit behind an annotated tag
                    tags[name[:-3]] = commit
                else:
                    tags.setdefault(name, commit)
        return tags, branches

    def resolve(self, ref: str) -> str:
        """Return the commit of a tag, which may be said by the name of its release.

        Raises:
            SourceError: the tag does not exist, or a branch or commit was named.
            Unreachable: the repository does not answer.
        """
        tags, branches = self._remote()
        ref = tag_of(ref)
        if ref in tags and RELEASE_NAME.fullmatch(release_name(ref)):
            return tags[ref]
        alike = [tag for tag in tags if posixpath.dirname(tag) == posixpath.dirname(ref)]  # of the same part of the repository
        latest = newest(alike or tags)
        hint = f" The newest tag is {latest}." if latest else " The repository has no tags; make one: git tag v1.0.0."
        if ref in tags:
            raise SourceError(f"The tag {ref} cannot be a release: it becomes a folder's name. Expected {RELEASE_WORDS}.")
        if ref in branches or ref in ("HEAD", "latest", ""):
            what = f"the branch {ref}" if ref in branches else f"{ref!r}"
            raise SourceError(
                f"A release has to be a tag, got {what} of {self.shown}: what it names changes, a release never does."
                f"{self._divergence(ref)}{hint}"
            )
        if re.fullmatch(r"[0-9a-f]{7,40}", ref):
            raise SourceError(f"A release has to be a tag, got the commit {ref} of {self.shown}. Tag it: git tag NAME {ref}.{hint}")
        close = nearest(ref, tags, 3)
        near = f" Nearest: {', '.join(close)}." if close else ""
        raise SourceError(f"There is no tag {ref!r} in {self.shown}.{near}{hint} If it was just made, push it.")

    def tags(self) -> list[str]:
        """The names of all tags. Raises as :meth:`newest_tag` does where the repository does not answer."""
        return sorted(self._remote()[0])

    def newest_tag(self) -> tuple[str, str]:
        """The tag with the highest version that can be a release, and its commit.

        Raises:
            SourceError: the repository has none.
            Unreachable: the repository does not answer.
        """
        tags, _branches = self._remote()
        latest = newest(name for name in tags if RELEASE_NAME.fullmatch(release_name(name)))
        if latest is None and tags:
            raise SourceError(
                f"The repository {self.shown} has no release: its tags ({', '.join(sorted(tags)[:5])}) cannot be releases, whose names "
                f"become folders (expected {RELEASE_WORDS}). Make one (git tag v1.0.0), push it, and run this again."
            )
        if latest is None:
            raise SourceError(
                f"The repository {self.shown} has no tags; releases are tags. Make one (git tag v1.0.0), push it, and run this again."
            )
        return latest, tags[latest]

    def _is_checkout(self) -> bool:
        if not os.path.isdir(self.repo):
            return False
        return self._git("rev-parse", "--is-inside-work-tree", cwd=self.repo).stdout.strip() == "true"

    def _divergence(self, branch: str) -> str:
        """Say how a local checkout's branch stands to the one it follows, where it has left it."""
        if not self._is_checkout():
            return ""
        name = branch if branch not in ("latest", "") else "HEAD"
        upstream = self._git("rev-parse", "--abbrev-ref", f"{name}@{{upstream}}", cwd=self.repo).stdout.strip()
        counts = self._git("rev-list", "--left-right", "--count", END, f"{name}...{name}@{{upstream}}", cwd=self.repo).stdout.split()
        if len(counts) != 2 or counts == ["0", "0"]:
            return ""
        return f" It also differs from {upstream}: {counts[0]} commits ahead, {counts[1]} behind."

    def uncommitted(self) -> str:
        """The changes of a repository that is a checkout, for people: what no tag of it has. Empty where there are none."""
        if not self._is_checkout():
            return ""
        status = self._git("status", "--porcelain", "--untracked-files=normal", "--", *self._laid(), cwd=self.repo)
        changed = status.stdout.splitlines()
        if status.rc != 0 or not changed:
            return ""
        return ", ".join(line[3:] for line in changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")

    def refuse_dirty(self, ref: str) -> None:
        """Raise SourceError when the repository is a checkout with changes that the tag would leave out."""
        shown = self.uncommitted()
        if shown:
            raise SourceError(
                f"The checkout {self.shown} has changes that are not committed, so that the release {ref} lacks them: {shown}. "
                "Expected a clean checkout, so that what you see is what is released. Commit and tag them, or put them away with git stash."
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.mirror.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with flock.held(f"{self.mirror}.lock", LOCK_WAIT):
                yield
        except flock.Stuck as stuck:
            raise SourceError(f"{stuck}.") from stuck

    def known(self, ref: str) -> str:
        """Return the commit that a tag had when it was last fetched, empty where it never was; nobody is asked."""
        ref = tag_of(ref)
        if not (self.mirror / "HEAD").is_file() or not RELEASE_NAME.fullmatch(release_name(ref)):
            return ""
        answer = self._git("rev-parse", "--quiet", "--verify", END, f"refs/tags/{ref}^{{commit}}", cwd=self.mirror)
        return answer.stdout.strip() if answer.rc == 0 else ""

    def _fetch(self, ref: str, commit: str) -> None:
        """Have *commit* in the mirror, which is locked, and the tag lead to it there."""
        ref = tag_of(ref)
        if not (self.mirror / "HEAD").is_file():
            made = self._git("init", "--quiet", "--bare", END, str(self.mirror))
            if made.rc != 0:
                raise SourceError(f"The mirror {self.mirror} could not be made: {made.stderr.strip()}")
        if self._git("cat-file", "-e", END, f"{commit}^{{commit}}", cwd=self.mirror).rc != 0:
            self._make_way(ref)
            refs = f"+refs/tags/{ref}:refs/tags/{ref}"
            fetched = self._git("fetch", "--quiet", "--no-tags", END, self.repo, refs, cwd=self.mirror)
            if fetched.rc != 0:
                said = git_words.explained(fetched.stderr, fetched.rc, self.shown, self.said_at)
                raise Unreachable(f"The tag {ref} could not be fetched from {self.shown}. {said}")
        elif self.known(ref) != commit:  # the tag was moved to what another one had brought here
            self._make_way(ref)
            self._git("update-ref", "--no-deref", f"refs/tags/{ref}", commit, cwd=self.mirror)

    def _make_way(self, ref: str) -> None:
        """Remove tags of before from the mirror that one of this name cannot lie beside: C(app) and C(app/v1), of which one went there."""
        parts = ref.split("/")
        above = [f"refs/tags/{'/'.join(parts[:number])}" for number in range(1, len(parts))]
        below = self._git("for-each-ref", "--format=%(refname)", f"refs/tags/{ref}/", cwd=self.mirror).stdout.split()
        for name in [*above, *below]:
            self._git("update-ref", "--no-deref", "-d", name, cwd=self.mirror)

    def _laid(self) -> list[str]:
        """The folders of the repository that are laid down."""
        return [folder or "." for folder in self.place.parts or (self.place.base,)]

    def files(self, ref: str, commit: str) -> dict[str, File]:
        """Return the files of this source's folder at ``commit`` by their path in it; brought to the mirror where they are not there.

        What lies beside a lock file above that folder is among them, as ``../uv.lock``.

        Raises:
            SourceError: there is no such folder, or something in it cannot be part of an archive.
        """
        with self._locked():
            self._fetch(ref, commit)
            return {**self._check_tree(ref, commit), **self._beside_lock(commit)}

    def _beside_lock(self, commit: str) -> dict[str, File]:
        """The files that lie in the folder of a lock file above the component's."""
        if self._above is None:
            return {}
        up = posixpath.relpath(self._above or ".", self.path)
        return {posixpath.join(up, name): file for name, (mode, file) in self._tree(commit, self._above).items() if mode != "160000"}

    def text(self, blob: str) -> str:
        """Return what is in a file that :meth:`files` told of."""
        return self._git("cat-file", "blob", END, blob, cwd=self.mirror).stdout

    def archive(self, ref: str, commit: str) -> Archive:
        """Return the archive of this source's folder at ``commit``, from the cache or freshly made."""
        with self._locked():
            self._fetch(ref, commit)
            place = hashlib.sha256("\n".join(["1", self.place.base, *self.place.parts]).encode()).hexdigest()[:12]
            target = self.mirror / "archives" / f"{commit}-{place}.tar.gz"
            if not target.is_file():
                self._check_tree(ref, commit)
                for folder in self.context:
                    self._check_tree(ref, commit, folder, "context")
                for folder in self.beside:
                    self._check_tree(ref, commit, folder, "includes")
                self._pack(commit, target)
            os.utime(target)
            return Archive(target, sha256(target))

    def changes(self, commit: str, without: str, limit: int = 20) -> list[str]:
        """What *commit* has and *without* has not: a line for each commit, then what that comes to; nothing is fetched.

        Both are what nodes say. Empty where the mirror lacks one of the two.

        Raises:
            SourceError: one of them is no commit.
        """
        for said in (commit, without):
            if not COMMIT.fullmatch(said):
                raise SourceError(f"a node names {printable(said)!r} as a commit; expected 40 or 64 hexadecimal digits")
        if not (self.mirror / "HEAD").is_file():
            return []
        shown = ["--no-merges", f"--max-count={limit + 1}", "--format=%h %s", END, commit, f"^{without}"]
        told = self._git("log", *shown, cwd=self.mirror)
        summed = self._git("diff", "--shortstat", END, without, commit, cwd=self.mirror)
        if told.rc != 0 or summed.rc != 0:
            return []
        lines = told.stdout.splitlines()
        more = ["and more"] if len(lines) > limit else []
        return [*lines[:limit], *more, *([summed.stdout.strip()] if summed.stdout.strip() else [])]

    def _tree(self, commit: str, folder: str, *options: str) -> dict[str, tuple[str, File]]:
        """Mode and file by path of a folder of the repository; without options, of those that lie in it alone."""
        where = f"{commit}:{folder}" if folder else f"{commit}^{{tree}}"
        found: dict[str, tuple[str, File]] = {}
        for entry in self._git("ls-tree", *options, "-l", "-z", END, where, cwd=self.mirror).stdout.split("\0"):
            facts, _tab, name = entry.partition("\t")
            if entry and facts.split()[1] != "tree":
                mode, _kind, blob, size = facts.split()
                found[name] = (mode, File(blob, int(size) if size.isdigit() else 0))
        return found

    def _check_tree(self, ref: str, commit: str, folder: str | None = None, key: str = "path") -> dict[str, File]:
        """Return the files of the component's folder, or another; what an archive cannot hold is refused by name."""
        folder = self.path if folder is None else folder
        where = f"{commit}:{folder}" if folder else f"{commit}^{{tree}}"
        if self._git("cat-file", "-t", END, where, cwd=self.mirror).stdout.strip() != "tree":
            listing = self._git("ls-tree", "-d", "--name-only", END, commit, cwd=self.mirror).stdout.split("\n")
            there = ", ".join(name for name in listing if name) or "none"
            raise SourceError(
                f"The tag {ref} of {self.shown} has no folder {folder}. Folders there: {there}. Correct the component's {key} "
                f"(aistack_components.<component>.{key})."
            )
        found: dict[str, File] = {}
        modules = []
        for name, (mode, file) in self._tree(commit, folder, "-r").items():
            if mode == "160000":
                modules.append(posixpath.join(folder, name))
            else:
                found[name] = file
        if modules:
            raise SourceError(
                f"The tag {ref} of {self.shown} has git submodules in {folder or '/'}: {', '.join(modules)}. "
                "They are not part of an archive, and a release would lack them. Commit their files, or install them from the lock file."
            )
        if not found:
            raise SourceError(f"The tag {ref} of {self.shown} has no files in {folder or '/'}. Name another tag, "
                              f"or another {key} (aistack_components.<component>.{key}).")
        pointers = self._pointers(commit, found)
        if pointers:
            named = [posixpath.join(folder, name) for name in pointers[:5]]
            more = f" and {len(pointers) - 5} more" if len(pointers) > 5 else ""
            raise SourceError(
                f"The tag {ref} of {self.shown} has files in {folder or '/'} that Git LFS keeps elsewhere: {', '.join(named)}{more}. "
                "The repository holds only pointers to them, and a release would serve these as if they were the files. Keep them in git "
                "itself (git lfs migrate export), or out of the component's path: the roles ollama and comfyui bring models, roles of "
                "your own other data."
            )
        return found

    def _pointers(self, commit: str, files: Mapping[str, File]) -> list[str]:
        """Return the files that are pointers of Git LFS."""
        attributes = ["grep", "--quiet", "--fixed-strings", "-e", "filter=lfs", commit, "--", ":(glob)**/.gitattributes"]
        if self._git(*attributes, cwd=self.mirror).rc != 0:
            return []
        small = [name for name, file in files.items() if POINTER[0] <= file.size <= POINTER[1]]
        return [name for name in small if self.text(files[name].blob).startswith("version https://git-lfs.github.com/spec/")]

    def _pack(self, commit: str, target: Path) -> None:
        """Write the same bytes for the same commit and folder, whoever runs it."""
        target.parent.mkdir(mode=0o700, exist_ok=True)
        base = self.place.base
        command = ["git", "archive", "--format=tar", commit, "--", *self._laid()]
        prefix = f"{base}/" if base else ""
        with (  # no run to the end with its output kept: what git writes is packed again while it comes, and may be large
            replacing(target, 0o600, lasting=False) as raw,
            subprocess.Popen(command, cwd=self.mirror, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as git,
        ):
            if git.stdout is None or git.stderr is None:
                raise SourceError(f"git archive of {commit} of {self.shown} was started without pipes; its output cannot be read.")
            with (
                gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
                tarfile.open(fileobj=git.stdout, mode="r|") as incoming,
                tarfile.open(fileobj=packed, mode="w") as outgoing,
            ):
                for member in incoming:
                    if not member.name.startswith(prefix) or member.name == base:
                        continue
                    member.name = member.name[len(prefix) :]
                    member.uid = member.gid = 0
                    member.uname = member.gname = "root"
                    member.mode = 0o755 if member.isdir() or member.mode & 0o111 else 0o644
                    member.pax_headers = {}
                    outgoing.addfile(member, incoming.extractfile(member) if member.isfile() else None)
            said = git.stderr.read().decode("utf-8", "replace").strip()
            if git.wait() != 0:
                raise SourceError(f"git archive failed for {commit} of {self.shown}: {said}")
        others = sorted(target.parent.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in others[KEEP_ARCHIVES:]:
            old.unlink()
