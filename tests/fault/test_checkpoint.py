"""An interrupted fit goes on from its checkpoint, on any layout, to the bytes of one that was never interrupted.

DEMARC_STOP_AFTER=N stops a fit at the N-th edge (between two passes, or two windows of the final pass) as a signal would,
so every phase is met without a race; real signals are tried besides. DEMARC_TEST_SEED chooses other layouts and edges.
"""
import hashlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time

import h5py
import numpy as np

import demarc_testing as t

ROWS, FEATURES = 60000, 8
EARLY = 2  # edges before there is anything to save
HANG = 120
LAYOUTS = [(1, ["--threads", "2"]), (2, ["--threads", "1"]), (3, ["--threads", "1", "--memory-limit", "1M"]),
           (1, ["--threads", "3", "--memory-limit", "1M"]), (2, ["--threads", "2", "--io", "funnel"])]
FITS = {  # what brings a fit through each of its phases
    "lloyd": ["--segments", 6, "--algorithm", "lloyd", "--restarts", 3, "--init", "random", "--max-iterations", 8],
    "mini-batches": ["--segments", 6, "--batch-size", 512, "--polish", 1],
    "restarts": ["--segments", 6, "--batch-size", 512, "--restarts", 2],
    "k-means++": ["--segments", 4, "--init", "kmeans++", "--batch-size", 1000, "--polish", 2],
    "range": ["--segments", "2:4", "--batch-size", 2000],
    "share": ["--segments", 5, "--min-segment-share", 0.09, "--init", "random", "--algorithm", "lloyd", "--max-iterations", 6],
    "exchanges": ["--segments", 150, "--batch-size", 8192, "--max-iterations", 60],
    "no polish": ["--segments", 5, "--polish", 0, "--batch-size", 600, "--restarts", 2, "--min-segment-share", 0.08],
}


class Checkpoint(t.Case):
    @classmethod
    def setUpClass(cls):
        cls.inputs = pathlib.Path(tempfile.mkdtemp(prefix="demarc-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.inputs, ignore_errors=True)
        rng = np.random.default_rng(1)
        centers = 2 * rng.normal(size=(7, FEATURES))
        member = rng.choice(7, size=ROWS, p=[0.3, 0.25, 0.2, 0.1, 0.07, 0.05, 0.03])
        cls.x = (centers[member] + rng.normal(size=(ROWS, FEATURES))).astype("f4")
        cls.data = cls.inputs / "data.h5"
        with h5py.File(cls.data, "w") as f:
            f["features"] = cls.x
            f["weight"] = rng.integers(0, 4, ROWS).astype("f4")
            f["outcomes"] = rng.normal(size=(ROWS, 2))
            f["reachable"] = (rng.random((ROWS, 3)) < 0.5).astype("u1")
        cls.random = random.Random(int(os.environ.get("DEMARC_TEST_SEED", "1")))
        cls.expected = {}

    def fit(self, *more, layout=LAYOUTS[0], stop=None, data=None, out="run"):
        env = {**os.environ, **({} if stop is None else {"DEMARC_STOP_AFTER": str(stop)})}
        command = self.command(*more, *layout[1], ranks=layout[0], data=data, out=out)
        return subprocess.run(command, cwd=self.tmp, capture_output=True, text=True, env=env, timeout=HANG)

    def command(self, *more, ranks=1, data=None, out="run"):
        command = [t.DEMARC, "fit", str(data or self.data), "--out", str(out), *map(str, more)]
        return command if ranks == 1 else ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), *command]

    def stopped(self, p, by="DEMARC_STOP_AFTER"):
        self.assertEqual(p.returncode, 75, f"{p.stdout}\n{p.stderr}")
        self.assertRegex(p.stderr, rf"(?m)^demarc: stopped by {by}, checkpoint (saved|kept): \.run\.checkpoint: run again with --resume$")
        self.assertEqual(p.stdout, "")

    def stopped_early(self, p):
        """Before there was anything to save."""
        self.assertEqual(p.returncode, 75, f"{p.stdout}\n{p.stderr}")
        self.assertRegex(p.stderr, r"(?m)^demarc: stopped by DEMARC_STOP_AFTER: there was nothing to save yet: run again$")
        self.assertEqual(p.stdout, "")

    def refused(self, code, pattern, p):
        self.assertEqual(p.returncode, code, f"{p.stdout}\n{p.stderr}")
        lines = [s for s in p.stderr.splitlines() if s.startswith("demarc: ") and "warning" not in s]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertRegex(lines[0], pattern)

    def finished(self, p):
        self.assertEqual(p.returncode, 0, f"{p.stdout}\n{p.stderr}")
        return p

    def reference(self, name):
        """What outcome() says of an uninterrupted run."""
        if name not in self.expected:
            folder = self.inputs / name.replace(" ", "-")
            self.finished(self.fit(*FITS[name], out=folder))
            self.expected[name] = self.outcome(folder)
        return self.expected[name]

    def outcome(self, folder):
        """Digests of diagnostics.json and of every dataset."""
        found = {"diagnostics.json": (pathlib.Path(folder) / "diagnostics.json").read_bytes()}
        for file in ("model.h5", "assignments.h5"):
            with h5py.File(pathlib.Path(folder) / file, "r") as f:
                f.visititems(lambda k, v: found.__setitem__(f"{file}/{k}", self.bytes_of(v)))
        return {k: hashlib.sha256(v).hexdigest()[:16] for k, v in found.items()}

    def bytes_of(self, v):
        if not isinstance(v, h5py.Dataset):
            return b""
        return repr(list(v[()])).encode() if v.dtype.kind == "O" else v[()].tobytes()

    def check_same(self, name, folder="run"):
        self.assertEqual(self.outcome(self.tmp / folder), self.reference(name))
        self.assertEqual(self.hidden(), [], "something was left behind")

    def hidden(self):
        return sorted(p.name for p in self.tmp.glob(".*"))

    def clean(self):
        for p in [*self.tmp.glob(".run*"), *self.tmp.glob("run*")]:
            shutil.rmtree(p)


class EveryPhase(Checkpoint):
    def sweep(self, name, most=6):
        """Stops at edges all along the fit, some legs more than one in a row; each leg on another layout."""
        self.reference(name)
        edges = self.count_edges(name)
        phases = set()
        for n in sorted({2, 3, edges, *self.random.sample(range(1, edges + 1), min(most, edges))}):
            legs = [n] if n % 3 else [n // 2, self.random.randint(3, 6)]  # in a later leg the first two are before the search
            self.clean()
            with self.subTest(name, legs=legs, of=edges):
                done = False
                for leg, stop in enumerate(legs):
                    p = self.fit(*FITS[name], *(["--resume"] if leg else []), layout=self.random.choice(LAYOUTS), stop=stop)
                    done = p.returncode == 0
                    if done:
                        break
                    if stop <= EARLY and leg == 0:
                        self.stopped_early(p)
                        self.assertEqual(self.hidden(), [], "nothing stays")
                    else:
                        self.stopped(p)
                        self.assertEqual(self.hidden(), [".run.checkpoint"], "only the checkpoint stays")
                p = self.fit(*FITS[name], "--resume", layout=self.random.choice(LAYOUTS))
                self.finished(p)
                phases.update(s.rsplit(",", 1)[0].split(", ")[-1] for s in p.stderr.splitlines() if s.startswith("resumed"))
                self.check_same(name)
        return phases

    def count_edges(self, name):
        """The largest N that stops the fit, by bisection."""
        low, high = 1, 2000
        while low < high:
            middle = (low + high + 1) // 2
            self.clean()
            p = self.fit(*FITS[name], stop=middle)
            low, high = (middle, high) if p.returncode == 75 else (low, middle - 1)
        self.clean()
        self.assertGreater(low, 10)
        return low

    def test_lloyd(self):
        self.assertIn("full passes", self.sweep("lloyd"))

    def test_minibatch(self):
        self.assertIn("mini-batches", self.sweep("mini-batches", most=8))

    def test_restarts(self):
        self.sweep("restarts")

    def test_seeding(self):
        self.assertIn("seeding", self.sweep("k-means++"))

    def test_range(self):
        self.sweep("range")

    def test_share(self):
        self.sweep("share", most=10)
        passes = json.loads((self.inputs / "share/diagnostics.json").read_text())["iterations"]
        self.assertGreater(passes, 6, "no segment was ever split")

    def test_exchanges(self):
        self.assertIn("exchanges", self.sweep("exchanges"))

    def test_no_polish(self):
        self.sweep("no polish")


class Signals(Checkpoint):
    LONG = ["--segments", "2:60", "--restarts", 30, "--algorithm", "lloyd", "--tolerance", 0]

    def start(self, *more, ranks=1):
        command = self.command(*self.LONG, *more, "--threads", 1, ranks=ranks)
        p = subprocess.Popen(command, cwd=self.tmp, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
        for f in (p.stdout, p.stderr):
            self.addCleanup(f.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def wait_for(self, pattern, p):
        deadline = time.monotonic() + HANG
        while time.monotonic() < deadline and p.poll() is None:
            if list(self.tmp.glob(pattern)):
                return
            time.sleep(0.02)
        self.fail(f"no {pattern}: {p.poll()}")

    def end(self, p):
        out, err = p.communicate(timeout=HANG)
        return subprocess.CompletedProcess(p.args, p.returncode, out, err)

    def test_each_signal(self):
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            with self.subTest(signum):
                self.clean()
                p = self.start()
                self.wait_for(".run.*.tmp", p)
                time.sleep(self.random.uniform(0.3, 0.8))
                p.send_signal(signum)
                self.stopped(self.end(p), signum.name)
                self.assertEqual(self.hidden(), [".run.checkpoint"])

    def test_before_it_begins(self):
        """A signal that came before the program can do anything about it (here: it was held back across exec) counts."""
        def early():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
            os.kill(os.getpid(), signal.SIGUSR1)

        fit = [t.DEMARC, "fit", str(self.data), "--segments", "2", "--out", "run"]
        p = subprocess.run(fit, cwd=self.tmp, capture_output=True, text=True, preexec_fn=early, timeout=HANG)
        self.assertEqual(p.returncode, 75, p.stderr)
        self.assertRegex(p.stderr, "stopped by SIGUSR1: there was nothing to save yet: run again")
        self.assertEqual(self.hidden(), [])
        p = subprocess.run([t.DEMARC, "info", str(self.data)], cwd=self.tmp, capture_output=True, preexec_fn=early, timeout=HANG)
        self.assertEqual(p.returncode, -signal.SIGUSR1)

    def test_died_early(self):
        """A run killed before its first checkpoint leaves temporary results that no checkpoint names: the next one sweeps
        them, not those of a run at work, of another output or what only looks like them."""
        spared = [".run.abcdef.tmp", ".runner.abcdef.tmp", ".run.abc.tmp", ".run.ABCDEF.tmp"]
        (self.tmp / spared[0]).write_text("a file")
        for name in spared[1:]:
            (self.tmp / name).mkdir()
        alive, others = self.start_another(set(spared))
        shutil.rmtree(self.tmp / ".run.checkpoint")  # a cleaner of hidden files: the next run would be refused otherwise
        for more in ([], ["--resume"]):
            killed, those = self.start_another(others)
            killed.kill()
            self.end(killed)
            self.assertEqual(self.temporaries(), those)
            self.finished(self.fit("--segments", 2, "--algorithm", "lloyd", "--force", *more))
            self.assertEqual(self.temporaries(), others)
        alive.kill()
        self.end(alive)
        self.finished(self.fit("--segments", 2, "--algorithm", "lloyd", "--resume"))  # finished already, and yet
        self.assertEqual(self.temporaries(), set(spared))

    def temporaries(self):
        return {p.name for p in self.tmp.glob(".run*.tmp")}

    def start_another(self, others):
        """A fit without checkpoints that has its temporary results; all there are now."""
        p = self.start("--checkpoint-every", 0, "--force")
        deadline = time.monotonic() + HANG
        while self.temporaries() == others and p.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(len(self.temporaries()), len(others) + 1)
        return p, self.temporaries()

    def test_mpirun_passes_on(self):
        """SIGUSR1 to the launcher stops all ranks, however long the edge is away; all exit with 75."""
        p = self.start(ranks=3)
        self.wait_for(".run.*.tmp", p)
        time.sleep(1)
        p.send_signal(signal.SIGUSR1)
        self.stopped(self.end(p), "SIGUSR1")
        self.assertEqual(self.hidden(), [".run.checkpoint"])

    def test_killed(self):
        """SIGKILL leaves a periodic checkpoint and temporary results; --resume and --force both clear up."""
        for how in ("--resume", "--force"):
            with self.subTest(how):
                self.clean()
                p = self.start("--checkpoint-every", 0.2)
                self.wait_for(".run.checkpoint/b", p)
                p.kill()
                self.end(p)
                self.assertEqual(len(self.hidden()), 2, "the checkpoint and temporary results")
                p = self.fit(*self.LONG, how, stop=30 if how == "--force" else 8)
                self.stopped(p)
                self.assertEqual("resumed" in p.stderr, how == "--resume", p.stderr)
                self.assertEqual(self.hidden(), [".run.checkpoint"])

    def test_two_runs(self):
        """A run that is alive keeps its checkpoint and its temporary results."""
        p = self.start("--checkpoint-every", 0.2)
        self.wait_for(".run.checkpoint/a", p)
        for how in ("--resume", "--force"):
            self.refused(2, r"another run is at work: \.run\.checkpoint", self.fit(*self.LONG, how))
        self.assertEqual(len(self.hidden()), 2)
        p.send_signal(signal.SIGTERM)
        self.stopped(self.end(p), "SIGTERM")

    def test_same_bytes(self):
        """Stopped by the clock again and again, at moments nobody chose."""
        fit = ["--segments", "2:9", "--restarts", 4, "--batch-size", 1000, "--tolerance", 0]
        self.finished(self.fit(*fit, out="whole"))
        legs = 0
        while True:
            self.LONG = fit
            p = self.start(*(["--resume"] if legs else []), ranks=1 + legs % 2)
            time.sleep(self.random.uniform(0.6, 1.5))
            if p.poll() is None:
                p.send_signal(signal.SIGUSR1)
            e = self.end(p)
            legs += 1
            if e.returncode == 0:
                break
            self.assertIn(e.returncode, (75, -signal.SIGUSR1, 128 + signal.SIGUSR1, 138), e.stderr)  # before it handles signals
            self.assertLess(legs, 100)
        self.assertEqual(self.outcome(self.tmp / "run"), self.outcome(self.tmp / "whole"))
        self.assertEqual(self.hidden(), [])


if __name__ == "__main__":
    t.main()
