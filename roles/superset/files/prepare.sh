#!/bin/sh
# Brings Superset's own database to its release, makes its roles, and its administrator. Runs as root, what it starts as Superset's user.
# Arguments: the virtual environment, the user, the file of the password, the marker, what is prepared, the unit,
# what is to do (all or password), administrator, address for mail. The program that makes the administrator comes on standard input.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
venv=$1 user=$2 password=$3 marker=$4 release=$5 unit=$6 todo=$7 admin=$8 mail=$9
program=$(cat)
umask 077
cd /
as() {
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --no-new-privs -- "$@"
    fi
    "$@"
}
if [ "$todo" = all ]; then
    # an older release does not run on the tables of a newer one
    [ ! -e "$marker" ] || systemctl stop "$unit"
    as "$venv/bin/superset" db upgrade >&2
    as "$venv/bin/superset" init >&2
fi
as "$venv/bin/python" -c "$program" "$admin" "$mail" <"$password"
printf '%s\n' "$release" >"$marker"
