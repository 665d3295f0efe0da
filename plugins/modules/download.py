# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: download
short_description: A file, or the content of an archive, proven by its SHA-256
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Fetches with the module's own environment and O(secret_environment), so that a proxy's password stands on no command line and in no log.
  - What is there is whole, because it gets its name last.
  - An archive (zip, or tar, also with gzip, bzip2, xz or zstd) is refused as a whole where a member of it would land, or a link of it
    would lead, outside of O(dest).
options:
  url:
    description: Where it is.
    type: str
    required: true
  sha256:
    description: SHA-256 of what is fetched, in hexadecimal digits.
    type: str
    required: true
  dest:
    description: Path of the file, or with O(unpack) of the folder. The folder that it goes into has to be there.
    type: path
    required: true
  mode:
    description: Mode in octal digits.
    type: str
    default: "0755"
  unpack:
    description: Whether an archive is fetched. Its folder is made once; where O(dest) is there, nothing is done.
    type: bool
    default: false
  timeout:
    description: Seconds without an answer after which it is given up.
    type: float
    default: 60
  secret_environment:
    description: Variables with passwords, such as C(HTTPS_PROXY); see P(phasegate.aistack.secret_environment#filter).
    type: dict
    default: {}
extends_documentation_fragment:
  - phasegate.aistack.attributes
attributes:
  check_mode:
    description: Says whether it would fetch.
    support: full
  diff_mode:
    description: What is fetched is not shown.
    support: none
"""

EXAMPLES = r"""
- name: A release, unpacked under a name of its own
  phasegate.aistack.download:
    url: https://downloads.example.com/server-1.2.3.tar.zst
    sha256: 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
    dest: /opt/aistack/server/releases/1.2.3
    unpack: true
    secret_environment: "{{ aistack_environment | phasegate.aistack.secret_environment }}"
"""

RETURN = r"""
dest:
  description: Where it is.
  returned: always
  type: str
  sample: /opt/aistack/server/releases/1.2.3
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.node import download


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "mode": {"type": "str", "default": "0755"},
            "unpack": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 60},
            "secret_environment": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    dest, secret = Path(params["dest"]), {str(name): str(value) for name, value in params["secret_environment"].items()}
    try:
        mode = int(params["mode"], 8)
    except ValueError:
        module.fail_json(msg=f"mode is {params['mode']!r}; expected octal digits in quotes, such as '0755'.")
    if download.is_there(dest, params["sha256"].lower(), mode, params["unpack"]):
        module.exit_json(changed=False, dest=str(dest))
    if not module.check_mode:
        os.environ.update(secret)
        try:
            download.download(params["url"], dest, params["sha256"], mode, params["unpack"], params["timeout"], secret)
        except (download.DownloadError, OSError) as error:
            module.fail_json(msg=str(error), dest=str(dest))
    module.exit_json(changed=True, dest=str(dest))


if __name__ == "__main__":
    main()
