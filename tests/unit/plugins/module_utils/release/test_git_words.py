# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What git says is shown from its first line on, with what to do about it, and without a token."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import git_words

NO_KEY = """git@git.example.com: Permission denied (publickey).
fatal: Could not read from remote repository.

Please make sure you have the correct access rights
and the repository exists.
"""
NO_HOST_KEY = "Host key verification failed.\r\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct …\n"
CHANGED = """@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Host key verification failed.
fatal: Could not read from remote repository.
"""


@pytest.mark.parametrize(
    ("stderr", "address", "first", "way"),
    [
        (NO_KEY, "git@git.example.com:shop/app.git", "git@git.example.com: Permission denied (publickey); fatal: Could not read",
         "Try: ssh -T git@git.example.com"),
        (NO_KEY, "ssh://git@git.example.com:2222/app.git", "git@git.example.com: Permission denied",
         "Try: ssh -T -p 2222 git@git.example.com"),
        (NO_HOST_KEY, "git@git.example.com:app.git", "Host key verification failed; fatal:", "Try: ssh-keyscan git.example.com"),
        (CHANGED, "git@git.example.com:app.git", "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "or not the one that is"),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled\n", "https://h/x", "fatal: could not read Username",
         "https://TOKEN@host/"),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found\n", "https://h/x", "remote: Repository not found",
         "There is no repository at that address"),
        ("fatal: unable to access 'https://h/': Could not resolve host: h\n", "https://h/x", "fatal: unable to access", "DNS"),
        ("", "/srv/x", "nothing, and ended with status 128", "Check aistack_applications"),
    ],
    ids=["no key", "no key at a port", "host key", "changed host key", "login", "not there", "no such name", "nothing"],
)
def test_the_first_line_stays_and_a_remedy_is_named(stderr: str, address: str, first: str, way: str) -> None:
    said = git_words.explained(stderr, 128, address)
    assert said.startswith(f"git said: {first}")
    assert way in said
    assert "Please make sure" not in said


def test_where_the_address_stands_is_named_as_whoever_asks_knows_it() -> None:
    """The first inventory of a stack is not there yet when its repository is looked into."""
    gone = "fatal: '/nope' does not appear to be a git repository"
    assert git_words.explained(gone, 128, "/nope").endswith("check aistack_applications.<application>.repo.")
    assert git_words.explained(gone, 128, "/nope", "-e repo=…").endswith("that this user may see: check -e repo=….")
    assert "Check -e repo=…, the network" in git_words.explained("fatal: odd", 128, "/nope", "-e repo=…")


def test_no_token_and_nothing_that_a_terminal_obeys() -> None:
    said = git_words.explained("remote: \x1b]0;x\x07denied\nfatal: unable to access 'https://ghp_S3cret@h/x.git/': 403\n", 128, "https://h/x.git")
    assert "ghp_S3cret" not in said
    assert "\x1b" not in said
