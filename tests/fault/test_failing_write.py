"""The n-th write fails, or all from the n-th on: exit code 5 on all ranks, one line, nothing left, what was there as it was.

A write is whatever changes the output or its folder: open for writing, write, sync, close, rename (support/failing.c). An
interrupted or failed fit must still be able to go on from its checkpoint.
"""
import errno
import shutil
import sys

import numpy as np

import demarc_testing as t
from experiment_files import outcomes_of, write_experiment, write_results
from failing import Command, Failing
from test_bad_input import launch

ROWS = 4 * 4096 + 300  # both of two ranks have blocks, and datasets are large enough for each to write its own
FEW = 4096 + 300       # too few for that: rank 0 writes them all
FULL = {"errno": int(errno.ENOSPC), "onward": 1}
BROKEN = {"errno": int(errno.EIO), "onward": 0}


class Write(Failing):
    kind = "write"
    pattern = r"^demarc: [^:]+: .+"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        def make(*args, **env):
            o = launch(args, cls.inputs, env=env)
            assert o.codes in ([0], [75]), str(o)
        make("generate", "data.h5", "--customers", ROWS, "--features", 3, "--segments", 3, "--arms", 2, "--outcomes", "--quiet")
        make("fit", "data.h5", "--segments", 4, "--out", "run", "--quiet")
        cls.data, cls.model = cls.inputs / "data.h5", cls.inputs / "run" / "model.h5"
        make("generate", "few.h5", "--customers", FEW, "--features", 3, "--segments", 3, "--quiet")
        (cls.inputs / "stopped").mkdir()
        make("fit", cls.data, "--segments", "2:4", "--out", "stopped/run", "--quiet", DEMARC_STOP_AFTER="6")
        (cls.inputs / "data.csv").write_text("id,a,b\n" + "".join(f"c{i},{i % 7},{i % 11}.5\n" for i in range(ROWS)))
        e = write_experiment(cls.inputs / "e.h5", 900, ((0, 1), (1, 2)))
        write_results(cls.inputs / "results.h5", e["id"], outcomes_of(e, level=0.9, slope=0.4))

    def may_be_whole(self, more):
        """Or if the disk stays full and even a name can no longer be given back."""
        return more.get("onward") == 1

    def old(self, cwd):
        """Earlier outputs of all commands, to be replaced."""
        shutil.copytree(self.inputs / "run", cwd / "run")
        shutil.copy(self.model, cwd / "out.h5")

    def interrupted(self, cwd):
        shutil.copytree(self.inputs / "stopped", cwd, dirs_exist_ok=True)

    def each(self, label, command, layouts=((1, 0, "mpio"), (2, 0, "mpio"), (2, 1, "mpio"), (2, 0, "funnel")),
             kinds=(FULL, BROKEN)):
        for ranks, rank, io in layouts:
            args = [*command.args, "--io", io]
            again = command.again and [*command.again, "--io", io]
            for kind in kinds:
                self.break_at_each(f"{label}, {io}", Command(args, command.prepare, command.most, again, command.env,
                                                             command.ends), ranks, rank, **kind)

    def fit(self, *more, k=3):
        return ["fit", self.data, "--out", "run", "--quiet", "--threads", 1, "--segments", k, *more]

    def test_fit(self):
        self.each("fit", Command(self.fit(), most=24))

    def test_fit_force(self):
        self.each("fit --force", Command(self.fit("--force"), self.old, most=10))

    def test_assign(self):
        args = ["assign", self.data, "--model", self.model, "--out", "out.h5", "--quiet", "--threads", 1]
        self.each("assign", Command([*args], most=10))
        few = ["assign", self.inputs / "few.h5", *args[2:]]
        self.each("assign few", Command(few, most=10), layouts=((2, 0, "mpio"), (2, 1, "mpio")))
        self.each("assign --force", Command([*args, "--force"], self.old, most=12))

    def test_generate(self):
        self.each("generate --force", Command(["generate", "out.h5", "--customers", ROWS, "--quiet", "--force"], self.old,
                                              most=10))

    def test_import(self):
        args = ["import", self.inputs / "data.csv", "out.h5", "--id", "id", "--quiet", "--force"]
        self.each("import --force", Command(args, self.old, most=10), layouts=((1, 0, "mpio"), (2, 0, "mpio")))

    def test_plan(self):
        args = ["boundary", "plan", self.data, "--model", self.model, "--threads", 1, "--quiet", "--outcome", "spend", "--out",
                "plan", "--force"]
        self.each("plan", Command(args, most=10), layouts=((1, 0, "mpio"), (2, 1, "mpio"), (2, 0, "funnel")))

    def test_apply(self):
        """A moved model is a small file, written by rank 0."""
        args = ["boundary", "sweep", self.data, "--model", self.model, "--threads", 1, "--quiet", "--replicates", 0, "--apply",
                "out.h5", "--apply-segment", 0, "--apply-shift", 0.1, "--force"]
        for kind in (FULL, BROKEN):
            self.break_at_each("sweep --apply", Command(args, self.old, most=12), **kind)

    def test_stopped(self):
        """The one save of a run that is told to stop fails: exit code 5, and the older checkpoint serves."""
        again = self.fit("--resume", k="2:4")
        stop = {"DEMARC_STOP_AFTER": "6"}
        for label, prepare, args in (("first save", None, self.fit(k="2:4")), ("second save", self.interrupted, again)):
            self.each(label, Command(args, prepare, 12, again, stop, 75), layouts=((1, 0, "mpio"), (2, 0, "mpio")))

    def test_periodic(self):
        """A periodic save that fails is a warning; any other failure leaves a checkpoint to go on from."""
        args = self.fit("--checkpoint-every", "1e-6", "--max-epochs", 2)
        self.each("periodic saves", Command(args, None, 12, [*args, "--resume"]), layouts=((1, 0, "mpio"), (2, 1, "mpio")))


if __name__ == "__main__":
    sys.exit(t.main())
