# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The small process between this collection and a command that is not its own: nothing that the command starts outlives it.

It is the subreaper of all that comes from the command: a daemon that leaves its session and loses its parent is handed to it, not to
init, and can neither hide by closing its files nor by a new environment. Past the time limit, after the command's end, and when whoever
asked dies, it kills what is left. Linux only.

Standard input carries the request (JSON): C(argv), C(cwd), C(env), C(timeout) in seconds, C(parent) (process number of who asks), C(user)
(null, or [uid, gid, groups]) and C(umask) (null: as it is). The command's output goes to standard output; standard error carries the
answer, one JSON object: C(rc) (negative: the signal) and C(timed_out).
"""

from __future__ import annotations

KEEPER = r"""
import json, os, signal, sys, time

CLEAR_S = 10.0
ASKED = json.load(sys.stdin)


class Over(Exception):
    pass


def over(number, _frame):
    raise Over(number)


def prctl(option, value):
    try:
        import ctypes
    except ImportError:  # then what leaves its session goes to init, and is not found
        return
    ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(one) for one in (value, 0, 0, 0)))


def below():  # parents first: who sees a child end may still say so
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as stream:
                    children.setdefault(int(stream.read().rpartition(b")")[2].split()[1]), []).append(int(name))
            except OSError:  # it ended in between
                continue
    found = [os.getpid()]
    for pid in found:
        found += children.pop(pid, [])
    return found[1:]


def clear():
    end = time.monotonic() + CLEAR_S
    while time.monotonic() < end:
        left = below()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:  # it ended in between
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        time.sleep(0.01)


def start():
    argv, user = ASKED["argv"], ASKED["user"]
    try:
        for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(1, 2)
        os.chdir(ASKED["cwd"])
        if ASKED["umask"] is not None:
            os.umask(ASKED["umask"])
        if user is not None:
            os.setgroups(user[2])
            os.setgid(user[1])
            os.setuid(user[0])
        os.execvpe(argv[0], argv, ASKED["env"])
    except OSError as error:
        os.write(1, ("%s: %s" % (argv[0], error.strerror)).encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)
    finally:
        os._exit(127)


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
signal.signal(signal.SIGTERM, over)
signal.signal(signal.SIGALRM, over)
answer = {"rc": -signal.SIGKILL, "timed_out": False}
try:
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != ASKED["parent"]:
        raise Over(signal.SIGTERM)
    if ASKED["user"] is not None:
        prctl(PR_SET_NO_NEW_PRIVS, 1)
    child = os.fork()
    if child == 0:
        start()
    signal.setitimer(signal.ITIMER_REAL, max(ASKED["timeout"], 0.001))
    pid = 0
    while pid != child:
        pid, status = os.waitpid(-1, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    answer["rc"] = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
except Over as what:
    answer["timed_out"] = what.args[0] == signal.SIGALRM
for number in (signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
clear()
sys.stderr.write(json.dumps(answer))
"""
