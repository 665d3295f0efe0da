#!/usr/bin/env bash
# Run ansible-test on the installed artefact: tests/tools/ansible-test.sh sanity|units [arguments]
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# It wants to stand in a real ansible_collections/namespace/name, and `--venv` wants to download get-pip from a host of
# its own: a private HOME, kept between runs, brings a substitute that uses this machine's package index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
command=${1:?usage: tests/tools/ansible-test.sh sanity|units [arguments]}
shift
tools=$PWD/tests/tools
installed=$PWD/build/inst/ansible_collections/phasegate/aistack
[[ -d $installed ]] || {
    echo "ansible-test: $installed is missing; run: make artefact" >&2
    exit 1
}
home=${XDG_CACHE_HOME:-$HOME/.cache}/phasegate-lab/ansible-test
mkdir -p "$home/.ansible/test/cache" "$home/.config/pip"
wanted=$(python - <<'EOF'
from ansible_test._internal import python_requirements as names
import inspect, re
print(re.search(r"pip='([0-9.]+)'", inspect.getsource(names))[1])
EOF
)
cp "$tools/get_pip.py" "$home/.ansible/test/cache/get_pip_${wanted//./_}.py"
python "$tools/pip_conf.py" >"$home/.config/pip/pip.conf"
python_version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

cd "$installed"
if [[ $command == sanity ]] && ! command -v shellcheck >/dev/null; then
    echo "ansible-test: sanity needs shellcheck; install it: apt-get install shellcheck" >&2
    exit 1
fi
HOME=$home XDG_CACHE_HOME=$home/.cache exec ansible-test "$command" --venv --python "$python_version" --color no "$@"
