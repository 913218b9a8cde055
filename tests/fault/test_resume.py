"""What --resume finds: a final pass half written, damaged or other checkpoints, results that are finished, or look so."""
import json
import os
import resource
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np

import demarc_testing as t
from test_checkpoint import Checkpoint, EARLY, FEATURES, FITS, HANG, LAYOUTS, ROWS


class FinalPass(Checkpoint):
    """Rows that were written before an interruption are kept: no layout writes them again, or misses one."""
    MANY = 1_200_000  # windows of 262,144 rows: 5 for one rank, 3 for each of two, 2 for each of three
    FIT = ["--segments", 5, "--algorithm", "lloyd", "--init", "random", "--max-iterations", 2]
    FIRST = 7  # edge before the first window: two early ones, two of seeding, two of passes before it

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(2)
        cls.data = cls.inputs / "many.h5"
        with h5py.File(cls.data, "w") as f:
            f["features"] = rng.normal(size=(cls.MANY, 2)).astype("f4")
            f["id"] = np.char.mod("c%d", np.arange(cls.MANY)).astype("S9")
            f["outcomes"] = rng.normal(size=(cls.MANY, 1))
            f["reachable"] = (rng.random((cls.MANY, 2)) < 0.5).astype("u1")
        FITS["many rows"] = cls.FIT

    def leg(self, *more, windows=None, layout=LAYOUTS[0], resumed=True):
        """One leg, stopped when every rank has done so many windows; its line about resuming."""
        before = EARLY if resumed else self.FIRST - 1
        p = self.fit(*self.FIT, *more, *(["--resume"] if resumed else []), layout=layout,
                     stop=None if windows is None else before + 1 + windows)
        if windows is None:
            self.finished(p)
        else:
            self.stopped(p)
        return p.stderr

    def temporary(self):
        """The one temporary results directory, and the inode of its assignments: another one is another file."""
        (folder,) = self.tmp.glob(".run.*.tmp")
        return folder.name, (folder / "assignments.h5").stat().st_ino

    def test_layouts(self):
        self.reference("many rows")
        for first in LAYOUTS:
            second, third = self.random.sample(LAYOUTS, 2)
            with self.subTest(first=first, second=second, third=third):
                self.clean()
                self.leg(layout=first, windows=1, resumed=False)
                kept = self.temporary()
                self.assertIn("from where that was stopped", self.leg(layout=second, windows=1 if second[0] == 1 else 0))
                self.assertEqual(self.temporary(), kept)
                self.assertIn("from where that was stopped", self.leg(layout=third))
                self.assertEqual((self.tmp / "run/assignments.h5").stat().st_ino, kept[1])
                self.check_same("many rows")
                self.assertEqual(t.run("verify", self.tmp / "run").returncode, 0)

    def test_rows_are_not_written_again(self):
        """Rows that were done are spoilt in between: they stay spoilt, so they were kept and not made again."""
        self.leg(windows=3, resumed=False)
        (folder,) = self.tmp.glob(".run.*.tmp")
        with h5py.File(folder / "assignments.h5", "r+") as f:
            f["segment"][[0, 3 * 262144 - 1]] = 77
            f["segment"][3 * 262144] = 78
        self.leg(layout=LAYOUTS[1])
        with h5py.File(self.tmp / "run/assignments.h5", "r") as f:
            segment = f["segment"][()]
        self.assertEqual(sorted(np.flatnonzero(segment >= 5)), [0, 3 * 262144 - 1])

    def test_killed(self):
        """Whatever was written after the last checkpoint is written again."""
        for layout in LAYOUTS[:2]:
            self.clean()
            self.leg(windows=1, resumed=False, layout=layout)
            kept = self.temporary()
            (folder,) = self.tmp.glob(".run.*.tmp")
            with h5py.File(folder / "assignments.h5", "r+") as f:
                f["segment"][self.MANY - 300000:] = 77
            self.leg(layout=LAYOUTS[3])
            self.assertEqual((self.tmp / "run/assignments.h5").stat().st_ino, kept[1])
            self.check_same("many rows")

    def test_not_kept(self):
        """Temporary results that are gone, of a changed file, or replaced: the pass is made anew."""
        def gone(folder):
            shutil.rmtree(folder)

        def link(folder):
            shutil.rmtree(folder)
            (self.tmp / "elsewhere").mkdir(exist_ok=True)
            folder.symlink_to("elsewhere")

        def cut(folder):
            os.truncate(folder / "assignments.h5", 5000)

        def touched(folder):
            os.utime(self.data)

        for how in (gone, link, cut, touched):
            with self.subTest(how.__name__):
                self.clean()
                self.leg(windows=1, resumed=False)
                (folder,) = self.tmp.glob(".run.*.tmp")
                how(folder)
                self.assertNotIn("from where", self.leg(layout=LAYOUTS[1]))
                self.check_same("many rows")

    def test_search_is_saved_before_it(self):
        """A disk that fills in the final pass costs that pass, not a long search; a short one is not worth a checkpoint."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        few = self.inputs / "few.h5"
        with h5py.File(few, "w") as f:
            f["features"] = self.x
        long = [*self.FIT, "--restarts", 60]
        for fit, data, every, saved in ((self.FIT, few, 3600, False), (long, self.data, 0, False), (long, self.data, 3600, True)):
            with self.subTest(fit, every=every):
                p = subprocess.run(self.command(*fit, "--checkpoint-every", every, data=data), cwd=self.tmp, preexec_fn=limit, capture_output=True, text=True, timeout=HANG)
                self.refused(5, "File too large|file size limit", p)
                self.assertEqual(self.hidden(), [".run.checkpoint"] if saved else [])
        p = self.finished(self.fit(*long, "--resume"))
        self.assertIn("resumed: the 5 segments are found", p.stderr)
        FITS["long search"] = long
        self.check_same("long search")

    def test_force(self):
        """Starting anew leaves nothing of the run before."""
        self.leg(windows=1, resumed=False)
        self.leg("--force", resumed=False)
        self.check_same("many rows")


class Files(Checkpoint):
    """What may have happened to checkpoint, options, input or output in the meantime."""
    FIT = FITS["restarts"]

    def begin(self, stop=20):
        self.clean()
        self.stopped(self.fit(*self.FIT, stop=stop))
        return self.tmp / ".run.checkpoint"

    def test_generations(self):
        folder = self.begin()
        self.assertEqual(folder.stat().st_mode & 0o7777, 0o700)
        self.stopped(self.fit(*self.FIT, "--resume", stop=30))
        self.assertEqual(sorted(p.name for p in folder.iterdir()), ["a", "b"])
        for damaged in ("a", "b"):
            for damage in ("flip", "cut", "gone"):
                with self.subTest(damaged=damaged, damage=damage):
                    kept = self.inputs / "kept"
                    shutil.copytree(folder, kept)
                    self.addCleanup(shutil.rmtree, kept, ignore_errors=True)
                    self.hurt(folder / damaged, damage)
                    p = self.finished(self.fit(*self.FIT, "--resume", layout=LAYOUTS[2]))
                    self.assertIn("resumed", p.stderr)
                    self.assertEqual("damaged checkpoint" in p.stderr, damage != "gone", p.stderr)
                    self.check_same("restarts")
                    self.clean()
                    shutil.move(kept, folder)
        for each in ("a", "b"):
            self.hurt(folder / each, "flip")
        self.refused(3, r"damaged checkpoint: \.run\.checkpoint", self.fit(*self.FIT, "--resume"))
        self.assertEqual(self.hidden(), [".run.checkpoint"])
        p = self.finished(self.fit(*self.FIT, "--resume", "--force"))
        self.assertNotIn("resumed", p.stderr)
        self.check_same("restarts")

    def hurt(self, path, how):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(content if how == "flip" else content[:-1])

    def test_other_options(self):
        self.begin()
        for change, pattern in ((["--seed", 1], "--seed was 0, is 1"), (["--tolerance", 1e-5], "--tolerance was"),
                                (["--segments", 7], "--segments was 6, is 7"),
                                (["--scale", "minmax"], "--scale was zscore, is minmax:"),
                                (["--missing", "mean"], "--missing was error, is mean:"),
                                (["--log1p", "f0"], "--log1p was not given, is f0"), (["--outcomes", "/weight"], "--outcomes"),
                                (["--batch-size", 513], "--batch-size was 512, is 513")):
            with self.subTest(change):
                for layout in LAYOUTS[:2]:
                    p = self.fit(*self.FIT, *change, "--resume", layout=layout)
                    self.refused(2, rf"the checkpoint is of another fit: \.run\.checkpoint: {pattern}", p)
        self.finished(self.fit(*self.FIT, "--resume", "--verbose", "--checkpoint-every", 5, "--kernel", "ref", "--store", "f32",
                               "--features", "/features", "--weight", "weight", "--outcomes", "/outcomes", "--reachable", "/reachable"))
        self.check_same("restarts")

    def test_long_values(self):
        """Of two long lists the part that differs is shown, and the order of their items is not a difference."""
        names = [f"f{i}" for i in range(FEATURES)]
        weights = [f"{name}=1.{'0' * 40}1" for name in names]
        other = [*weights[:6], "f6=2", weights[7]]
        self.stopped(self.fit(*self.FIT, "--feature-weights", ",".join(weights), stop=20))
        p = self.fit(*self.FIT, "--feature-weights", ",".join(other), "--resume")
        self.refused(2, r"--feature-weights was \.\.\.0*1,f6=1\.0.*, is \.\.\.0*1,f6=2,f7=1\.0", p)
        self.finished(self.fit(*self.FIT, "--feature-weights", ",".join(reversed(weights)), "--resume"))
        p = self.finished(self.fit(*self.FIT, "--feature-weights", ",".join(weights), "--resume"))
        self.assertIn("already finished", p.stderr)
        self.refused(2, r"made with other options: --feature-weights was .*f6=1\.0.*, is .*f6=2",
                     self.fit(*self.FIT, "--feature-weights", ",".join(other), "--resume"))

    def test_finished_with_other_options(self):
        """A refusal says what differs, and nothing of a beginning that does not follow."""
        self.finished(self.fit(*self.FIT, "--log1p", "f1,f0", "--scale", "none", data=self.positive()))
        for more, pattern in ((["--seed", 3], "other options: --seed was 0, is 3:"), (["--segments", "2:6"], "--segments was 6, is 2:6:"),
                              (["--scale", "robust"], "--scale was none, is robust:"), (["--missing", "mean"], "--missing was error, is mean:"),
                              (["--tolerance", 0.5], "--tolerance was 0.0001.*, is 0.5:"), (["--id", "/other"], "--id was not given, is /other:"),
                              (["--init", "random"], r"--init was kmeans\|\|, is random:"), (["--algorithm", "lloyd"], "--algorithm was minibatch, is lloyd:"),
                              (["--log1p", "f0"], "--log1p was f0,f1, is f0:")):
            with self.subTest(more):
                p = self.fit(*self.FIT, "--log1p", "f0,f1", "--scale", "none", *more, "--resume", data=self.positive())
                self.refused(2, f"output exists: run was made with .*{pattern} choose another name or add --force", p)
                self.assertNotIn("starting from the beginning", p.stderr)
        p = self.finished(self.fit(*self.FIT, "--log1p", "f0,f1", "--scale", "none", "--features", "/features", "--resume", data=self.positive()))
        self.assertIn("already finished", p.stderr)
        unknown = ["--log1p", "f0,f1", "--scale", "none", "--batch-size", "0", "--resume"]
        self.refused(2, "run was made with other options: choose another name", self.fit(*self.FIT, *unknown, data=self.positive()))

    def positive(self):
        path = self.inputs / "positive.h5"
        if not path.exists():
            with h5py.File(path, "w") as f:
                f["features"] = np.abs(self.x)
        return path

    def test_unreadable(self):
        """What only the permissions keep from being read is not damaged, and not thrown away."""
        folder = self.begin()
        if os.geteuid() == 0:
            self.skipTest("user 0 may read everything; tests/unit/test_checkpoint_file.c does without")
        (folder / "a").chmod(0)
        for more in ([], ["--force"]):
            self.refused(5, r"cannot read a checkpoint: \.run\.checkpoint: check its permissions: Permission denied",
                         self.fit(*self.FIT, "--resume", *more))
        (folder / "a").chmod(0o600)
        self.finished(self.fit(*self.FIT, "--resume"))
        self.check_same("restarts")

    def test_other_input(self):
        self.begin()
        other = self.inputs / "other.h5"
        for what, change, pattern in (("value", lambda f: f["features"].__setitem__((ROWS - 1, 2), 0.5), "the input was"),
                                      ("weight", lambda f: f["weight"].__setitem__(3, 9), "the input was"),
                                      ("names", lambda f: f["features"].attrs.__setitem__("feature_names", list("abcdefgh")),
                                       "the names or the scaling of the features was")):
            shutil.copy(self.data, other)
            with h5py.File(other, "r+") as f:
                change(f)
            with self.subTest(what):
                self.refused(2, rf"the checkpoint is of another fit: \.run\.checkpoint: {pattern}",
                             self.fit(*self.FIT, "--resume", data=other, layout=LAYOUTS[1]))
                self.assertEqual(self.hidden(), [".run.checkpoint"])
        shutil.copy(self.data, other)  # the same values under another name will do
        self.finished(self.fit(*self.FIT, "--resume", data=other))
        self.check_same("restarts")

    def test_init_file(self):
        init = self.inputs / "init.h5"
        fit = ["--segments", 3, "--algorithm", "lloyd", "--init", init]
        for value, code in ((0, 75), (1, 2), (0, 0)):
            with h5py.File(init, "w") as f:
                f["centroids"] = self.x[value:value + 3].astype("f8")
            p = self.fit(*fit, *(["--resume"] if code != 75 else []), stop=6 if code == 75 else None)
            self.assertEqual(p.returncode, code, p.stderr)
            if code == 2:
                self.assertIn("the file of --init was", p.stderr)

    def test_without_resume(self):
        """A checkpoint is neither ignored nor lost by a command that does not ask for it."""
        self.begin()
        self.refused(2, r"an interrupted run left a checkpoint: \.run\.checkpoint: add --resume .* or --force",
                     self.fit(*self.FIT, layout=LAYOUTS[1]))
        self.assertEqual(self.hidden(), [".run.checkpoint"])
        p = self.finished(self.fit(*self.FIT, "--dry-run"))
        self.assertEqual(self.hidden(), [".run.checkpoint"])
        p = self.finished(self.fit(*self.FIT, "--force"))
        self.assertNotIn("resumed", p.stderr)
        self.check_same("restarts")

    def test_nothing_to_resume(self):
        p = self.finished(self.fit(*self.FIT, "--resume", layout=LAYOUTS[1]))
        self.assertEqual(p.stderr.splitlines()[0], "no checkpoint: run: starting from the beginning")
        self.check_same("restarts")
        self.assertEqual(json.loads((self.tmp / "run/manifest.json").read_text())["resumes"], 0)

    def test_already_finished(self):
        first = self.finished(self.fit(*self.FIT))
        before = {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (self.tmp / "run").iterdir()}
        for more in ([], ["--force"], ["--json"]):
            for layout in (LAYOUTS[0], LAYOUTS[2]):
                with self.subTest(more, layout=layout):
                    p = self.finished(self.fit(*self.FIT, "--resume", *more, layout=layout))
                    self.assertEqual(p.stderr.splitlines()[-1], "already finished: run")
                    text = (self.tmp / "run/diagnostics.json").read_text() if more == ["--json"] else first.stdout
                    self.assertEqual(p.stdout, text)
        self.assertEqual({p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in (self.tmp / "run").iterdir()}, before)
        self.assertEqual(self.hidden(), [])
        # Of other options or another input they are an output that exists.
        self.refused(2, "output exists: run", self.fit(*self.FIT, "--resume", "--seed", 5))
        other = self.inputs / "changed.h5"
        shutil.copy(self.data, other)
        with h5py.File(other, "r+") as f:
            f["features"][5, 5] = 1
        self.refused(2, "output exists: run was made from another input", self.fit(*self.FIT, "--resume", data=other))
        self.assertEqual(self.hidden(), [])
        # Ids and outcomes have no digest of their own here: the file's time tells.
        again = self.inputs / "written-again.h5"
        shutil.copy(self.data, again)
        with h5py.File(again, "r+") as f:
            f["outcomes"][5, 1] = 99
        self.refused(2, "output exists: run may be of another input", self.fit(*self.FIT, "--resume", data=again))
        self.as_old_as(again, self.data, earlier=10**9)  # as mv and rsync -a bring it
        self.refused(2, r"may be of another input: the time of .* is .*Z, was .*Z: .*--force", self.fit(*self.FIT, "--resume", data=again))
        m = json.loads((self.tmp / "run/manifest.json").read_text())
        modified = np.datetime64(m["input"]["modified"].rstrip("Z"), "ns").astype(int)
        self.assertEqual(modified, self.data.stat().st_mtime_ns)
        # A manifest from before that was recorded goes by the time of its own.
        del m["input"]["modified"]
        manifest = (self.tmp / "run/manifest.json").read_text()
        (self.tmp / "run/manifest.json").write_text(json.dumps(m))
        self.finished(self.fit(*self.FIT, "--resume", data=again))
        os.utime(again)
        self.refused(2, "was written after it", self.fit(*self.FIT, "--resume", data=again))
        (self.tmp / "run/manifest.json").write_text(manifest)
        # A forced run that was interrupted goes on, and is not begun anew because results are there.
        self.stopped(self.fit(*self.FIT, "--force", data=other, stop=12))
        p = self.finished(self.fit(*self.FIT, "--resume", "--force", data=other, layout=LAYOUTS[1]))
        self.assertIn("resumed: ", p.stderr)
        self.assertNotEqual(self.outcome(self.tmp / "run"), self.reference("restarts"))
        self.finished(self.fit(*self.FIT, "--resume", "--force", "--seed", 0))
        self.check_same("restarts")

    def as_old_as(self, path, other, earlier=0):
        s = other.stat()
        os.utime(path, ns=(s.st_atime_ns, s.st_mtime_ns - earlier))

    def test_changed_while_it_is_read(self):
        """What is written to the input once the fit has opened it is not what the results are of."""
        data = self.inputs / "growing.h5"
        shutil.copy(self.data, data)
        p = subprocess.Popen(self.command(*self.FIT, "--restarts", 40, "--threads", 1, data=data), cwd=self.tmp, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.stderr.close)
        while p.poll() is None and not list(self.tmp.glob(".run.*.tmp")):
            time.sleep(0.01)
        time.sleep(0.1)
        os.utime(data)
        self.assertEqual((p.wait(HANG), p.stderr.read()), (0, ""))
        self.refused(2, "may be of another input", self.fit(*self.FIT, "--restarts", 40, "--resume", data=data))

    def test_finished_but_not_whole(self):
        """Results that lost a file, or part of one, are not taken for finished; --force makes them again."""
        self.finished(self.fit(*self.FIT))
        self.finished(self.fit(*self.FIT, "--seed", 9, out="other"))
        shutil.move(self.tmp / "run", self.inputs / "whole")
        self.addCleanup(shutil.rmtree, self.inputs / "whole")

        def cut(path):
            os.truncate(path, 1000 if path.suffix == ".h5" else 100)

        def swap(path):
            shutil.copy(self.tmp / "other" / path.name, path)

        def shorten(path):
            with h5py.File(path, "r+") as f:
                rows = f["margin"][1:]
                del f["margin"]
                f["margin"] = rows

        def all_shorter(path):
            with h5py.File(path, "r+") as f:
                for name in list(f):
                    rows = f[name][1:]
                    del f[name]
                    f[name] = rows

        def forget(path):
            with h5py.File(path, "r+") as f:
                del f["centroids"]

        for name, how, said in (("model.h5", os.remove, "missing"), ("model.h5", cut, "damaged"), ("model.h5", forget, "damaged"),
                                ("model.h5", swap, "of another fit"), ("assignments.h5", os.remove, "missing"),
                                ("assignments.h5", cut, "damaged"), ("assignments.h5", shorten, "damaged"),
                                ("assignments.h5", all_shorter, "of another fit"), ("diagnostics.json", os.remove, "missing"),
                                ("diagnostics.json", cut, "damaged"), ("diagnostics.json", swap, "of another fit"),
                                ("manifest.json", os.remove, "missing"), ("manifest.json", cut, "damaged")):
            shutil.rmtree(self.tmp / "run", ignore_errors=True)
            shutil.copytree(self.inputs / "whole", self.tmp / "run")
            how(self.tmp / "run" / name)
            layout = self.random.choice(LAYOUTS)
            with self.subTest(name, how=how.__name__, layout=layout):
                self.refused(3, f"results are not whole: run/{name} is {said}: add --force to make them again$",
                             self.fit(*self.FIT, "--resume", layout=layout))
                p = self.finished(self.fit(*self.FIT, "--resume", "--force", layout=layout))
                self.assertNotIn("already finished", p.stderr)
                self.check_same("restarts")
                p = self.finished(self.fit(*self.FIT, "--resume", layout=layout))
                self.assertIn("already finished", p.stderr)

    def test_manifest(self):
        self.begin()
        self.stopped(self.fit(*self.FIT, "--resume", stop=12))
        self.finished(self.fit(*self.FIT, "--resume", layout=LAYOUTS[1]))
        m = json.loads((self.tmp / "run/manifest.json").read_text())
        self.assertEqual((m["resumes"], m["layout"]["ranks"], m["options"]["resume"]), (2, 2, True))

    def test_folder_in_the_way(self):
        (self.tmp / ".run.checkpoint").write_text("precious")
        self.refused(2, r"in the way of checkpoints: \.run\.checkpoint", self.fit(*self.FIT))
        self.assertEqual((self.tmp / ".run.checkpoint").read_text(), "precious")

    def test_impossible(self):
        """A fit that can never be done keeps no checkpoint."""
        fit = ["--segments", 6, "--min-segment-share", 0.16, "--algorithm", "lloyd", "--max-iterations", 3]
        self.stopped(self.fit(*fit, stop=8))
        p = self.fit(*fit, "--resume")
        self.refused(4, "min-segment-share", p)
        self.assertEqual(self.hidden(), [])


if __name__ == "__main__":
    t.main()
