#!/bin/sh
# Makes an unpacked tree runnable and gives it its name. The lock file comes on standard input.
# Arguments: tree, its place, commit, uv, Python, data, models, the service's user, the user that installs, packages that may be built.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu
umask 022
tree=$1 place=$2 commit=$3 uv=$4 python=$5 data=$6 models=$7 user=$8 builder=$9
shift 9

# Root does nothing in folders of the service's, where links may lie, and installs nothing.
as() {
    who=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid "$who" --regid "$(id -g "$who")" --clear-groups --no-new-privs -- "$@"
    else
        "$@"
    fi
}
give() { [ "$(id -u)" != 0 ] || chown "$@"; }
# Root makes a folder only where the service can put nothing in its way.
no_link_can_come() {
    above=$1
    while [ "$above" != / ]; do
        above=$(dirname "$above")
        if [ -d "$above" ] && as "$user" test -w "$above"; then
            echo "$1 is no folder, and $user cannot make it one although $above is open to it: remove what is in the way there, then run" \
                "again. Nothing was staged; the live release is as it was." >&2
            exit 1
        fi
    done
}

lock=$tree/.aistack-lock
cat >"$lock"
# a repository without requirements.txt names none
if [ ! -s "$lock" ] && grep -qEv '^[[:space:]]*(#|$)' "$tree/requirements.txt" 2>/dev/null; then
    echo "The repository's requirements.txt names packages, and comfyui_lock is empty: expected a file with the hashes of all of them, so that" \
        "nothing is installed that nobody has seen. Make it (uv pip compile --generate-hashes requirements.txt -o comfyui.lock) and set" \
        "comfyui_lock to its path on the controller. Nothing was staged; the live release is as it was." >&2
    exit 1
fi
# where the user may not make a folder, root does: that it may not is no fault
for name in models input output temp user; do
    [ "$name" = models ] && target=$models || target=$data/$name
    [ -d "$target" ] || as "$user" mkdir -p -m 0750 "$target" 2>/dev/null || {
        no_link_can_come "$target"
        mkdir -p "$target"
        chmod 0750 "$target"
        give "$user:$(id -g "$user")" "$target"
    }
    # what ComfyUI writes into its own tree is put outside it; what the tree brings there is copied once
    if [ -d "$tree/$name" ] && [ ! -L "$tree/$name" ]; then
        as "$user" cp -R -n "$tree/$name/." "$target/"
        rm -rf "${tree:?}/$name"
    fi
    ln -sfn "$target" "$tree/$name"
done
room=$tree/.aistack-room
mkdir "$tree/.venv" "$room"
give "$builder:$(id -g "$builder")" "$tree/.venv" "$room"
equipped() { as "$builder" env HOME="$room" TMPDIR="$room" UV_CACHE_DIR="$room/cache" UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 NO_COLOR=1 "$@"; }
cd "$room"
equipped "$uv" venv --quiet --relocatable --no-project --python "$python" --clear "$tree/.venv"
if [ -s "$lock" ]; then
    for package; do
        shift
        set -- "$@" --no-binary "$package"
    done
    equipped "$uv" pip install --quiet --python "$tree/.venv/bin/python" --require-hashes --only-binary :all: "$@" --requirements "$lock" || {
        echo "The packages of comfyui_lock were not installed. One without a wheel for this node has to be locked in another version, or named" \
            "in comfyui_sdists, which lets its code run while it is built. Nothing was staged; the live release is as it was." >&2
        exit 1
    }
fi
cd /
rm -rf "$room"
give -R root:root "$tree"
chmod -R go-w "$tree/.venv"
# for the speed of the first start alone; a file that is no Python for this version fails when it is imported, or never is
"$python" -I -m compileall -q "$tree" -x '/\.venv/' || true
printf '%s\n' "$commit" >"$tree/.aistack"
[ ! -e "$place" ] || mv -T "$place" "$place.replaced.$$"
mv -T "$tree" "$place"
rm -rf "$place".replaced.*
