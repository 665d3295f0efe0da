# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have Superset's administrator be there, with the password that comes on standard input. Prints what was done: made, changed, or nothing.

Arguments: user, address for mail. It runs with Superset's own Python, as its user.
"""

from __future__ import annotations

import sys

from superset.app import create_app


def main(name: str, mail: str, password: str) -> str:
    """Make or correct the user."""
    app = create_app()
    with app.app_context():
        manager = app.appbuilder.sm
        role = manager.find_role("Admin")
        user = manager.find_user(username=name)
        if user is None:
            made = manager.add_user(name, "Superset", "Admin", mail, role, password)
            if not made:
                sys.exit(f"Superset did not make the user {name}: its log says why")
            return "made"
        right = manager.auth_user_db(name, password) is not None and role in user.roles and user.active
        if right:
            return ""
        if role not in user.roles:
            user.roles.append(role)
        user.active = True
        manager.update_user(user)
        manager.reset_password(user.id, password)
        return "changed"


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], sys.stdin.readline().rstrip("\n")))
