"""Runs in which the n-th allocation or write fails on one rank (failing.c), one after the other until none does.

Each such run must either fail as a whole (one error line on all ranks together, one exit code, nothing left behind, what
was there before untouched) or succeed with the same result. By default one n stands for all that have the same callers in
the program, and of those a number is tried, evenly spread. With DEMARC_FAILING=all (scripts/test.sh --failing) every n is,
on one rank, of a command with at most EACH calls; else the first and the last n of each chain of callers.
"""
import concurrent.futures
import dataclasses
import errno
import os
import pathlib
import shutil
import subprocess

import demarc_testing as t
from test_bad_input import Fault, launch, snapshot, stamps

LIBRARY = pathlib.Path(os.environ["DEMARC_BUILD"]) / "tests" / "libfailing.so"
ALL = os.environ.get("DEMARC_FAILING") == "all"
EACH = 6000
FRAMES = 3  # innermost callers by which two calls are taken for the same, unless all are to be tried
AT_ONCE = int(os.environ.get("DEMARC_FAILING_JOBS", 2))
SANITIZED = os.environ.get("DEMARC_SANITIZE", "") != ""


@dataclasses.dataclass
class Command:
    """A command to break: its arguments, what its folder holds beforehand, what may follow."""
    args: list
    prepare: object = None   # prepare(cwd)
    most: int = 30           # runs by default on one rank; mpirun is slow, so on two it is a fifth
    again: list = None       # arguments that go on where a run ended: a failed one may leave what they need, and they
                             # must come to the good result, with nothing left besides
    env: dict = dataclasses.field(default_factory=dict)
    ends: int = 0            # exit code of the run in which nothing fails


def preload(kind, cwd, rank, at=0, **more):
    """Shell code by which one rank's demarc gets the library; `more` are its other variables, in lower case."""
    values = {"FAILING": kind, "FAILING_AT": at, "FAILING_RANK": rank, "FAILING_PATH": cwd, "FAILING_LOG": f"{cwd}.log",
              "DEMARC_REEXEC": 1, "LD_PRELOAD": LIBRARY}
    values |= {"FAILING_" + name.upper(): value for name, value in more.items()}
    if SANITIZED:
        values["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    return "export " + " ".join(f"{name}='{value}'" for name, value in values.items())


class Failing(Fault):
    kind = "alloc"
    code = 5
    pattern = r"^demarc: [^:]+: .+"

    def one(self, command, ranks, rank, at, **more):
        """A run in a folder of its own; returns (folder, what it held, outcome, lines of the log)."""
        cwd = self.folder()
        if command.prepare is not None:
            command.prepare(cwd)
        before = snapshot(cwd)
        o = launch(command.args, cwd, ranks=ranks, prefix=preload(self.kind, cwd, rank, at, **more), env=command.env)
        log = pathlib.Path(f"{cwd}.log")
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return cwd, before, o, lines

    def choose(self, lines, most, ranks):
        """The n to try, of the calls that the library listed."""
        if ALL and ranks == 1 and len(lines) <= EACH:
            return list(range(1, len(lines) + 1))
        if ALL:
            calls = [tuple(line.split()[1:]) for line in lines]
            first = {call: n for n, call in reversed(list(enumerate(calls, 1)))}
            last = {call: n for n, call in enumerate(calls, 1)}
            return sorted({*first.values(), *last.values()})
        first = {}
        for line in lines:
            n, function, *trail = line.split()
            first.setdefault((function, *trail[:FRAMES]), int(n))
        chosen = sorted(first.values())
        step = max(1.0, len(chosen) / most)
        return sorted({chosen[int(i * step)] for i in range(int(len(chosen) / step))} | {chosen[-1]})

    def content(self, cwd, command):
        """What a run has made, without what differs from run to run."""
        held = {name: what[:2] for name, what in snapshot(cwd).items()}
        dated = ("manifest.json", "model.h5")  # hold times; stdout has the model's digest
        return {name: what[0] if name.endswith(dated) else what for name, what in held.items()}

    def where(self, lines):
        """The callers of the call that failed, by name."""
        if not lines:
            return "nothing failed"
        p = subprocess.run(["addr2line", "-sfe", t.DEMARC, *lines[0].split()[2:10]], capture_output=True, text=True)
        return lines[0].split(" ", 2)[1] + " < " + " < ".join(p.stdout.split())

    def check(self, label, command, ranks, rank, at, good, **more):
        cwd, before, o, lines = self.one(command, ranks, rank, at, **more)
        try:
            with self.subTest(label, ranks=ranks, rank=rank, at=at, **more):
                context = f"{self.where(lines)}\n{o}"
                self.assertTrue(lines, "the call was not reached\n" + context)
                content = self.content(cwd, command)
                self.assertFalse(o.hung, f"a rank hangs\n{context}")
                if set(o.codes) != {command.ends}:
                    self.assertEqual(o.codes, [self.code] * ranks, context)
                    self.assertEqual((o.launcher_code, o.launcher), (0, ""), context)
                    errors = [e for e in o.lines if not e.startswith("demarc: warning: ")]
                    self.assertEqual(len(errors), 1, context)
                    self.assertRegex(errors[0], self.pattern, context)
                if command.again is not None:
                    self.check_again(command, cwd, ranks, o, good, context)
                elif set(o.codes) == {0}:
                    self.assertEqual("".join(o.out), good[0], context)
                    self.assertEqual(content, good[1], context)
                elif snapshot(cwd) != before:
                    self.assertTrue(self.may_be_whole(more), "something was left behind\n" + context)
                    self.assertEqual(content, good[1], "something was left behind\n" + context)
        finally:
            shutil.rmtree(cwd)

    def may_be_whole(self, more):
        """May a failed run leave a whole result? Only if telling of it failed."""
        return True

    def check_again(self, command, cwd, ranks, o, good, context):
        if set(o.codes) != {0}:
            o = launch(command.again, cwd, ranks=ranks)
            context += f"\nthen {o}"
        self.assertEqual((o.hung, o.codes), (False, [0] * ranks), context)
        self.assertEqual("".join(o.out), good[0], context)
        self.assertEqual(self.content(cwd, command), good[1], context)

    def break_at_each(self, label, command, ranks=1, rank=0, **more):
        """Fail at n = 1, 2, ...; the run that only lists the calls gives the good result."""
        inputs = stamps(self.inputs)
        cwd, _, o, lines = self.one(command, ranks, rank, 0)
        self.assertEqual((o.hung, o.codes), (False, [command.ends] * ranks), f"{label}\n{o}")
        if command.ends != 0:
            o = launch(command.again, cwd, ranks=ranks)
            self.assertEqual((o.hung, o.codes), (False, [0] * ranks), f"{label}\n{o}")
        good = "".join(o.out), self.content(cwd, command)
        shutil.rmtree(cwd)
        self.assertTrue(lines or rank > 0, f"{label}: nothing that could fail")  # another rank may have it done by rank 0
        at = self.choose(lines, command.most if ranks == 1 else max(command.most // 5, 4), ranks) if lines else []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda n: self.check(label, command, ranks, rank, n, good, **more), at))
        self.assertEqual(stamps(self.inputs), inputs, "an input was changed")
        if os.environ.get("DEMARC_FAILING_VERBOSE"):
            print(f"{label}: {ranks} ranks, rank {rank}: {len(at)} of {len(lines)} calls failed {more or ''}", flush=True)


ENOSPC, EIO = errno.ENOSPC, errno.EIO
