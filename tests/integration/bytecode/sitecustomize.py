# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Python reads before anything else in the processes that these tests start.

Ansible sends a module as an archive of sources, which Python compiles again for every task: a third of what a module costs. Here that is
done once. The sources stay what decides: the bytecode of a text is found by the hash of that text. And garbage is looked for less often,
which is half of what it takes to put such an archive together.
"""

import _imp
import gc
import marshal
import os
import sys
import zipimport

FOLDER = os.environ.get("AISTACK_TEST_BYTECODE", "")
COMPILE = zipimport._compile_source


def compiled(path, source, *more):
    """Stand in for zipimport's own: the same code object, from the folder where it is there."""
    name = f"{FOLDER}/{sys.implementation.cache_tag}-{_imp.source_hash(0, source).hex()}"
    try:
        with open(name, "rb") as file:
            code = marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):  # not there yet
        code = COMPILE(path, source, *more)
        keep(name, code)
    _imp._fix_co_filename(code, path)  # as Python does with a cached file that was moved
    return code


def keep(name, code):
    """Write a code object where the next process looks for it, whole or not at all."""
    part = f"{name}.{os.getpid()}"
    try:
        with open(part, "wb") as file:
            marshal.dump(code, file)
        os.replace(part, name)
    except OSError:  # a user who may not write there compiles each time
        return


if FOLDER:
    zipimport._compile_source = compiled
    gc.set_threshold(50_000, 20, 100)
