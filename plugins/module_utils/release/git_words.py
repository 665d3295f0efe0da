# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What git said when it could not reach a repository, and what to do about it."""

from __future__ import annotations

import re

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable

IN_STACK = "aistack_applications.<application>.repo"
"""Where a stack says the address of a repository."""
LINES = 4
"""Lines of git that are shown: what ssh or the server says comes first, git's own conclusion last."""
NOISE = re.compile(r"^(Cloning into|Warning: Permanently added|remote: (Enumerating|Counting|Compressing|Total)|hint:|@+$)")
ADVICE = "and the access rights|and the repository exists|Please make sure you have the correct"
WAYS = {
    r"Permission denied \(.*publickey|Too many authentication failures|no mutual signature": (
        "The server takes no key of the user that runs Ansible: load one into an agent (ssh-add), name one in ~/.ssh/config, or add its "
        "public half to the repository as a deploy key. Try: ssh -T {host}"
    ),
    r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|authenticity of host": (
        "The server's host key is not known to the user that runs Ansible, or not the one that is: compare it with what its operator "
        "publishes, then put it into ~/.ssh/known_hosts. Try: ssh-keyscan {server}"
    ),
    r"could not read (Username|Password)|Authentication failed|HTTP Basic: Access denied|error: 40[13]|terminal prompts disabled": (
        "The server wants a login, or refuses this one: write the address as https://TOKEN@host/… with a token from the vault that may "
        "read the repository, or use ssh."
    ),
    r"Could not resolve host|Name or service not known|Temporary failure in name resolution": (
        "The name of the host is not known here: check the address for a typing error, and the controller's DNS and VPN."
    ),
    r"SSL certificate|certificate verify failed|server certificate": (
        "The server's certificate is not trusted here: have git trust its CA (git config --global http.sslCAInfo FILE); do not switch "
        "the check off."
    ),
    r"Connection (refused|timed out|reset)|Network is unreachable|No route to host|Failed to connect|Operation timed out": (
        "The host does not answer at that port: check the address, the firewall and the proxy (https_proxy) of the controller."
    ),
    r"dubious ownership": (
        "The folder belongs to another user than the one that runs Ansible. If you trust it:"
        " git config --global --add safe.directory FOLDER"
    ),
    r"not appear to be a git repository|repository ('.*' )?not found|does not exist|returned error: 404": (
        "There is no repository at that address, or none that this user may see: check {repo}."
    ),
}
ELSE = "Check {repo}, the network and the credentials of the user that runs Ansible."


def explained(stderr: str, status: int, address: str = "", repo: str = IN_STACK) -> str:
    """What git wrote to its standard error, in its own words from their first line on, and what to do; without credentials.

    *address* is that of the repository, so that the remedy can name its host; *repo* is where it was said.
    """
    lines = [printable(" ".join(line.split())) for line in without_credentials(stderr).splitlines()]
    lines = [line.rstrip(".") for line in lines if line and not NOISE.match(line) and not re.search(ADVICE, line)]
    said = "; ".join(lines[:LINES]) or f"nothing, and ended with status {status}"
    way = next((way for pattern, way in WAYS.items() if re.search(pattern, stderr, re.IGNORECASE)), ELSE)
    login = re.match(r"(?:ssh://)?(?P<host>(?:[\w.-]+@)?(?P<server>[\w.-]+))(?::(?P<port>\d+)/|:|/)", address)
    port = f"-p {login['port']} " if login and login["port"] else ""
    places = {name: port + login[name] if login else "HOST" for name in ("host", "server")}
    return f"git said: {said}. {way.format(repo=repo, **places)}"
