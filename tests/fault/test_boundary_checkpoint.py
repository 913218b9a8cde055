"""An interrupted boundary test goes on from its checkpoint, on any layout, to the bytes of one that was never interrupted.

With DEMARC_STOP_AFTER=N edges are after every row block, and the N-th of them stops as a signal would; real signals are
tried besides. DEMARC_TEST_SEED chooses other layouts and edges.
"""
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

import boundary_data as b
import demarc_testing as t

ROWS, K = 40000, 4
HANG = 120
LAYOUTS = [(1, ["--threads", "2"]), (2, ["--threads", "1"]), (3, ["--threads", "1", "--memory-limit", "1M"]),
           (1, ["--threads", "3", "--memory-limit", "1M"])]
SWEEP = ["sweep", "data.h5", "--model", "model.h5", "--replicates", "200", "--json"]
WIDE = [*SWEEP, "--out", "critical.h5", "--apply", "moved.h5", "--apply-segment", "1", "--apply-shift", "0.15"]
REPLAY = ["replay", "data.h5", "--model", "model.h5", "--json", "--checkpoint", "replay"]
PLAN = ["plan", "data.h5", "--model", "model.h5", "--json", "--out", "plan", "--min-cell", "5", "--effect", "60"]
FILES = ["critical.h5", "moved.h5", "plan"]


class BoundaryCheckpoint(t.Case):
    @classmethod
    def setUpClass(cls):
        cls.inputs = pathlib.Path(tempfile.mkdtemp(prefix="demarc-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.inputs, ignore_errors=True)
        rng = np.random.default_rng(3)
        x, group = b.clusters(rng, ROWS, 3, K)
        x = np.round(2 * x) / 2  # many customers at one place: ids decide who moves
        b.write_model(cls.inputs / "model.h5", np.array([x[group == j].mean(0) for j in range(K)]))
        spend = rng.gamma(2.0, 20.0, ROWS) + 5 * group
        spend[rng.random(ROWS) < 0.1] = np.nan
        b.write_customers(cls.inputs / "data.h5", x.astype("f4"), {"visit": rng.random(ROWS) < 0.3, "spend": spend},
                          arm=(rng.integers(0, 3, ROWS), None), id=b.string_ids(ROWS, rng), weight=rng.integers(0, 3, ROWS).astype("f4"))
        cls.expected = {}

    def setUp(self):
        super().setUp()
        self.random = random.Random(f"{os.environ.get('DEMARC_TEST_SEED', '1')} {self.id()}")  # whichever tests run
        for name in ("data.h5", "model.h5"):
            os.link(self.inputs / name, self.tmp / name)

    def command(self, test, *more, layout=LAYOUTS[0]):
        command = [t.DEMARC, "boundary", *test, *more, *layout[1]]
        return command if layout[0] == 1 else ["mpirun", "-q", "--bind-to", "none", "-n", str(layout[0]), *command]

    def boundary(self, test, *more, layout=LAYOUTS[0], stop=None):
        env = {**os.environ, **({} if stop is None else {"DEMARC_STOP_AFTER": str(stop)})}
        return subprocess.run(self.command(test, *more, layout=layout), cwd=self.tmp, capture_output=True, text=True, env=env,
                              timeout=HANG)

    def finished(self, p):
        self.assertEqual(p.returncode, 0, f"{p.stdout}\n{p.stderr}")
        return p

    def stopped(self, p, by="DEMARC_STOP_AFTER"):
        self.assertEqual(p.returncode, 75, f"{p.stdout}\n{p.stderr}")
        self.assertRegex(p.stderr, rf"(?m)^demarc: stopped by {by}(, checkpoint (saved|kept): \.\S+\.checkpoint: run again with --resume"
                                   r"|: there was nothing to save yet: run again)$")
        self.assertEqual(p.stdout, "")

    def refused(self, code, pattern, p):
        self.assertEqual(p.returncode, code, f"{p.stdout}\n{p.stderr}")
        lines = [s for s in p.stderr.splitlines() if s.startswith("demarc: ") and "warning" not in s]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertRegex(lines[0], pattern)

    def hidden(self):
        return sorted(p.name for p in self.tmp.glob(".*"))

    def outcome(self, p):
        found = {"json": p.stdout}
        for file in ["critical.h5", "moved.h5", "plan/experiment.h5"]:
            if (self.tmp / file).exists():
                with h5py.File(self.tmp / file, "r") as f:
                    f.visititems(lambda k, v: found.__setitem__(f"{file}/{k}", v[()].tobytes() if v.dtype.kind != "O" else repr(list(v[()])))
                                 if isinstance(v, h5py.Dataset) else None)
        return found

    def clean(self):
        for p in [*self.tmp.glob(".*.checkpoint"), *[self.tmp / f for f in FILES]]:
            shutil.rmtree(p) if p.is_dir() else p.unlink(missing_ok=True)

    def reference(self, test):
        key = " ".join(test)
        if key not in self.expected:
            self.expected[key] = self.outcome(self.finished(self.boundary(test)))
            self.assertEqual(self.hidden(), [])
            self.clean()
        return self.expected[key]

    def check(self, test, p):
        want, got = self.reference(test), self.outcome(self.finished(p))
        self.assertEqual(want.keys(), got.keys())
        for key in want:
            self.assertEqual(want[key], got[key], key)
        self.assertEqual(self.hidden(), [], "something was left behind")

    def interrupted(self, test, steps):
        """One run in legs, each on another layout and stopped after so many edges, until one is not stopped."""
        self.reference(test)
        legs = 0
        for step in steps:
            p = self.boundary(test, *(["--resume"] if legs else []), layout=self.random.choice(LAYOUTS), stop=step)
            if p.returncode == 0:
                break
            self.stopped(p)
            legs += 1
        else:
            p = self.boundary(test, "--resume", layout=self.random.choice(LAYOUTS))
        self.check(test, p)
        self.clean()
        return legs


class EveryStep(BoundaryCheckpoint):
    def steps(self, low, high, most=60):
        return [self.random.randint(low, high) for _ in range(most)]

    def test_sweep(self):
        """Short legs, so that many steps are stopped; none of them is done again for ever."""
        legs = self.interrupted(WIDE, self.steps(9, 25))
        self.assertGreater(legs, 2)

    def test_sweep_once(self):
        for _ in range(4):
            self.assertEqual(self.interrupted(WIDE, [self.random.randint(2, 45)]), 1)

    def test_replay(self):
        self.assertGreater(self.interrupted(REPLAY, self.steps(8, 20)), 1)

    def test_plan(self):
        """The customers of a band are listed anew after each stop, so a leg must be longer than that pass."""
        self.assertGreater(self.interrupted(PLAN, self.steps(20, 32)), 1)

    def test_windows(self):
        """Replicates and sums in many windows and rounds, of other sizes on other layouts."""
        test = [*SWEEP, "--replicates", "900", "--checkpoint", "many", "--memory-limit", "1M"]
        self.assertGreater(self.interrupted(test, self.steps(20, 40)), 1)


class Places(BoundaryCheckpoint):
    def struck(self, test, number, checkpoint, layout=LAYOUTS[0]):
        """One run to which a signal is sent once it has saved; where the machine let it end before, another."""
        for _ in range(10):
            with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
                p = subprocess.Popen(self.command(test, "--checkpoint-every", "0.05", layout=layout), cwd=self.tmp, stdout=out, stderr=err)
                while not (self.tmp / checkpoint).exists() and p.poll() is None:
                    time.sleep(0.01)
                p.send_signal(number)
                p.wait(timeout=HANG)
                if p.returncode != 0:
                    out.seek(0), err.seek(0)
                    return subprocess.CompletedProcess([], p.returncode, out.read(), err.read())
            self.clean()
        self.fail("every run ended before the signal")

    def test_none(self):
        """Without a place nothing is written and a signal ends the program."""
        p = subprocess.Popen(self.command([*SWEEP, "--replicates", "100000"]), cwd=self.tmp, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(1)
        p.send_signal(signal.SIGTERM)
        p.communicate(timeout=HANG)
        self.assertEqual(p.returncode, -signal.SIGTERM)
        self.assertEqual(self.hidden(), [])
        self.refused(2, "no place for checkpoints: --resume: .*--checkpoint", self.boundary(SWEEP, "--resume"))

    def test_beside_outputs(self):
        for test, place in ((WIDE, ".critical.h5.checkpoint"), (PLAN, ".plan.checkpoint"), (REPLAY, ".replay.checkpoint"),
                            ([*REPLAY[:-2], "--apply", "moved.h5"], ".moved.h5.checkpoint")):
            with self.subTest(place):
                self.stopped(self.boundary(test, stop=5))
                self.assertEqual(self.hidden(), [place])
                self.clean()

    def test_signal(self):
        """A real one, at a moment nobody chose; the edge is not far."""
        test = [*SWEEP, "--replicates", "40000", "--checkpoint", "run"]
        self.reference(test)
        for number, layout in ((signal.SIGTERM, LAYOUTS[0]), (signal.SIGUSR1, LAYOUTS[1])):
            with self.subTest(number):
                p = self.struck(test, number, ".run.checkpoint/a", layout)
                self.stopped(p, by=signal.Signals(number).name)
                self.check(test, self.boundary(test, "--resume", layout=LAYOUTS[2]))

    def test_periodic(self):
        """Killed without warning: what the clock saved is gone on with; a dead run's temporary output goes."""
        test = [*SWEEP, "--replicates", "40000", "--out", "critical.h5"]
        self.reference(test)
        self.struck(test, signal.SIGKILL, ".critical.h5.checkpoint/a")
        self.assertEqual(len(self.hidden()), 2)
        again = self.boundary(test, "--resume", layout=LAYOUTS[1])
        self.assertIn("resumed: boundary sweep", again.stderr)
        self.check(test, again)


    def test_report_that_does_not_arrive(self):
        """Where the report is all there is, its checkpoint stays until somebody has read it."""
        for test, place in (([*SWEEP, "--checkpoint", "run"], ".run.checkpoint"), (REPLAY, ".replay.checkpoint")):
            with self.subTest(place):
                self.reference(test)
                with open("/dev/full", "w") as full:
                    p = subprocess.run(self.command(test, "--checkpoint-every", "1e-9"), cwd=self.tmp, stdout=full, stderr=subprocess.PIPE,
                                       text=True, timeout=HANG)
                self.assertEqual(p.returncode, 5, p.stderr)
                self.assertRegex(p.stderr, "(?m)^demarc: cannot write: standard output")
                self.assertEqual(self.hidden(), [place])
                p = self.boundary(test, "--resume", layout=LAYOUTS[1])
                self.assertIn("resumed: boundary", p.stderr)
                self.check(test, p)

    def caught(self, test, *more, at, again=None):
        """A run that is still at work once at(); where the machine let it end before, another."""
        for _ in range(10):
            p = subprocess.Popen(self.command(test, *more), cwd=self.tmp, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while p.poll() is None and not at():
                time.sleep(0.005)
            if p.poll() is None:
                return p
            self.clean()
            if again is not None:
                again()
        self.fail("every run ended before")

    def test_folder_removed(self):
        """A cleaner of hidden files: the next save makes the folder again."""
        test = [*SWEEP, "--replicates", "40000", "--checkpoint", "run"]
        self.reference(test)
        place, removed = self.tmp / ".run.checkpoint", []

        def made_again():
            if not removed and (place / "a").exists():
                place.rename(self.tmp / f"gone{time.monotonic_ns()}")
                removed.append(True)
            return removed and (place / "a").exists()

        p = self.caught(test, "--checkpoint-every", "0.02", at=made_again, again=removed.clear)
        p.kill()
        p.wait()
        again = self.boundary(test, "--resume", layout=LAYOUTS[1])
        self.assertIn("resumed: boundary sweep", again.stderr)
        self.check(test, again)

    def test_two_at_work(self):
        """The second run into the same place is refused at once, and the first one's checkpoints are whole."""
        test = [*SWEEP, "--replicates", "40000", "--checkpoint", "run"]
        self.reference(test)
        p = self.caught(test, "--checkpoint-every", "0", at=(self.tmp / ".run.checkpoint").exists)
        p.send_signal(signal.SIGSTOP)  # it is at work for as long as it is wanted
        self.refused(2, "another run is at work: .run.checkpoint is in use", self.boundary([*test, "--seed", "4"]))
        p.send_signal(signal.SIGTERM)
        p.send_signal(signal.SIGCONT)
        p.wait(timeout=HANG)
        self.assertEqual(p.returncode, 75)
        p = self.boundary(test, "--resume")
        self.check(test, p)

    def test_force_and_bad_input(self):
        """--force throws a checkpoint away when the new run is sure to begin, not before."""
        test = [*SWEEP, "--checkpoint", "run"]
        self.stopped(self.boundary(test, stop=12))
        self.refused(3, "no such file", self.boundary(["sweep", "nosuch.h5", *test[2:]], "--force"))
        self.check(test, self.boundary(test, "--resume"))


class Refusals(BoundaryCheckpoint):
    def setUp(self):
        super().setUp()
        self.test = [*SWEEP, "--checkpoint", "run"]
        self.reference(self.test)
        self.stopped(self.boundary(self.test, stop=12))
        self.before = self.files()

    def files(self):
        return {p.name: p.read_bytes() for p in (self.tmp / ".run.checkpoint").iterdir()}

    def test_without_resume(self):
        self.refused(2, "an interrupted run left a checkpoint: .*--resume", self.boundary(self.test))
        self.assertEqual(self.files(), self.before)
        self.check(self.test, self.boundary(self.test, "--force"))

    def test_other_options(self):
        for more, what in ((["--seed", "9"], "--seed was 0, is 9"), (["--shifts", "0.3"], "--shifts was not given, is 0.3"),
                           (["--alpha", "0.01"], "--alpha was 0.05"), (["--outcomes", "/other"], "--outcomes was not given")):
            self.refused(2, f"the checkpoint is of another boundary sweep: .*: {what}", self.boundary(self.test, "--resume", *more))
        replay = [*REPLAY[:-1], "run"]
        self.refused(2, r"the checkpoint is of another command: \.run\.checkpoint: demarc boundary sweep left it, this is boundary replay: ",
                     self.boundary(replay, "--resume"))
        p = subprocess.run([t.DEMARC, "fit", "data.h5", "--segments", "3", "--out", "run", "--resume"], cwd=self.tmp, capture_output=True, text=True)
        self.refused(2, "another command: .*: demarc boundary sweep left it, this is fit: ", p)
        self.assertEqual(self.files(), self.before)
        self.check(self.test, self.boundary(self.test, "--resume", "--id", "/id", "--outcomes", "outcomes"))

    def change(self, name, dataset, index, value):
        data = (self.tmp / name).read_bytes()
        (self.tmp / name).unlink()  # it is a link
        (self.tmp / name).write_bytes(data)
        with h5py.File(self.tmp / name, "r+") as f:
            f[dataset][index] = value

    def test_other_data(self):
        for name, dataset, index, value, what in (
                ("data.h5", "features", (5, 0), 99.0, "features or weights of the input"), ("data.h5", "outcomes", (7, 1), 1.0, "the outcomes"),
                ("data.h5", "id", 3, b"new", "the ids"), ("model.h5", "offsets", 0, 0.25, "the model")):
            with self.subTest(what):
                self.change(name, dataset, index, value)
                self.refused(2, f"of another boundary sweep: .*: {what} was", self.boundary(self.test, "--resume"))
                (self.tmp / name).unlink()
                os.link(self.inputs / name, self.tmp / name)
        self.assertEqual(self.files(), self.before)

    def test_columns_of_the_campaign(self):
        """A sweep does not read them, so it may neither refuse them nor mind when they change; a replay does."""
        self.change("data.h5", "arm", 3, -1)
        self.check(self.test, self.boundary(self.test, "--resume"))
        self.clean()
        self.change("data.h5", "arm", 3, 0)
        replay = [*REPLAY[:-1], "other"]
        self.stopped(self.boundary(replay, stop=12))
        self.change("data.h5", "arm", 3, 2)
        self.refused(2, "of another boundary replay: .*: the arms was", self.boundary(replay, "--resume"))

    def test_damaged(self):
        self.stopped(self.boundary(self.test, "--resume", stop=15))
        newest = max((self.tmp / ".run.checkpoint").iterdir(), key=lambda p: p.stat().st_mtime_ns)
        whole = newest.read_bytes()
        newest.write_bytes(whole[:-20] + bytes(255 - v for v in whole[-20:]))
        p = self.boundary(self.test, "--resume", layout=LAYOUTS[1])
        self.assertIn("damaged checkpoint", p.stderr)
        self.check(self.test, p)
        self.stopped(self.boundary(self.test, stop=12))
        for p in (self.tmp / ".run.checkpoint").iterdir():
            p.write_bytes(p.read_bytes()[:100])
        self.refused(3, "damaged checkpoint: .*no generation is whole", self.boundary(self.test, "--resume"))
        self.check(self.test, self.boundary(self.test, "--resume", "--force"))

    def test_none_left(self):
        self.clean()
        p = self.boundary(self.test, "--resume")
        self.assertIn("no checkpoint: run: starting from the beginning", p.stderr)
        self.check(self.test, p)

    def test_impossible(self):
        """A design that is refused leaves nothing, checkpoints included."""
        self.clean()
        p = self.boundary([*PLAN[:-1], "0.0001"], "--checkpoint-every", "1e-9")
        self.assertEqual(p.returncode, 4, p.stderr)
        self.assertEqual(self.hidden(), [])


class Finished(BoundaryCheckpoint):
    """--resume of a test whose outputs are there: its own are told from others', and are never made twice."""

    def stamps(self):
        return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in sorted(self.tmp.rglob("*")) if p.is_file()}

    def test_says_so(self):
        for test, name in ((WIDE, "critical.h5"), (PLAN, "plan")):
            with self.subTest(name):
                self.reference(test)
                self.finished(self.boundary(test))
                before = self.stamps()
                for layout in LAYOUTS[:3]:
                    p = self.boundary(test, "--resume", layout=layout)
                    self.assertIn(f"already finished: {name}", p.stderr)
                    self.assertNotIn("no checkpoint", p.stderr)
                    self.check(test, p)
                self.assertEqual(self.stamps(), before)
                self.clean()

    def test_killed_after_the_rename(self):
        """What it left beside its outputs goes; so do outputs of which some are missing, whose run goes on."""
        for test, name, lost in ((WIDE, "critical.h5", []), (PLAN, "plan", []), (WIDE, "critical.h5", ["critical.h5"])):
            with self.subTest(name, lost=lost):
                self.reference(test)
                place = self.tmp / f".{name}.checkpoint"
                self.stopped(self.boundary(test, stop=30))
                shutil.copytree(place, self.tmp / "kept")
                self.finished(self.boundary(test, "--resume"))
                shutil.move(self.tmp / "kept", place)
                for file in lost:
                    (self.tmp / file).unlink()
                self.refused(2, "an interrupted run left a checkpoint", self.boundary(test))
                p = self.boundary(test, "--resume", layout=LAYOUTS[1])
                self.assertIn(f"resumed: boundary {test[0]}" if lost else f"already finished: {name}", p.stderr)
                self.check(test, p)
                self.clean()

    def test_others(self):
        """By other options, from other data, of another program: they stay."""
        for test, name in ((WIDE, "critical.h5"), (PLAN, "plan")):
            with self.subTest(name):
                self.finished(self.boundary(test))
                before = self.stamps()
                self.refused(2, "^demarc: output exists: ", self.boundary(test))
                self.refused(2, "^demarc: output exists: ", self.boundary(test, "--resume", "--alpha", "0.02"))
                data = (self.tmp / "data.h5").read_bytes()
                (self.tmp / "data.h5").unlink()  # it is a link
                (self.tmp / "data.h5").write_bytes(data)
                with h5py.File(self.tmp / "data.h5", "r+") as f:
                    f["outcomes"][7, 1] = 1.5
                self.refused(2, f"^demarc: output exists: {name} was made from another model or other customers", self.boundary(test, "--resume"))
                after = self.stamps()
                for stamps in (before, after):
                    del stamps[self.tmp / "data.h5"]
                self.assertEqual(after, before)
                p = self.finished(self.boundary(test, "--resume", "--force"))
                self.assertNotIn("already finished", p.stderr)
                self.assertEqual(self.hidden(), [])
                (self.tmp / "data.h5").unlink()
                os.link(self.inputs / "data.h5", self.tmp / "data.h5")
                self.clean()
        (self.tmp / "plan").mkdir()
        self.refused(2, "^demarc: output exists: plan", self.boundary(PLAN, "--resume"))
        (self.tmp / "critical.h5").write_text("no HDF5")
        self.refused(2, "^demarc: output exists: critical.h5", self.boundary(WIDE, "--resume"))


if __name__ == "__main__":
    t.main()
