# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import io
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, sandbox, tree as trees
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe, TestsFailed
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

UV = Path(shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])) or "uv")
needs_uv = pytest.mark.skipif(not UV.exists(), reason="there is no uv on the PATH; make venv installs it")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs a release's code as other users")
BUILDER, TESTER = "nobody", "daemon"  # two users that every system has


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        (Path(made) / "tools").mkdir()
        (Path(made) / "staging").mkdir()
        yield Path(made)


@pytest.fixture
def work(place: Path) -> Path:
    made = place / "staging" / "v1"
    made.mkdir()
    return made


def recipe(place: Path, **given: Any) -> Recipe:
    if UV.exists() and not (place / "tools" / "uv").exists():
        shutil.copy(UV, place / "tools" / "uv")
    settings: dict[str, Any] = {
        "component": "api", "tag": "v1", "kind": "python", "tools": place / "tools", "cache": place / "cache", "python": "/usr/bin/python3",
        "build_user": BUILDER, "test_user": TESTER, "build_timeout": 60, "test_timeout": 60,
    }
    return Recipe(**{**settings, **given})


def tool(place: Path, name: str, script: str) -> None:
    (place / "tools" / name).write_text(f"#!/bin/sh\n{script}\n")
    (place / "tools" / name).chmod(0o755)


def wheel(folder: Path) -> str:
    """A wheel with one module; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    path = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr("tiny.py", "answer = 42\n")
        bundle.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        bundle.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\ntiny-1.0.dist-info/RECORD,,\n")
    return sha256(path.read_bytes()).hexdigest()


BACKEND = '''
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    with zipfile.ZipFile(os.path.join(folder, "loud-1.0-py3-none-any.whl"), "w") as bundle:
        bundle.writestr("loud.py", "built_by = %d\\n" % os.getuid())
        bundle.writestr("loud-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: loud\\nVersion: 1.0\\n")
        bundle.writestr("loud-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        bundle.writestr("loud-1.0.dist-info/RECORD", "loud.py,,\\nloud-1.0.dist-info/RECORD,,\\n")
    return "loud-1.0-py3-none-any.whl"
'''


def sdist(folder: Path) -> str:
    """A package whose code runs when it is installed; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "loud"\n'
                          'version = "1.0"\n',
        "backend.py": BACKEND,
    }
    path = folder / "loud-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as bundle:
        for name, text in files.items():
            info = tarfile.TarInfo(f"loud-1.0/{name}")
            info.size = len(text)
            bundle.addfile(info, io.BytesIO(text.encode()))
    return sha256(path.read_bytes()).hexdigest()


def offline(place: Path) -> dict[str, str]:
    return {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(place / "wheels")}


@needs_root
def test_a_build_is_another_user_with_a_small_environment(place: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in sandbox.fetching(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("ROOTS_OWN", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("npm_config_registry", "http://packages")
    looks = "id -un > by; id -Gn >> by; grep NoNewPrivs /proc/self/status >> by; env | cut -d= -f1 | sort > names; echo x > $HOME/mine"
    tool(place, "npm", f'{looks}; echo "$HTTPS_PROXY $CA" > values')
    made = recipe(place, kind="node", build=[["npm", "run", "build"]], build_env={"NEXT_PUBLIC_URL": "u"}, environment={"CA": "/ca"})
    sandbox.lend(work, made.builder())
    build.run_build(made, work)
    assert (work / "by").read_text().split() == ["nobody", "nogroup", "NoNewPrivs:", "1"]
    assert (work / "by").owner() == BUILDER
    assert (work / "values").read_text() == "http://proxy /ca\n"
    assert set((work / "names").read_text().split()) - {"_", "OLDPWD"} == {
        "AISTACK_COMPONENT", "AISTACK_RELEASE", "CA", "CI", "HOME", "HTTPS_PROXY", "LANG", "NEXT_PUBLIC_URL", "NEXT_TELEMETRY_DISABLED",
        "NO_COLOR", "PATH", "PWD", "TMPDIR", "npm_config_cache", "npm_config_prefer_offline", "npm_config_registry",
        "npm_config_update_notifier",
    }
    assert os.listdir(place / "staging") == ["v1"], "its home went with it"


@needs_root
@pytest.mark.parametrize(("wanted", "said"), [(False, "ci --no-audit --no-fund --ignore-scripts"), (True, "ci --no-audit --no-fund")])
def test_scripts_of_packages_run_only_where_that_is_declared(place: Path, work: Path, wanted: bool, said: str) -> None:
    tool(place, "npm", 'echo "$@" > said; id -un > by')
    (work / "package-lock.json").write_text("{}")
    made = recipe(place, kind="node", install_scripts=wanted)
    sandbox.lend(work, made.builder())
    build.install_node(made, work)
    assert (work / "said").read_text().strip() == said
    assert (work / "by").read_text() == "nobody\n"


@needs_root
@needs_uv
def test_who_builds_can_neither_change_a_sealed_release_nor_what_the_next_one_gets(place: Path, work: Path) -> None:
    digest = wheel(place / "wheels")
    (work / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    attempt = "id -u > by; ls {cache} > /dev/null 2>&1 && echo entered >> by; "
    attempt += "for file in .venv/lib/*/site-packages/tiny.py; do echo evil >> $file; done"
    commands = [["sh", "-c", attempt.format(cache=place / "cache" / "api")]]
    made = recipe(place, lock="requirements.lock", environment=offline(place), build=commands)
    builder = made.builder()
    assert builder
    sandbox.lend(work, builder)
    build.install_python(made, work)
    installed = next(work.glob(".venv/lib/python*/site-packages/tiny.py"))
    assert installed.owner() == BUILDER
    assert installed.stat().st_nlink == 1, "it shares its file with the cache"
    cached = list((place / "cache").rglob("tiny.py"))
    assert cached, "the cache holds it"
    build.run_build(made, work)
    assert (work / "by").read_text().split() == [str(builder.uid)], "a build enters no cache"
    assert [path.read_text() for path in cached] == ["answer = 42\n"], "what it does to its own tree stays there"
    sandbox.take_back(work, builder)
    trees.seal(work)
    evil = f"echo evil >> {installed} || chmod u+w {installed} || rm -f {installed}"
    tried = proc.run(["sh", "-c", evil], "/", {"PATH": sandbox.PATH}, 60, BUILDER)
    assert "enied" in tried.output
    assert installed.read_text() == "answer = 42\nevil\n"


@needs_root
@needs_uv
def test_a_package_is_built_only_where_that_is_declared_and_not_by_root(place: Path, work: Path) -> None:
    digest = sdist(place / "wheels")
    (work / "requirements.lock").write_text(f"loud==1.0 --hash=sha256:{digest}\n")
    given = {"lock": "requirements.lock", "environment": offline(place)}
    sandbox.lend(work, recipe(place).builder())
    with pytest.raises(ReleaseError, match=r"(?s)names a package without a wheel .*loud.* aistack_components\.api\.sdists: "):
        build.install_python(recipe(place, **given), work)
    for allowed in (["loud"], True):
        shutil.rmtree(work / ".venv")
        build.install_python(recipe(place, sdists=allowed, **given), work)
        installed = next(work.glob(".venv/lib/python*/site-packages/loud.py"))
        assert installed.read_text() == f"built_by = {pwd.getpwnam(BUILDER).pw_uid}\n"


@needs_root
def test_a_cache_of_another_build_user_is_made_again(place: Path) -> None:
    cache = place / "cache" / "api"
    with sandbox.opened(cache, proc.account(TESTER)):
        (cache / "old").mkdir()
        os.chown(cache / "old", pwd.getpwnam(TESTER).pw_uid, -1)
    assert (cache.owner(), cache.stat().st_mode & 0o777) == ("root", 0o700), "between the builds it is closed"
    with sandbox.opened(cache, proc.account(BUILDER)):
        assert cache.owner() == BUILDER
        assert os.listdir(cache) == []


@needs_root
def test_what_a_build_may_not_leave_in_a_tree(place: Path, work: Path) -> None:
    builder = proc.account(BUILDER)
    (work / "fine").write_text("")
    sandbox.lend(work, builder)
    sandbox.take_back(work, builder)
    os.mkfifo(work / "pipe")
    os.chown(work / "pipe", builder.uid, builder.gid)
    with pytest.raises(ReleaseError, match=r"holds pipe, which is neither a file, a folder nor a link"):
        sandbox.take_back(work, builder)
    (work / "pipe").unlink()
    (place / "roots").write_text("")
    os.link(place / "roots", work / "linked")
    with pytest.raises(ReleaseError, match=r"holds linked, which is owned by user number 0, expected nobody"):
        sandbox.take_back(work, builder)


SWAP = 'while read -r name; do mv "$name" "$name.was" && ln -s "$0" "$name"; echo tried; done'


@needs_root
@pytest.mark.parametrize("how", ["seal", "remove", "take back", "lend"])
def test_a_folder_that_its_owner_swaps_for_a_link_leads_root_nowhere(place: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The worst moment is each one at which root has just looked; who swaps has been in the tree since before."""
    builder, away, work = proc.account(BUILDER), place / "away", place / "v1"
    for folder in (away, work / "sub"):
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "file").write_text("")
    for path in (away, away / "in", away / "in" / "file"):
        path.chmod(0o741)
    for path in (work, work / "sub", work / "sub" / "in", work / "sub" / "in" / "file"):
        os.chown(path, builder.uid, builder.gid)
        path.chmod(0o700)
    command = ["sh", "-c", SWAP, str(away)]
    who = {"user": builder.uid, "group": builder.gid, "extra_groups": []}
    calls: dict[str, Callable[[], None]] = {
        "seal": lambda: trees.seal(work), "remove": lambda: trees.remove(work),
        "take back": lambda: sandbox.take_back(work, builder), "lend": lambda: sandbox.lend(work, builder),
    }
    looks: list[str] = []
    with subprocess.Popen(command, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **who) as owner:
        stats = {name: getattr(os, name) for name in ("stat", "lstat")}

        def looking(name: str) -> Callable[..., os.stat_result]:
            def observe(path: Any, *given: Any, **more: Any) -> os.stat_result:
                found = stats[name](path, *given, **more)
                if not isinstance(path, int) and os.path.basename(os.fspath(path)) in ("sub", "in") and not stat.S_ISLNK(found.st_mode):
                    looks.append(os.fspath(path))
                    owner.stdin.write({"sub": b"sub\n", "in": b"sub/in\n"}[os.path.basename(os.fspath(path))])
                    assert owner.stdout.readline() == b"tried\n"
                return found

            return observe

        with monkeypatch.context() as patch:
            for name in stats:
                patch.setattr(os, name, looking(name))
            with contextlib.suppress(OSError):  # it may end so: what it looked at counts
                calls[how]()
        owner.stdin.close()
    assert looks
    for path in (away, away / "in", away / "in" / "file"):
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o741, 0), path


@pytest.mark.parametrize("link", [".next", ".next/standalone", ".next/static", "public"])
def test_no_folder_is_moved_through_a_link(tmp_path: Path, link: str) -> None:
    work, away = tmp_path / "v1", tmp_path / "away"
    (work / ".next" / "standalone").mkdir(parents=True)
    (work / ".next" / "standalone" / "server.js").write_text("")
    (away / "standalone").mkdir(parents=True)
    (away / "standalone" / "server.js").write_text("")
    if (work / link).exists():
        shutil.rmtree(work / link)
    (work / link).symlink_to(away)
    made = Recipe(component="web", tag="v1", kind="node", tools=tmp_path, cache=tmp_path, output="next-standalone")
    with pytest.raises(ReleaseError, match=r"as a link, or below one, to .*/away"):
        build.keep_output(made, work)
    assert sorted(os.listdir(away)) == ["standalone"]


SEES = (
    "id -un; test -r kept && echo reads; touch here 2>/dev/null && echo wrote; touch $HOME/x && touch $TMPDIR/y && echo home; "
    "echo $DATABASE_URL; env | grep -c ROOTS; true"
)


@needs_root
def test_tests_are_yet_another_user(place: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOTS_OWN", "secret")
    (work / "kept").write_text("")
    (work / "kept").chmod(0o640)
    made = recipe(place, kind="static", tests=[["sh", "-c", f"set -- $({SEES}); echo $*"]], test_env={"DATABASE_URL": "made-up"})
    sandbox.lend(work, made.builder())
    (work / "kept").chmod(0o644)
    results = build.run_tests(made, work)
    assert results[0]["summary"] == "daemon reads home made-up 0"
    assert results[0]["sandbox"] == "none"
    assert (work.owner(), work.group(), work.stat().st_mode & 0o777) == (BUILDER, TESTER, 0o750)
    assert os.listdir(place / "staging") == ["v1"]


def test_what_a_test_makes_in_its_folder_for_temporary_files_can_run(place: Path, work: Path) -> None:
    """/tmp may be mounted without the right to execute; compilers, and wheels with libraries in them, run what they unpack."""
    script = "printf '#!/bin/sh\\necho ran in $TMPDIR' > $TMPDIR/program; chmod +x $TMPDIR/program; $TMPDIR/program"
    made = recipe(place, kind="static", tests=[["sh", "-c", script]])
    sandbox.lend(work, made.builder())
    assert build.run_tests(made, work)[0]["summary"] == f"ran in {work}.tests/home"


@needs_root
def test_a_build_user_that_is_not_there(place: Path, work: Path) -> None:
    with pytest.raises(ReleaseError, match=r"run as the user no-such-user, which this host does not have\. The role toolchain"):
        build.install_python(recipe(place, build_user="no-such-user"), work)


# does what systemd-run would, as far as a test can see: it reads the variables, unescapes, and becomes the user
SYSTEMD_RUN = """#!/usr/bin/python3
import json, os, pwd, shlex, sys
words = sys.argv[1:]
split = words.index("--")
given = dict(word[len("--property="):].split("=", 1) for word in words[:split] if word.startswith("--property="))
with open({seen!r}, "w") as stream:
    json.dump({{"words": words, "mode": os.stat(given["EnvironmentFile"]).st_mode & 0o777}}, stream)
if {fails!r}:
    print("Failed to set up mount namespacing"); sys.exit(226)
env = dict(line.split("=", 1) for line in shlex.split(open(given["EnvironmentFile"]).read().replace("\\\\$", "$")))
entry = pwd.getpwnam(given["User"])
os.chdir(given["WorkingDirectory"]); os.setgid(entry.pw_gid); os.setuid(entry.pw_uid)
command = [word.replace("$$", "$") for word in words[split + 1:]]
os.execvpe(command[0], command, env)
"""


@pytest.fixture
def systemd(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node that systemd seems to run; returns where the call is written down."""
    seen = place / "seen"
    (place / "bin").mkdir()
    for name in ("systemctl", "systemd-run"):
        (place / "bin" / name).write_text(SYSTEMD_RUN.format(seen=str(seen), fails=False) if name == "systemd-run" else "#!/bin/sh\n")
        (place / "bin" / name).chmod(0o755)
    monkeypatch.setattr(sandbox, "BOOTED", place)
    monkeypatch.setattr(sandbox, "SYSTEMD_PATH", f"{place}/bin:/usr/bin:/bin")
    return seen


@needs_root
def test_where_systemd_runs_the_node_tests_get_a_service(place: Path, work: Path, systemd: Path) -> None:
    made = recipe(place, kind="static", tests=[["sh", "-c", 'echo "$0 $X $HOME"', "a $b"]], test_env={"X": "it's $1 \"q\""})
    sandbox.lend(work, made.builder())
    results = build.run_tests(made, work)
    home = f"{work}.tests/home"
    assert (results[0]["sandbox"], results[0]["summary"]) == ("systemd", f"a $b it's $1 \"q\" {home}")
    seen = json.loads(systemd.read_text())
    words = seen["words"]
    assert words[:6] == ["--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", "--unit=aistack-test-v1.service"]
    for wanted in (
        "User=daemon", "ProtectSystem=strict", "ProtectHome=yes", "ProtectProc=invisible", "PrivateDevices=yes", "NoNewPrivileges=yes",
        "PrivateNetwork=yes", f"ReadWritePaths={home}", "RuntimeMaxSec=120", "CapabilityBoundingSet=",
    ):
        assert f"--property={wanted}" in words
    assert not [word for word in words if "it's" in word or word.startswith("--setenv")], "variables stand on no command line"
    assert seen["mode"] == 0o600
    assert os.listdir(place / "staging") == ["v1"]
    again = recipe(place, kind="static", tests=[["true"]], test_network=True, test_memory="1G")
    build.run_tests(again, work)
    words = json.loads(systemd.read_text())["words"]
    assert {"--property=PrivateNetwork=no", "--property=MemoryMax=1G"} <= set(words)
    assert build.run_tests(recipe(place, kind="static", tests=[["true"]], test_sandbox="none"), work)[0]["sandbox"] == "none"


@needs_root
def test_how_tests_end_in_a_service(place: Path, work: Path, systemd: Path) -> None:
    def ran(*words: str, **given: Any) -> Any:
        return build.run_tests(recipe(place, kind="static", tests=[list(words)], **given), work)

    sandbox.lend(work, proc.account(BUILDER))
    for script, rc in (("echo FAILED x; exit 3", 3), ("kill -TERM $$", 143)):
        with pytest.raises(TestsFailed, match=f"exit status {rc}"):
            ran("sh", "-c", script)
    with pytest.raises(ReleaseError, match="needs no-such-program"):
        ran("no-such-program")
    with pytest.raises(ReleaseError, match="took longer than 3 s") as late:
        ran("sh", "-c", "sleep 300", test_timeout=3)
    assert not isinstance(late.value, TestsFailed)
    (place / "bin" / "systemd-run").write_text(SYSTEMD_RUN.format(seen=str(systemd), fails=True))
    wanted = r"(?s)ended without an exit status .*226.*mount namespacing.*release_test_sandbox to none"
    with pytest.raises(ReleaseError, match=wanted) as lost:
        ran("true")
    assert not isinstance(lost.value, TestsFailed)


def test_an_exit_status_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("0")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "words").write_text("none\n")
    for name in ("link", "pipe", "words", "missing"):
        assert sandbox._status(tmp_path / name) is None
