#!/bin/bash
# `make demo`: everything, in order. Each step looks first, so that a demo which was interrupted goes on.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "$0")/../.."
started=$SECONDS
step() { printf '\n== %s  (%d s since the start)\n' "$1" "$((SECONDS - started))"; }
trap 'printf "\ndemo: interrupted; \`make demo\` goes on from here\n" >&2; exit 130' INT
trap 'printf "\ndemo: ended; \`make demo\` goes on from here\n" >&2; exit 143' TERM

lab/nodes/bootstrap.sh lab
step 'Nodes'
lab/bin/lab up
if [[ -x lab/bin/make-repos ]]; then
    step 'The example application, as a repository with tags'
    lab/bin/make-repos
fi
if lab/bin/lab artefacts-missing; then
    step 'A builder for the servers that come as source (once)'
    lab/bin/lab builder-up
fi
step 'site.yml'
ANSIBLE_CONFIG=ansible.cfg .venv/bin/ansible-playbook site.yml "$@"
lab/bin/lab builder-down
step 'Every component and its gate'
ANSIBLE_CONFIG=ansible.cfg .venv/bin/ansible-playbook phasegate.aistack.healthcheck
cat <<'END'
Open                                       http://10.89.77.13:3000/         the frontend, and /editor
                                           http://10.89.77.11:8000/docs     the backend's interface
                                           http://10.89.77.11:8000/metrics  its figures

Try next (once per shell: . .venv/bin/activate)
  ansible-playbook site.yml --tags phase3                          re-prove phases 0 to 2, then do phase 3
  ansible-playbook phasegate.aistack.healthcheck                   this table, in seconds
  ansible-playbook phasegate.aistack.plan -e release=v4.1.0        what a deployment would do
  ansible-playbook phasegate.aistack.deploy -e release=v4.1.0      do it; watch http://10.89.77.11:8000/health
  ansible-playbook phasegate.aistack.deploy -e release=v4.3.0      … and a release that lies about its version
  make logs    make shell NODE=backend-1    make clean
END
step 'Done'
