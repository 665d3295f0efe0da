# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine knows about its package sources, as files for a node.

A node fetches packages as this machine does: the same mirrors, index, certificates and proxies. They are read from
this machine's configuration and written into the node's system-wide places, so that they hold for a login, for
`ssh node command` and for `sudo`:

* apt: /etc/apt/sources.list.d/machine.list, /etc/apt/apt.conf.d/90machine, /etc/apt/auth.conf.d
* certificates: /usr/local/share/ca-certificates (the node then runs update-ca-certificates)
* pip: /etc/pip.conf; npm: /etc/npmrc; both and uv, Go, Node.js: variables in /etc/environment, which PAM reads for
  ssh (sudo keeps them by /etc/sudoers.d/lab)

Nothing of it stands in a committed file.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from nodes import settings, venv
from nodes.settings import LabError

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # on Debian, here and on the nodes
APT = Path("/etc/apt")

# variables that tell a tool where packages come from; certificates are set below, since paths differ
PASSED_ON = re.compile(
    r"^(PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|NO_INDEX|DEFAULT_TIMEOUT|RETRIES)"
    r"|UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INSECURE_HOST|HTTP_TIMEOUT|NATIVE_TLS|SYSTEM_CERTS)"
    r"|(npm_config|NPM_CONFIG)_(registry|proxy|https_proxy|noproxy|strict_ssl)"
    r"|GO(PROXY|SUMDB|NOSUMDB|NOPROXY|PRIVATE|INSECURE|NOSUMCHECK)"
    r"|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY)$"
)
NPM_LEFT_OUT = {"nodedir", "prefix", "cache", "yes", "cafile", "ca", "init-module", "globalconfig", "userconfig"}


# ---------------------------------------------------------------- apt


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each stanza of a deb822 file, names in lower case."""
    for block in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields:
            yield fields


def _one_line(text: str) -> Iterator[dict[str, str]]:
    """Yield the entries of a file in apt's one-line style in the same form."""
    pattern = re.compile(r"^deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uris>\S+)\s+(?P<suites>\S+)\s*(?P<components>.*)$")
    for line in text.splitlines():
        match = pattern.match(line.split("#")[0].strip())
        if match:
            options = dict(item.split("=", 1) for item in (match["options"] or "").split() if "=" in item)
            entry = {name: match[name] for name in ("uris", "suites", "components")}
            yield {"types": "deb", **entry, **options}


def apt_entries() -> list[dict[str, str]]:
    """Return this machine's enabled binary package sources: uris, suites, components, signed-by, trusted."""
    entries: list[dict[str, str]] = []
    for path in sorted((APT / "sources.list.d").glob("*")):
        if path.suffix == ".sources":
            entries += _stanzas(path.read_text(encoding="utf-8"))
        elif path.suffix == ".list":
            entries += _one_line(path.read_text(encoding="utf-8"))
    if (APT / "sources.list").exists():
        entries += _one_line((APT / "sources.list").read_text(encoding="utf-8"))
    return [e for e in entries if "deb" in e.get("types", "").split() and e.get("enabled", "yes").lower() != "no"]


def apt_sources(suite: str, entries: Iterable[dict[str, str]] | None = None) -> list[str]:
    """Return one-line sources for `suite`, from the places where this machine gets its own Debian from.

    A place is recognised by what it carries (`<codename>`, `<codename>-security`), never by its name.
    """
    places: dict[str, str] = {}
    for entry in apt_entries() if entries is None else entries:
        options = [f"signed-by={entry['signed-by']}"] if entry.get("signed-by", "").startswith("/") else []
        options += ["trusted=yes"] if entry.get("trusted", "").lower() == "yes" else []
        for name in entry.get("suites", "").split():
            match = re.fullmatch(r"(bookworm|trixie|forky|stable|testing)(-security|-updates)?(/updates)?", name)
            if not match or "main" not in entry.get("components", "").split():
                continue
            prefix = f"deb [{' '.join(options)}] " if options else "deb "
            places.setdefault(match[2] or "", f"{prefix}{entry['uris'].split()[0]} {suite}{match[2] or ''} main")
    if "" not in places:
        raise LabError(
            "no Debian package source was found on this machine, so no node image can be made.",
            f"where: {APT}/sources.list and {APT}/sources.list.d",
            "expected: an entry whose suite is a Debian code name (bookworm or trixie) with the component main",
            f"got: {', '.join(e.get('suites', '?') for e in apt_entries()) or 'no entry'}",
            "to do: run the lab on Debian 12 or 13, or add such an entry",
        )
    return [places[key] for key in ("", "-updates", "-security") if key in places]


def apt_options() -> list[str]:
    """Return this machine's own settings for fetching (proxy, certificates, dates), as lines of apt.conf."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"^Acquire::((https?|ftp)::(Proxy|Verify|CaInfo|Timeout|Pipeline)|Retries|Check-)", re.I)
    lines = [line for line in dump.splitlines() if wanted.match(line) and not line.endswith('"";')]
    return [re.sub(r'(CaInfo\s+)"[^"]*"', rf'\1"{BUNDLE}"', line, flags=re.I) for line in lines]


# ---------------------------------------------------------------- certificates


def certificates() -> dict[str, str]:
    """Return the certificate authorities that this machine trusts beyond Debian's: file name to PEM text."""
    found: dict[str, str] = {}
    for path in sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt")):
        found[path.name] = path.read_text(encoding="utf-8")
    bundles = {os.environ.get(name, "") for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")}
    for bundle in sorted(bundles - {"", BUNDLE}):
        path = Path(bundle)
        if path.is_file() and path.resolve() != Path(BUNDLE).resolve():
            pems = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", path.read_text(), re.S)
            found.update({f"{path.stem}-{number}.crt": pem for number, pem in enumerate(pems)})
    return found


# ---------------------------------------------------------------- pip, npm, Go, environment


def _pip_conf(environ: dict[str, str]) -> str:
    """Return /etc/pip.conf for a node from the merged view that pip itself has here."""
    lines = ["[global]", f"cert = {BUNDLE}", "disable-pip-version-check = true"]
    for ours, theirs in (("UV_DEFAULT_INDEX", "index-url"), ("UV_INDEX", "extra-index-url")):
        if environ.get(ours):
            lines.append(f"{theirs} = {environ[ours]}")
    if environ.get("UV_INSECURE_HOST"):
        lines.append(f"trusted-host = {environ['UV_INSECURE_HOST']}")
    if environ.get("UV_HTTP_TIMEOUT"):
        lines.append(f"timeout = {environ['UV_HTTP_TIMEOUT']}")
    return "\n".join(lines) + "\n"


def _npmrc() -> str:
    """Return /etc/npmrc for a node: what this machine's npm reads, less what names paths of this machine."""
    merged: dict[str, str] = {}
    for path in (Path("/etc/npmrc"), Path("/usr/etc/npmrc"), Path.home() / ".npmrc"):
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            key, found, value = line.partition("=")
            if found and not line.lstrip().startswith(("#", ";")) and key.strip() not in NPM_LEFT_OUT:
                merged[key.strip()] = value.strip()
    merged["cafile"] = BUNDLE
    return "".join(f"{key}={value}\n" for key, value in merged.items())


def _go_file() -> dict[str, str]:
    """Return the variables in Go's own configuration file, if there is one."""
    path = Path(os.environ.get("GOENV") or Path.home() / ".config" / "go" / "env")
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {key: value for key, equals, value in pairs if equals}


def _environment(from_pip: dict[str, str]) -> dict[str, str]:
    """Return the variables for /etc/environment of a node."""
    merged = {**_go_file(), **from_pip, **os.environ}
    result = {key: value for key, value in merged.items() if PASSED_ON.match(key) and value}
    for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"):
        result[name] = BUNDLE  # uv, pip and Node.js carry bundles of their own and would not look here
    result["NPM_CONFIG_GLOBALCONFIG"] = "/etc/npmrc"  # an npm outside /usr looks beside itself
    if any(key.lower().endswith("_proxy") for key in result):
        own = (
            [node.address for node in settings.ALL] + [node.name for node in settings.ALL] + ["localhost", "127.0.0.1"]
        )
        for name in ("no_proxy", "NO_PROXY"):
            result[name] = ",".join(dict.fromkeys([*filter(None, result.get(name, "").split(",")), *own]))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        host = urlsplit(result.get(name, "")).hostname or ""
        if host == "localhost" or host.startswith("127."):
            raise LabError(
                f"{name} names a proxy on this machine's loopback ({host}); a node cannot reach it.",
                "to do: let the proxy listen on an address and name that one",
            )
    return result


def node_files(node: settings.Node) -> dict[str, tuple[int, bytes]]:
    """Return the files that make a node fetch packages as this machine does: path to (mode, content).

    Files that carry credentials are 0600: apt and pip run as root there, and PAM reads as root. npm does not: an /etc/npmrc with
    credentials has to be made readable for the user that builds.
    """
    pip = settings.ROOT / ".venv" / "bin" / "pip"
    merged = venv.uv_environment(pip if pip.exists() else Path("pip3"), dict(os.environ))
    from_pip = {key: value for key, value in merged.items() if PASSED_ON.match(key)}
    texts = {
        "/etc/apt/sources.list.d/machine.list": "\n".join(apt_sources(node.suite)) + "\n",
        "/etc/apt/sources.list": "",  # what the image was made from
        "/etc/apt/apt.conf.d/90machine": "\n".join([*apt_options(), 'DPkg::Lock::Timeout "120";']) + "\n",
        "/etc/pip.conf": _pip_conf(merged),
        "/etc/npmrc": _npmrc(),
        "/etc/environment": "".join(f'{key}="{value}"\n' for key, value in sorted(_environment(from_pip).items())),
    }
    for name, pem in certificates().items():
        texts[f"/usr/local/share/ca-certificates/{name}"] = pem
    for path in sorted([APT / "auth.conf", *(APT / "auth.conf.d").glob("*.conf")]):
        if path.is_file():
            texts[str(path)] = path.read_text(encoding="utf-8")
    for entry in apt_sources(node.suite):
        for keyring in re.findall(r"signed-by=([^\s\]]+)", entry):
            if keyring != "/usr/share/keyrings/debian-archive-keyring.gpg":  # every Debian has that one
                return {**_with_modes(texts), keyring: (0o644, Path(keyring).read_bytes())}
    return _with_modes(texts)


def _with_modes(texts: dict[str, str]) -> dict[str, tuple[int, bytes]]:
    """Return the files with modes: 0600 where a credential stands in them."""
    secret = re.compile(r"_auth|_password|://[^/\s:@]*:[^/\s@]+@")
    return {
        path: (0o600 if "auth.conf" in path or secret.search(text) else 0o644, text.encode())
        for path, text in texts.items()
    }
