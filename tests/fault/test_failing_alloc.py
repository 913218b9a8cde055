"""The n-th allocation fails: exit code 5 on all ranks, one line, nothing left behind; under a sanitizer also no leak."""
import os
import shutil
import sys

import numpy as np

import demarc_testing as t
from experiment_files import outcomes_of, write_experiment, write_results
from failing import Command, Failing
from test_bad_input import launch

ROWS = 4096 + 300  # two blocks, so that two ranks have one each


class Alloc(Failing):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        def make(*args, **env):
            o = launch(args, cls.inputs, env=env)
            assert o.codes in ([0], [75]), str(o)
        make("generate", "data.h5", "--customers", ROWS, "--features", 3, "--segments", 3, "--arms", 2, "--outcomes", "--quiet")
        make("fit", "data.h5", "--segments", 3, "--out", "run", "--quiet")
        cls.data, cls.model = cls.inputs / "data.h5", cls.inputs / "run" / "model.h5"
        (cls.inputs / "stopped").mkdir()
        make("fit", cls.data, "--segments", "2:4", "--out", "stopped/run", "--quiet", DEMARC_STOP_AFTER="12")
        rng = np.random.default_rng(5)
        (cls.inputs / "data.csv").write_text("id,name,a,b,spend,group\n" + "".join(
            f'{i},"c{i}",{i % 7},{v:.3f},{i % 11}.5,{"xy"[i % 2]}\n' for i, v in enumerate(rng.normal(size=ROWS))))
        cls.experiment = cls.inputs / "e.h5"
        e = write_experiment(cls.experiment, 900, ((0, 1), (1, 2)))
        cls.results_file = write_results(cls.inputs / "results.h5", e["id"], outcomes_of(e, level=0.9, slope=0.4))

    def interrupted(self, cwd):
        shutil.copytree(self.inputs / "stopped", cwd, dirs_exist_ok=True)

    def commands(self, ranks):
        fit = ["fit", self.data, "--out", "run", "--quiet", "--threads", 1]
        boundary = [self.data, "--model", self.model, "--threads", 1, "--quiet"]
        return {
            "fit": Command([*fit, "--segments", 3], most=10**4 if ranks == 1 else 100),
            "fit streamed": Command([*fit, "--segments", 3, "--memory-limit", "1M"]),
            "fit exchanges": Command([*fit, "--segments", 200, "--batch-size", 1024, "--max-iterations", 12]),
            "fit LO:HI": Command([*fit, "--segments", "2:3", "--json"]),
            "fit resumed": Command([*fit, "--segments", "2:4", "--resume"], self.interrupted,
                                   again=[*fit, "--segments", "2:4", "--resume"]),
            "assign": Command(["assign", *boundary, "--out", "out.h5"]),
            "verify": Command(["verify", self.inputs / "run", "--quiet", "--threads", 1]),
            "generate": Command(["generate", "out.h5", "--customers", 5000, "--arms", 2, "--outcomes", "--quiet"]),
            "import": Command(["import", self.inputs / "data.csv", "out.h5", "--id", "name", "--outcomes", "spend", "--arm",
                               "group", "--quiet"]),
            "info": Command(["info", self.data]),
            "info results": Command(["info", self.inputs / "run"]),
            "sweep": Command(["boundary", "sweep", *boundary, "--replicates", 20, "--shifts", "0.1"]),
            "replay": Command(["boundary", "replay", *boundary, "--outcome", "spend"]),
            "plan": Command(["boundary", "plan", *boundary, "--outcome", "spend", "--out", "plan", "--force"]),
            "analyze": Command(["boundary", "analyze", self.experiment, self.results_file, "--outcome", "spend", "--pre",
                                "before", "--quiet", "--threads", 1]),
        }


def add_tests():
    """A test for every command on one rank, and on two with either failing."""
    def test(name, ranks, rank):
        return lambda self: self.break_at_each(name, self.commands(ranks)[name], ranks, rank)
    names = ["fit", "fit streamed", "fit exchanges", "fit LO:HI", "fit resumed", "assign", "verify", "generate", "import", "info",
             "info results", "sweep", "replay", "plan", "analyze"]
    for name in names:
        for ranks, rank in ((1, 0), (2, 0), (2, 1)):
            setattr(Alloc, f"test_{name.replace(' ', '_').replace(':', '_')}_{ranks}_{rank}", test(name, ranks, rank))


add_tests()

if __name__ == "__main__":
    sys.exit(t.main())
