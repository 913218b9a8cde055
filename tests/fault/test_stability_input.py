"""Stability on bad and unusual input: one error line, the right exit code, nothing left behind; and on signals."""
import os
import signal
import subprocess
import time

import numpy as np

import demarc_testing as t


class Stability(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.x = np.vstack([rng.normal(size=(700, 3)), rng.normal(size=(500, 3)) + 2])
        self.path = self.write("x.h5", self.x, names=["a", "b", "c"])
        self.ok("fit", self.path, "--segments", 3, "--out", self.tmp / "run", "--quiet")
        self.model = self.tmp / "run" / "model.h5"

    def refuses(self, code, pattern, *options, path=None, ranks=1):
        before = sorted(os.listdir(self.tmp))
        self.fails(code, pattern, "stability", path or self.path, *options, ranks=ranks)
        self.assertEqual(sorted(os.listdir(self.tmp)), before)

    def test_options(self):
        model = ("--model", self.model)
        self.refuses(2, "--model")
        for option, value in (("--replicates", 1), ("--replicates", -1), ("--level", 0), ("--level", 1),
                              ("--level", "nan"), ("--polish", -1), ("--across", "0:3"), ("--across", "5:3"),
                              ("--across", "x")):
            self.refuses(2, option, *model, option, value)
        self.refuses(2, "--replicates", *model, "--replicates", 1, ranks=2)
        self.refuses(2, "one name", *model, "--out", self.tmp / "o", "--probabilities", self.tmp / "o")
        self.refuses(4, "fewer customers", *model, "--across", "2:1201", ranks=2)

    def test_outputs(self):
        taken = self.tmp / "taken"
        taken.write_text("mine")
        for option in ("--out", "--probabilities"):
            base = ("--model", self.model, "--replicates", 2, option)
            self.refuses(2, "exists", *base, taken)
            self.refuses(2, "input", *base, self.path, "--force")
            self.refuses(2, "input", *base, self.model, "--force")
            self.refuses(5, "absent", *base, self.tmp / "absent" / "o", ranks=2)
            self.assertEqual(taken.read_text(), "mine")
        self.ok("stability", self.path, "--model", self.model, "--replicates", 2, "--out", taken, "--force")
        self.assertNotEqual(taken.read_text(), "mine")

    def test_dry_run_writes_nothing(self):
        before = sorted(os.listdir(self.tmp))
        p = self.ok("stability", self.path, "--model", self.model, "--dry-run", "--out", self.tmp / "o")
        self.assertIn("dry run", p.stdout)
        self.assertEqual(sorted(os.listdir(self.tmp)), before)

    def test_other_features(self):
        other = self.write("other.h5", self.x[:, :2], names=["a", "b"])
        self.refuses(3, "c", "--model", self.model, path=other, ranks=2)
        self.refuses(3, "absent", "--model", self.tmp / "absent.h5")

    def test_fewer_customers_than_segments(self):
        few = self.write("few.h5", self.x[:3], names=["a", "b", "c"])
        self.refuses(4, "fewer customers than segments: replicate", "--model", self.model, path=few)
        self.refuses(4, "fewer customers than segments: replicate", "--model", self.model, path=few, ranks=2)

    def test_one_segment_and_equal_customers(self):
        self.ok("fit", self.path, "--segments", 1, "--out", self.tmp / "one", "--quiet")
        p = self.ok("stability", self.path, "--model", self.tmp / "one" / "model.h5", "--replicates", 3, "--across", "1:2")
        self.assertIn("highly stable", p.stdout)
        same = self.write("same.h5", np.ones((50, 3)), names=["a", "b", "c"])
        self.ok("stability", same, "--model", self.model, "--replicates", 3, "--polish", 1)

    def test_a_signal_stops_it(self):
        """Within a pass, with one line, and nothing is left behind."""
        rng = np.random.default_rng(2)
        big = self.write("big.h5", rng.normal(size=(150000, 3)).astype(np.float32), names=["a", "b", "c"])
        before = sorted(os.listdir(self.tmp))
        for ranks in (1, 2):
            command = [t.DEMARC, "stability", big, "--model", self.model, "--replicates", "5000", "--out", self.tmp / "o",
                       "--probabilities", self.tmp / "p"]
            if ranks > 1:
                command = ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), *command]
            p = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 60
            while not any(name not in before for name in os.listdir(self.tmp)) and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.5)
            p.send_signal(signal.SIGTERM if ranks == 1 else signal.SIGUSR1)  # mpirun passes the latter on
            _, err = p.communicate(timeout=120)
            self.assertEqual(p.returncode, 75, err)
            self.assertRegex(err, r"(?m)^demarc: stopped by SIG\w+: .*run again$")
            self.assertEqual(sorted(os.listdir(self.tmp)), before)


if __name__ == "__main__":
    t.main()
