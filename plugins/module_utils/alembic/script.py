# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper that the release's own Python runs: it speaks to the release's Alembic and to nobody else.

C(BOOTSTRAP) is what stands on the command line; it reads the length of C(HELPER) and then its text from standard input.
After that, standard input carries one request a line (JSON), and standard output carries the answers: any number of
C({"event": ...}) lines and then C({"ok": true, ...}) or C({"ok": false, "error": {...}}). The helper keeps it for itself: what the
release's code prints goes to standard error, and what its programs print as well.
When standard input ends, whoever asked is dead: the helper ends at once and its connections with it, so that the server
rolls back. Secrets reach it only through its environment.

Requests: C(open) (ini, x, budgets, the only database that may be connected to), C(graph), C(current), C(order), C(sql) (steps),
C(upgrade), C(downgrade), C(stamp) (target). C(graph), which imports the scripts, runs env.py first.

C(ENVIRONMENT_FIRST) is for the Python of an image, which is given no variables when it is started: it reads their length and then them
(JSON) from standard input, and becomes the Python with them whose command line its own arguments are. Where it has no Alembic itself,
that is the Python of a virtual environment in its folder: an image need not have that on its search path.
"""

from __future__ import annotations

BOOTSTRAP = "import sys;n=int(sys.stdin.buffer.readline());exec(compile(sys.stdin.buffer.read(n),'<aistack>','exec'))"

# by itself, byte by byte: whoever reads ahead takes away what the next one is to read
ENVIRONMENT_FIRST = """\
import importlib.util, json, os, sys
given = open(0, 'rb', 0, closefd=False)
size, text = int(given.readline() or 0), b''
while len(text) < size:
    part = given.read(size - len(text))
    if not part:
        sys.exit('nobody is there any more')
    text += part
os.environ.update(json.loads(text or b'{}'))
python, found = sys.executable, importlib.util.find_spec('alembic')
if found is None or found.origin is None:  # a folder of that name has none
    environments = [os.path.join(os.getcwd(), name, 'bin', 'python3') for name in ('.venv', 'venv')]
    python = next((path for path in environments if os.access(path, os.X_OK)), python)
os.execv(python, [python, '-c', *sys.argv[1:]])
"""

HELPER = r'''
import argparse, ast, hashlib, inspect, io, json, os, queue, sys, threading, time, traceback

BUSY = threading.Event()
REQUESTS = queue.Queue()
STATE = {"out": None, "config": None, "script": None, "settings": {}, "database": "", "revision": "", "moving": False,
         "prepared": False, "preparing": False}


def listen():
    """Requests from standard input; its end means that nobody waits for an answer any more."""
    for line in sys.stdin.buffer:
        REQUESTS.put(line)
    if BUSY.is_set():
        os._exit(17)
    REQUESTS.put(None)


def say(document):
    STATE["out"].write(json.dumps(document, default=str) + "\n")
    STATE["out"].flush()


def of_postgres(connection):
    kind = type(connection).__module__
    return "pg" in kind or "postgres" in kind


def place(connection, record):
    """No connection that the release's code opens through SQLAlchemy, whatever its driver, leads to another database."""
    if not STATE["database"] or not of_postgres(connection):
        return
    cursor = connection.cursor()
    cursor.execute("SELECT current_database()")
    found = cursor.fetchone()[0]
    cursor.close()
    connection.commit()
    if found != STATE["database"]:
        connection.close()
        raise Refuse("elsewhere", "env.py connects to the database %s, although its environment names %s" % (found, STATE["database"]))


class Enough(BaseException):
    """env.py wants to connect, where it was run for what it imports; no Exception, so that nothing tries again."""


def stay(dialect, record, words, options):
    """No connection through SQLAlchemy is made while env.py is only run for what it imports."""
    if STATE["preparing"]:
        raise Enough()


def limits(connection, record, proxy):
    """Applied to every connection that steps run on, be it as old as an earlier question. What only looks sets nothing: behind a
    pooler it would stay with whoever gets that connection next."""
    if not STATE["moving"] or not of_postgres(connection):
        return
    say({"event": "connected", "at": time.time()})
    if record.info.get("aistack_limits"):
        return
    cursor = connection.cursor()
    for name, value in STATE["settings"].items():
        cursor.execute("SELECT set_config('%s', '%s', false)" % (name, value))
    connection.commit()
    try:  # PostgreSQL 14 and later, where the platform can: a statement ends when its client is gone
        cursor.execute(
            "SELECT set_config(name, '1s', false) FROM pg_settings WHERE name = 'client_connection_check_interval'"
        )
        connection.commit()
    except Exception as problem:
        print("client_connection_check_interval: %s" % problem, file=sys.stderr)
        connection.rollback()
    cursor.close()
    record.info["aistack_limits"] = True


def body_does_something(function):
    """False where the body is only pass, a docstring, ..., return or raise."""
    for node in function.body:
        if isinstance(node, (ast.Pass, ast.Return, ast.Raise)):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        return True
    return False


def look(path):
    """What the script's text tells: reversible, autocommit."""
    with open(path, "rb") as handle:
        source = handle.read()
    functions = {
        node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }
    down, up = functions.get("downgrade"), functions.get("upgrade")
    autocommit = up is not None and any(
        isinstance(node, ast.Attribute) and node.attr == "autocommit_block" for node in ast.walk(up)
    )
    return {
        "reversible": down is not None and body_does_something(down),
        "autocommit": autocommit,
        "sha256": hashlib.sha256(source).hexdigest(),
    }


def op_open(request):
    STATE["settings"] = request["settings"]
    STATE["database"] = request.get("database", "")
    from sqlalchemy import event
    from sqlalchemy.engine import Engine
    import alembic, sqlalchemy
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    event.listen(Engine, "do_connect", stay)
    event.listen(Engine, "connect", place)
    event.listen(Engine, "checkout", limits)
    STATE["config"] = configuration(Config, request["ini"], request.get("x") or {})
    STATE["script"] = ScriptDirectory.from_config(STATE["config"])
    return {"alembic": alembic.__version__, "sqlalchemy": sqlalchemy.__version__, "python": sys.version.split()[0]}


def configuration(make, named, x):
    """What Alembic's own command would take: an ini file, [tool.alembic] of pyproject.toml, or both; and what -x gives."""
    options = {"stdout": sys.stderr, "output_buffer": io.StringIO()}
    if x:
        options["cmd_opts"] = argparse.Namespace(x=["%s=%s" % pair for pair in sorted(x.items())])
    pyproject = os.path.basename(named) == "pyproject.toml"
    ini = "alembic.ini" if pyproject else named
    toml = named if pyproject else "pyproject.toml"
    ini = ini if os.path.isfile(ini) else None
    if not os.path.isfile(toml):
        toml = None
    elif "toml_file" not in inspect.signature(make.__init__).parameters:  # Alembic before 1.16
        if ini is None:
            raise Refuse("no_ini", "[tool.alembic] in %s needs Alembic 1.16 or newer; or write an alembic.ini" % toml)
        toml = None
    if toml and make(toml_file=toml).toml_alembic_config:
        return make(ini, toml_file=toml, **options)
    if ini is None:
        raise Refuse("no_ini", "%s does not exist, and no pyproject.toml has [tool.alembic]" % os.path.abspath(named))
    return make(ini, **options)


class Refuse(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


def prepare():
    """Runs env.py once, before any script is imported: so do Alembic's own commands that move a database, and what env.py imports, or
    puts into sys.path, may be what the scripts need. It is run offline, and connects to nothing."""
    if STATE["prepared"]:
        return
    STATE["prepared"] = STATE["preparing"] = True
    STATE["config"].output_buffer = io.StringIO()
    try:
        environment(lambda heads, context: [], as_sql=True, dont_mutate=True)
    except KeyboardInterrupt:
        raise
    except Enough:  # it takes no notice of offline; what it imports, it has by now
        pass
    except BaseException as problem:  # what matters was imported, or the questions that need env.py say what is wrong with it
        print("env.py, before the scripts are read: %s: %s" % (type(problem).__name__, problem), file=sys.stderr)
    finally:
        STATE["preparing"] = False


def op_graph(request):
    prepare()
    script = STATE["script"]
    found = []
    for entry in script.walk_revisions("base", "heads"):
        path = entry.path
        item = {
            "revision": entry.revision,
            "down_revisions": as_list(entry.down_revision),
            "depends_on": as_list(getattr(entry, "_resolved_dependencies", entry.dependencies)),
            "branch_labels": sorted(getattr(entry, "_orig_branch_labels", entry.branch_labels) or ()),
            "doc": (entry.doc or "").strip(),
            "path": os.path.relpath(path),
        }
        item.update(look(path))
        found.append(item)
    return {"revisions": found, "heads": sorted(script.get_heads()), "bases": sorted(script.get_bases())}


def as_list(value):
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def environment(fn, **options):
    from alembic.runtime.environment import EnvironmentContext

    with EnvironmentContext(STATE["config"], STATE["script"], fn=fn, **options):
        STATE["script"].run_env()


def op_current(request):
    seen = {}

    def note(heads, context):
        seen["current"] = sorted(heads)
        seen["transaction"] = (
            "none" if not context.impl.transactional_ddl
            else "step" if getattr(context, "_transaction_per_migration", False)
            else "whole"
        )
        seen["version_table"] = context.version_table
        seen["version_table_schema"] = context.version_table_schema
        if context.connection is not None:
            seen["dialect"] = context.connection.dialect.name
        return []

    environment(note, dont_mutate=True)
    if "current" not in seen:
        raise Refuse("env", "env.py did not call context.run_migrations(): no connection was made")
    return seen


def op_order(request):
    """The identifiers of the steps in Alembic's own order."""
    script, target = STATE["script"], request["target"]
    if isinstance(target, list) and request["direction"] == "downgrade":
        return {"steps": []}
    revs = script._upgrade_revs if request["direction"] == "upgrade" else script._downgrade_revs
    return {"steps": [step.revision.revision for step in revs(target, tuple(request["current"]))]}


def op_sql(request):
    """SQL of single steps: [{"revision", "before": [heads], "direction"}]; a step that cannot be rendered says why."""
    result, named = {}, {}
    for wanted in request["steps"]:
        buffer = io.StringIO()
        STATE["config"].output_buffer = buffer

        def one(heads, context, wanted=wanted):
            named["version_table"] = context.version_table
            named["version_table_schema"] = context.version_table_schema
            return list(steps_for(wanted["revision"], wanted["direction"]))

        try:
            environment(
                one, as_sql=True, starting_rev=list(wanted["before"]) or None,
                destination_rev=wanted["revision"], dont_mutate=True,
            )
            result[wanted["revision"]] = {"sql": buffer.getvalue()}
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:
            frames, script = own_frames(problem), STATE["script"].get_revision(wanted["revision"]).path
            result[wanted["revision"]] = {
                "sql": None,
                "error": "%s: %s" % (type(problem).__name__, " ".join(str(problem).split())[:1500]),
                # whether the script itself is to blame, and not what env.py imports
                "own": bool(frames) and os.path.realpath(frames[-1].filename) == os.path.realpath(script),
                "place": place_of(frames),
            }
    return {"steps": result, **named}


def steps_for(revision, direction):
    from alembic.runtime.migration import MigrationStep

    script = STATE["script"].get_revision(revision)
    make = MigrationStep.upgrade_from_script if direction == "upgrade" else MigrationStep.downgrade_from_script
    return [make(STATE["script"].revision_map, script)]


def own_frames(problem):
    """The release's own places that an error went through, the innermost last."""
    return [
        frame for frame in traceback.extract_tb(problem.__traceback__)
        if not frame.filename.startswith("<") and "site-packages" not in frame.filename and "/lib/python" not in frame.filename
    ]


def place_of(frames):
    return "%s:%s" % (os.path.relpath(frames[-1].filename), frames[-1].lineno) if frames else ""


def op_upgrade(request):
    return move(request, "upgrade")


def op_downgrade(request):
    return move(request, "downgrade")


def move(request, direction):
    done = []
    target = request["target"]
    STATE["moving"] = True

    def walk(heads, context):
        script = STATE["script"]
        if direction == "upgrade":
            steps = list(script._upgrade_revs(target, heads))
        elif isinstance(target, list):  # Alembic goes down to one revision; here to several heads, by the steps that were planned
            steps = [step for name in request["steps"] for step in steps_for(name, direction)]
        else:
            steps = list(script._downgrade_revs(target, heads))
        for number, step in enumerate(steps, 1):
            name = getattr(getattr(step, "revision", None), "revision", "?")
            STATE["revision"] = name
            say({"event": "step", "revision": name, "at": time.time(), "number": number, "of": len(steps)})
            yield step
            done.append(name)
            say({"event": "stepped", "revision": name, "at": time.time()})
        STATE["revision"] = ""
        say({"event": "commit", "at": time.time()})

    environment(walk, starting_rev=None, destination_rev=target)
    return {"steps": done}


def op_stamp(request):
    targets = request["target"]
    STATE["moving"] = True

    def walk(heads, context):
        return STATE["script"]._stamp_revs(tuple(targets) or "base", () if request["purge"] else heads)

    environment(walk, destination_rev=targets, purge=request["purge"])
    return {"steps": targets}


def chain(problem):
    seen = []
    while problem is not None and problem not in seen:
        seen.append(problem)
        problem = getattr(problem, "orig", None) or problem.__cause__ or problem.__context__
    return seen


def failure(problem):
    sqlstate, statement, native = "", "", None
    for link in chain(problem):
        code = getattr(link, "sqlstate", None) or getattr(link, "pgcode", None)
        if not code and isinstance(getattr(link, "args", None), tuple) and link.args and isinstance(link.args[0], dict):
            code = link.args[0].get("C")
        if code and not sqlstate:
            sqlstate, native = str(code), link
        statement = statement or " ".join(str(getattr(link, "statement", "") or "").split())[:400]
    root = native or getattr(problem, "orig", None) or problem
    return {
        "kind": getattr(problem, "kind", "") or type(problem).__name__,
        "type": type(root).__name__,
        "message": " ".join(str(root).split())[:1000] or type(root).__name__,
        "sqlstate": sqlstate,
        "statement": statement,
        "revision": STATE["revision"],
        "place": place_of(own_frames(problem)),
    }


OPERATIONS = {
    "open": op_open, "graph": op_graph, "current": op_current, "order": op_order, "sql": op_sql,
    "upgrade": op_upgrade, "downgrade": op_downgrade, "stamp": op_stamp,
}


def serve():
    while True:
        line = REQUESTS.get()
        if line is None:
            return
        BUSY.set()
        request = json.loads(line)
        STATE["revision"], STATE["moving"] = "", False
        try:
            answer = {"ok": True}
            answer.update(OPERATIONS[request["op"]](request))
        except BaseException as problem:
            answer = {"ok": False, "error": failure(problem)}
        say(answer)
        BUSY.clear()


STATE["out"] = os.fdopen(os.dup(1), "w", encoding="utf-8")  # no program that the release's code starts inherits it
os.dup2(2, 1)  # what the release's code prints is no answer
sys.path.insert(0, os.getcwd())
threading.Thread(target=listen, daemon=True).start()
serve()
'''
