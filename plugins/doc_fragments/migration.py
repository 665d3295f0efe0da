# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that look at a release's migrations."""

from __future__ import annotations


class ModuleDocFragment:
    """Which release, which database, what is allowed, and where a plan may be made."""

    DOCUMENTATION = r"""
options:
  component:
    description: Name of the component whose release is looked at.
    type: str
    required: true
  release:
    description: Tag of the staged release.
    type: str
    default: ""
  release_path:
    description:
      - The release's tree.
      - C(<root>/<component>/releases/<release>) if left out.
    type: path
  python:
    description:
      - The release's interpreter.
      - C(.venv/bin/python) in the tree if left out.
    type: path
  env_file:
    description: The rendered environment of the component. Only its variables reach the release's code, and only through its environment.
    type: path
    required: true
  user:
    description: System user that the release's code, C(psql), C(pg_dump) and C(pg_restore) run as, where the module runs as root; that
      of the component if left out.
    type: str
  ini:
    description: Alembic's configuration, from the tree. As with Alembic's own command, C([tool.alembic]) in C(pyproject.toml) counts as
      well, with this file or without it.
    type: str
    default: alembic.ini
  x:
    description:
      - "What C(env.py) gets from C(context.get_x_argument()), such as C({tenant: shop}) for C(-x tenant=shop) of Alembic's command."
    type: dict
    default: {}
  url_variable:
    description: Variable in O(env_file) that holds the database's URL, in one of SQLAlchemy's forms for PostgreSQL.
    type: str
    default: DATABASE_URL
  tables:
    description: Tables that the database must have once it is migrated.
    type: list
    elements: str
    default: []
  policy:
    description:
      - What is allowed. An unknown key is an error.
      - An empty database allows everything, because nothing runs on it yet.
    type: dict
    default: {}
    suboptions:
      contract:
        description: Steps that take away or tighten what the running code may use (drop, rename, type change, V(SET NOT NULL)).
        type: str
        choices: [allow, refuse]
        default: refuse
      irreversible:
        description: Steps whose C(downgrade) does nothing.
        type: str
        choices: [allow, refuse]
        default: refuse
      autocommit:
        description: Steps that commit part of their work before their end (C(autocommit_block)).
        type: str
        choices: [allow, refuse]
        default: allow
      unknown_sql:
        description: Steps whose SQL cannot be shown before they run.
        type: str
        choices: [allow, refuse]
        default: refuse
      lint:
        description: Names of squawk's rules whose findings refuse. Findings of all others are shown.
        type: list
        elements: str
        default: [adding-required-field, ban-drop-database, ban-truncate-cascade, syntax-error]
      lint_missing:
        description: Steps that could not be linted because squawk is not there.
        type: str
        choices: [allow, refuse]
        default: allow
      max_steps:
        description: Refuse more steps than this at once; V(0) is no limit.
        type: int
        default: 0
      heads:
        description: V(all) for a release that has several heads on purpose, so that V(head) means all of them; V(one) refuses them.
        type: str
        choices: [one, all]
        default: one
      accept:
        description: Revisions that someone has looked at and takes as they are. It counts for upgrades only.
        type: list
        elements: str
        default: []
  accept_loss:
    description:
      - What a downgrade may take away in this run, by name; a table, or a column as C(table.column). Everything else that holds
        something is refused, with the number of rows that do.
      - Also a revision whose C(downgrade) does nothing, or whose SQL cannot be shown; it is passed over then.
    type: list
    elements: str
    default: []
  allow_base:
    description: Whether a downgrade may undo every revision. V(base) is refused without it.
    type: bool
    default: false
  squawk:
    description:
      - The linter. Where it is absent, a finding says so.
      - C(<root>/tools/bin/squawk) if left out.
    type: path
  repo:
    description:
      - Where the tags are. Used on the controller only.
      - Given, a plan of a release that is not on the node yet is made on the controller, from the tag and from where the node says
        that the database stands. Nothing is installed on the node.
    type: str
  path:
    description: Folder of the component in O(repo). Used on the controller only.
    type: str
    default: ""
  lock:
    description: The release's lock file, relative to O(path). Used on the controller only.
    type: str
  context:
    description: Folders of O(repo) that the component needs besides O(path). Used on the controller only.
    type: list
    elements: str
    default: []
  schema:
    description:
      - Schema of the component's environment, so that the release's code finds every variable while it is looked at on the controller.
        The values there are made up; none of the node's secrets is needed. Used on the controller only.
    type: list
    elements: dict
    default: []
  mirror_dir:
    description: Folder on the controller with mirrors of repositories; phasegate/mirrors in C($XDG_CACHE_HOME) or in ~/.cache if left out.
    type: str
    default: ""
  plan_dir:
    description: Folder with the environments and trees that plans are made with. Used on the controller only.
    type: str
    default: ~/.cache/phasegate/plan
  plan_unsandboxed:
    description:
      - Let the migrations of a release that no node has be read as the user who runs Ansible. Otherwise they are read in a sandbox of
        bubblewrap, and where the controller has none, not at all.
      - Used on the controller only.
    type: bool
    default: false
  plan_on_node:
    description:
      - How the node installs the release's packages, where no environment for its code can be made on the controller, such as that of an
        application newer than the controller's Python; then the node plans in a scratch environment, which goes afterwards. The keys are
        C(python), C(tools), C(build_user), C(sdists), C(environment), C(secret_environment), C(timeout) and C(min_free_bytes) of
        O(phasegate.aistack.alembic_info#module:scratch). Empty, nothing is made on the node.
      - Used on the controller only.
    type: dict
    default: {}
"""
