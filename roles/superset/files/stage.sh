#!/bin/sh
# Makes a virtual environment of a lock file and gives it its name. The lock file comes on standard input.
# Arguments: its place, what it is, uv, Python, the user that installs, packages that may be built.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
umask 022
place=$1 release=$2 uv=$3 python=$4 builder=$5
shift 5
part=$place.part room=$place.room
rm -rf "$part" "$room"
mkdir "$part" "$room"
give() { [ "$(id -u)" != 0 ] || chown "$@"; }
give "$builder:$(id -g "$builder")" "$part" "$room"
# root installs nothing
as() {
    if [ "$(id -u)" = 0 ]; then
        set -- setpriv --reuid "$builder" --regid "$(id -g "$builder")" --clear-groups --no-new-privs -- "$@"
    fi
    "$@"
}
equipped() { as env HOME="$room" TMPDIR="$room" UV_CACHE_DIR="$room/cache" UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 NO_COLOR=1 "$@"; }
cat >"$room/lock"
cd "$room"
equipped "$uv" venv --quiet --relocatable --no-project --python "$python" --clear "$part"
for package; do
    shift
    set -- "$@" --no-binary "$package"
done
# the lock file is all there is: what builds a package has its hash in it as well
equipped "$uv" pip install --quiet --python "$part/bin/python" --require-hashes --no-deps --only-binary :all: "$@" \
    --build-constraints "$room/lock" --requirements "$room/lock" || {
    found=$("$part/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' || echo unknown)
    echo "The packages of Superset's lock file were not installed for Python $found ($python). Where one has no wheel for it, name another" \
        "Python: Superset 6.1.0 runs on 3.11 and 3.12 (superset_python, or an archive as superset_interpreter); or lock that package in" \
        "another version, or name it in superset_sdists, which lets its code run while it is built. What runs was not touched." >&2
    exit 1
}
# for the speed of the first start alone: a file that this Python does not take, as packages have among their tests, is no reason to stop
equipped "$part/bin/python" -I -m compileall -q "$part/lib" || true
cd /
rm -rf "$room"
give -R root:root "$part"
chmod -R go-w "$part"
printf '%s\n' "$release" >"$part/.aistack"
mv -T "$part" "$place"
