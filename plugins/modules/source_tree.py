# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: source_tree
short_description: What a tag of a git repository holds, as a folder on a node
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - The controller resolves the tag and packs its tree; the node needs neither git nor a way to the repository, and learns nothing of its
    credentials. They stand on no command line either.
  - The archive is refused as a whole where a member of it would land, or a link of it would lead, outside of O(dest).
options:
  repo:
    description: Address, or path on the controller; it has to be given. Stays on the controller.
    type: str
  tag:
    description: The tag.
    type: str
    required: true
  commit:
    description: The commit that the tag has to mean. Empty takes the tag's word.
    type: str
    default: ""
  mirror_dir:
    description: Folder on the controller that keeps what was fetched; phasegate/mirrors in C($XDG_CACHE_HOME) or in ~/.cache if left out.
    type: str
    default: ""
  dest:
    description: The folder, made again. Without it the tag is only resolved, and the node is not asked.
    type: path
  archive:
    description: The archive on the node; set by the controller.
    type: path
  archive_sha256:
    description: Its SHA-256; set by the controller.
    type: str
extends_documentation_fragment:
  - phasegate.aistack.attributes
attributes:
  check_mode:
    description: The tag is resolved.
    support: full
  diff_mode:
    description: What is unpacked is not shown.
    support: none
"""

EXAMPLES = r"""
- name: What the tag means
  phasegate.aistack.source_tree:
    repo: https://git.example.com/server.git
    tag: v1.2.3
  register: source

- name: Its tree
  phasegate.aistack.source_tree:
    repo: https://git.example.com/server.git
    tag: v1.2.3
    commit: "{{ source.commit }}"
    dest: /opt/aistack/server/releases/.v1.2.3.part
"""

RETURN = r"""
commit:
  description: The commit that the tag means.
  returned: success
  type: str
  sample: 9f2c4d0e8b7a6c5d4e3f2a1b0c9d8e7f6a5b4c3d
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree


def main() -> None:
    """Unpack what the controller brought."""
    module = AnsibleModule(
        argument_spec={
            "tag": {"type": "str", "required": True},
            "commit": {"type": "str", "default": ""},
            "repo": {"type": "str"},
            "mirror_dir": {"type": "str", "default": ""},
            "dest": {"type": "path"},
            "archive": {"type": "path"},
            "archive_sha256": {"type": "str"},
        },
        required_by={"dest": ["archive"], "archive": ["dest", "archive_sha256"]},
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    if not params["archive"] or module.check_mode:
        module.exit_json(changed=bool(params["dest"]), commit=params["commit"])
    archive, dest = Path(params["archive"]), Path(params["dest"])
    try:
        got = tree.sha256(archive)
        if got != params["archive_sha256"]:
            module.fail_json(
                msg=f"The archive of {params['tag']} was damaged on its way: expected SHA-256 {params['archive_sha256']}, "
                f"got {got}. Run again."
            )
        tree.remove(dest)
        dest.mkdir(mode=0o755)
        tree.unpack(archive, dest)
        dest.chmod(0o755)
    except (OSError, ValueError) as error:
        tree.remove(dest)
        module.fail_json(msg=f"The tree of {params['tag']} was not unpacked at {dest}: {error}. The live release is as it was.")
    module.exit_json(changed=True, commit=params["commit"])


if __name__ == "__main__":
    main()
