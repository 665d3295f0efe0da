# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Python reads before anything else in the processes of tests: what they would all make again of the same texts is made once.

Ansible sends a module as an archive of sources, which Python compiles again for every task: a third of what a module costs. For each
archive it reads in every file what else that file imports, and each of its workers compiles the templates that it meets: half of what a
playbook costs. The sources stay what decides: what was made of a text is found by the hash of that text. And garbage is looked for less
often, which is half of what it takes to put such an archive together.

It does nothing unless AISTACK_TEST_BYTECODE names a folder, or, on a node of the lab, KEPT is there: `make test` and its scenarios have it
so, and nothing else; `make bench` measures without it.
"""

import _imp
import gc
import marshal
import os
import sys
import zipimport
from _frozen_importlib_external import PathFinder

KEPT = "/var/cache/lab-bytecode"
FOLDER = os.environ.get("AISTACK_TEST_BYTECODE", KEPT if os.path.isdir(KEPT) else "")
COMPILE = zipimport._compile_source


def compiled(path, source, *more):
    """Stand in for zipimport's own: the same code object, from the folder where it is there."""
    code = kept(source, "", lambda: COMPILE(path, source, *more))
    _imp._fix_co_filename(code, path)  # as Python does with a cached file that was moved
    return code


def kept(source, kind, make):
    """What is made of a text: from the folder where it is there, whole or not at all."""
    name = f"{FOLDER}/{sys.implementation.cache_tag}-{_imp.source_hash(0, source).hex()}{kind}"
    try:
        with open(name, "rb") as file:
            return marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):  # not there yet
        made = make()
    part = f"{name}.{os.getpid()}"
    try:
        with open(part, "wb") as file:
            marshal.dump(made, file)
        os.replace(part, name)
    except OSError:  # a user who may not write there makes it each time
        return made
    return made


def remember_imports(module):
    """Have what builds the archives read a file only where nobody read the same text at the same place before."""
    parse, look = module._compile_module_ast, module.ModuleDepFinder.__init__

    class Unread:
        def __init__(self, name, source):
            self.name, self.source = name, source

    def imports(self, fqn, tree, is_pkg_init=False):
        def read():
            look(self, fqn, parse(tree.name, tree.source), is_pkg_init)
            return [[tuple(str(part) for part in name) for name in found] for found in (self.submodules, self.optional_imports)]

        source = tree.source if isinstance(tree.source, bytes) else tree.source.encode()
        found = kept(bytes(source), f"-{fqn}-{is_pkg_init}", read)
        self.submodules, self.optional_imports = (set(names) for names in found)

    module._compile_module_ast, module.ModuleDepFinder.__init__ = Unread, imports


def remember_templates(module):
    """Have a worker compile a template only where nobody compiled the same text in the same way before; conditions are compiled as ever."""
    environment, fields = module.AnsibleEnvironment, module._TEMPLATE_OVERRIDE_FIELD_NAMES
    make = environment.compile

    def compile(self, source, name=None, filename=None, raw=False, defer_init=False):
        if not isinstance(source, str) or name or filename or raw or defer_init or self._debuggable_template_source:
            return make(self, source, name, filename, raw, defer_init)
        context = module._TemplateCompileContext.current(optional=True)
        way = [str(getattr(self, field)) for field in fields] + [str(bool(context and context.escape_backslashes))]
        kind = f"-template-{_imp.source_hash(0, repr(way).encode()).hex()}"
        return kept(str(source).encode("utf-8", "surrogatepass"), kind, lambda: make(self, source))

    environment.compile = compile


def remember_plugins(module):
    """Have the loader of collections compile a plugin only where nobody compiled the same text before: it keeps nothing itself."""

    def compile_once(source, filename, mode, *more, **named):
        if mode != "exec" or not isinstance(source, (bytes, str)):
            return compile(source, filename, mode, *more, **named)
        text = source if isinstance(source, bytes) else source.encode()
        code = kept(bytes(text), "-plugin", lambda: compile(source, filename, mode, *more, **named))
        _imp._fix_co_filename(code, str(filename))
        return code

    module.compile = compile_once


class WhenImported:
    """Has parts of Ansible remember what they made, as soon as a process imports them."""

    parts = {
        "ansible.executor.module_common": remember_imports,
        "ansible._internal._templating._jinja_bits": remember_templates,
        "ansible.utils.collection_loader._collection_finder": remember_plugins,
    }

    def find_spec(self, name, path, target=None):
        if name not in self.parts:
            return None
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def and_then(module):
            run(module)
            self.parts[name](module)

        spec.loader.exec_module = and_then
        return spec


if FOLDER:
    zipimport._compile_source = compiled
    sys.meta_path.insert(0, WhenImported())
    gc.set_threshold(50_000, 20, 100)
