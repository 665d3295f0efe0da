#!/bin/sh
# What the lab needs from the system's own package sources, installed where it is missing.
# Usage: lab/nodes/bootstrap.sh venv|lab     (venv: enough for `make venv`; lab: podman and the image builder too)
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -eu

want=${1:?usage: bootstrap.sh venv|lab}

die() {
    printf 'bootstrap: %s\n' "$@" >&2
    exit 1
}

needs=''
need() { # need COMMAND PACKAGE...: the packages, unless the command is there already
    command -v "$1" >/dev/null 2>&1 && return 0
    shift
    needs="$needs $*"
}

PATH="$PATH:/usr/sbin:/sbin"
need git git
python=/usr/bin/python3
# none at all is told below, with what to install
[ -x "$python" ] || python=$(command -v python3 || true)
if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    needs="$needs python3 python3-venv"
fi
if [ "$want" = lab ]; then
    need ssh openssh-client
    need podman podman containernetworking-plugins
    need runc runc
    need iptables iptables
    need mmdebstrap mmdebstrap
    need bwrap bubblewrap
    [ -e /etc/ssl/certs/ca-certificates.crt ] || needs="$needs ca-certificates"
    [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || needs="$needs debian-archive-keyring"
fi

if [ "$want" = lab ] || [ -n "$needs" ]; then
    [ "$(id -u)" = 0 ] || die "the lab starts system containers and therefore runs as root; this is $(id -un)." \
        "Run the same command as root (sudo make …), on a machine that may be changed." ${needs:+"Missing:$needs"}
fi
[ -n "$needs" ] || exit 0

id='' pretty='unknown'
if [ -r /etc/os-release ]; then
    # shellcheck disable=SC1091  # every Debian has it
    id=$(. /etc/os-release && printf '%s' "${ID:-} ${ID_LIKE:-}")
    # shellcheck disable=SC1091
    pretty=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-$ID}")
fi
case " $id " in
*" debian "*) ;;
*) die "missing:$needs" "They are installed by themselves on Debian 12 or later only; this is $pretty." \
    "Install them with this system's package manager, then repeat the command." ;;
esac

printf 'bootstrap: installing%s\n' "$needs"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086  # a list of words
install_all() { apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $needs >/dev/null; }
install_all 2>/dev/null || {
    # the usual reason is a package list that was never fetched or has grown old
    apt-get update -qq -o DPkg::Lock::Timeout=300
    dpkg --configure -a # an earlier run may have been killed half-way
    install_all || die "apt-get could not install:$needs" "The message above says why; see also: apt-get update"
}
