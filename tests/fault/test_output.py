"""Output appears whole or not at all, inputs stay as they are, whatever the disk, the names or a signal do.

Full and read-only disks are small tmpfs mounts in a mount namespace of this script's own; where the system permits
none, those tests are skipped.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

import demarc_testing as t
from test_bad_input import BLOCK, ROWS, launch, snapshot, stamps
import test_bad_input as bad

NAMESPACE = "DEMARC_TEST_NAMESPACE"  # set in the copy of this script that has its own mounts: 1, or its folder for Open MPI
RESULTS = ["assignments.h5", "diagnostics.json", "manifest.json", "model.h5"]
TO_FULL = """set -- sh -c 'exec "$@" >/dev/full' x "$@" """


def enter_namespace():
    """Run again where tmpfs can be mounted without a trace outside; returns where that is not permitted."""
    if NAMESPACE in os.environ:
        return
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    probe = "mount -t tmpfs -o size=64k tmpfs /tmp"
    try:
        p = subprocess.run([*unshare, "sh", "-c", probe], capture_output=True)
    except FileNotFoundError:
        return
    if p.returncode == 0:
        sys.stdout.flush()
        os.environ[NAMESPACE] = "1"
        if os.geteuid() != 0:  # user 0 in there, but Open MPI's folder of user 0 in /tmp is the real one's
            os.environ[NAMESPACE] = os.environ["OMPI_MCA_orte_tmpdir_base"] = tempfile.mkdtemp(prefix="demarc-ompi-")
        os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


class Output(bad.Fault):
    """Small inputs that every test may read and none may change."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(3)
        cls.x = rng.normal(size=(ROWS, 3)).astype("f4")
        cls.data = cls.customers("data.h5", cls.x)
        cls.csv = cls.inputs / "data.csv"
        cls.csv.write_text("id,a,b\n" + "".join(f"{i},{i % 7},{i % 11}.5\n" for i in range(3000)))
        o = launch(["fit", cls.data, "--segments", "2", "--out", cls.inputs / "run", "--quiet"], cls.inputs)
        assert o.codes == [0], str(o)
        cls.model = cls.inputs / "run" / "model.h5"
        cls.nan = cls.customers("nan.h5", np.where(np.arange(ROWS)[:, None] == ROWS - 1, np.nan, cls.x))

    @classmethod
    def customers(cls, name, x, **columns):
        path = cls.inputs / name
        with h5py.File(path, "w") as f:
            f["features"] = x
            for key, value in columns.items():
                f[key] = value
        return path

    def setUp(self):
        super().setUp()
        before = stamps(self.inputs)
        self.addCleanup(lambda: self.assertEqual({k: v for k, v in stamps(self.inputs).items() if k in before}, before,
                                                 "an input was changed"))

    def fit(self, *more, data=None, out="run", k=2):
        # A checkpoint that a slow machine saves before the final pass would be left when that fails.
        return ["fit", data or self.data, "--segments", k, "--out", out, "--checkpoint-every", 0, *more]

    def assign(self, *more, data=None, out="out.h5"):
        return ["assign", data or self.data, "--model", self.model, "--out", out, *more]

    def check_results(self, folder, n=ROWS):
        """A whole results directory and nothing else."""
        self.assertEqual(sorted(p.name for p in folder.iterdir()), RESULTS)
        r = self.results(folder)
        self.assertEqual(len(r["segment"]), n)
        self.assertEqual(r["size"].sum(), n)
        return r


class Existing(Output):
    """What is in the way of the output."""

    def writers(self):
        """Every command that writes, with its output's name."""
        return {"fit": (self.fit(), "run"), "assign": (self.assign(), "out.h5"),
                "generate": (["generate", "gen.h5", "--customers", "2000"], "gen.h5"),
                "import": (["import", self.csv, "imp.h5", "--id", "id"], "imp.h5")}

    def test_refused(self):
        def file(name):
            return lambda d: (d / name).write_text("precious")

        def folder(name):
            def make(d):
                (d / name).mkdir()
                (d / name / "mine.txt").write_text("precious")
            return make

        def link(name):
            def make(d):
                (d / "target").write_text("precious")
                (d / name).symlink_to("target")
            return make

        def dangling(name):
            return lambda d: (d / name).symlink_to("nowhere")

        cases = []
        for command, (args, name) in self.writers().items():
            for what, make in (("file", file), ("folder", folder), ("link", link), ("dangling link", dangling)):
                cases.append((f"{command}: {what}", args, 2, rf"output exists.*: {name}", make(name)))
            # --force replaces what demarc made, or a regular file; never somebody's folder or link.
            wrong = {"folder": folder, "link": link, **({"file": file} if command == "fit" else {})}
            for what, make in wrong.items():
                cases.append((f"{command} --force: {what}", [*args, "--force"], 2, name, make(name)))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::7], layouts=(4,))

    def test_force_spares_strangers(self):
        """--force on a folder that holds more than results: refused, nothing is touched."""
        def results_and(*extra):
            def make(d):
                shutil.copytree(self.inputs / "run", d / "run")
                for e in extra:
                    e(d / "run")
            return make

        def sub(d):
            (d / "model.h5").unlink()
            (d / "model.h5").mkdir()

        def link(d):
            (d / "manifest.json").unlink()
            (d / "manifest.json").symlink_to("diagnostics.json")

        strangers = {"note": lambda d: (d / "notes.txt").write_text("mine"), "hidden": lambda d: (d / ".git").mkdir(),
                     "folder": sub, "link": link, "temporary": lambda d: (d / "model.h5.bak").write_text("mine")}
        cases = [(label, self.fit("--force"), 2, "run", results_and(make)) for label, make in strangers.items()]
        cases.append(("this folder", self.fit("--force", out="."), 2, r"\.", lambda d: (d / "x").write_text("mine")))
        cases.append(("root", self.fit("--force", out="/"), 2, "/"))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[:1], layouts=(4,))

    def test_no_place(self):
        cases = []
        for command, (args, name) in self.writers().items():
            into = [name.join(["gone/", ""]) if a == name else a for a in args]
            cases.append((f"{command}: parent missing", into, 5, rf"gone: "))
            below = [str(self.csv / name) if a == name else a for a in args]
            cases.append((f"{command}: parent is a file", below, 5, r"data\.csv"))
            proc = [f"/proc/{name}" if a == name else a for a in args]
            cases.append((f"{command}: /proc", proc, 5, rf"/proc/{name}"))
        cases.append(("name too long", self.fit(out="r" * 300), 5, "r" * 50))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::2], layouts=(4,))

    def test_replaced_whole(self):
        for ranks in (1, 4):
            cwd = self.folder()
            shutil.copytree(self.inputs / "run", cwd / "run")
            (cwd / "run" / "diagnostics.json").unlink()
            self.check_fine(self.fit("--force", k=3), ranks=ranks, cwd=cwd)
            self.assertEqual([p.name for p in cwd.iterdir()], ["run"])
            self.assertEqual(len(self.check_results(cwd / "run")["size"]), 3)
            self.check_fine(self.assign("--force", out="run/assignments.h5"), ranks=ranks, cwd=cwd)
            self.assertEqual(sorted(p.name for p in (cwd / "run").iterdir()), RESULTS)

    def test_untouched_when_the_new_run_fails(self):
        def old(d):
            shutil.copytree(self.inputs / "run", d / "run")
            shutil.copy(self.data, d / "out.h5")

        self.check_all([("bad value", self.fit("--force", data=self.nan), 3, f"row {ROWS - 1}", old),
                        ("too many", self.fit("--force", k=ROWS + 1), 4, "fewer", old),
                        ("no file", self.fit("--force", data="nope.h5"), 3, "nope", old),
                        ("assign", self.assign("--force", data=self.nan), 3, f"row {ROWS - 1}", old)])

    def test_output_is_an_input(self):
        """Inputs are never changed, not even with --force."""
        def copy(d):
            shutil.copy(self.data, d / "data.h5")
            shutil.copy(self.model, d / "model.h5")
            shutil.copy(self.csv, d / "data.csv")
            (d / "only").mkdir()
            shutil.copy(self.data, d / "only" / "model.h5")
            os.link(d / "data.h5", d / "hard.h5")

        assign = ["assign", "data.h5", "--model", "model.h5", "--force", "--out"]
        self.check_all([("customers", [*assign, "data.h5"], 2, r"data\.h5", copy),
                        ("another way to it", [*assign, "only/../data.h5"], 2, r"data\.h5", copy),
                        ("model", [*assign, "model.h5"], 2, r"model\.h5", copy),
                        ("csv", ["import", "data.csv", "data.csv", "--force"], 2, r"data\.csv", copy),
                        ("in the folder", ["fit", "only/model.h5", "--segments", 2, "--force", "--out", "only"], 2, "only", copy)],
                       layouts=(1, 2))

    def test_output_is_the_config_file(self):
        """What --config named is an input of every command that writes."""
        def copy(d):
            shutil.copy(self.data, d / "data.h5")
            shutil.copy(self.csv, d / "data.csv")
            (d / "my.conf").write_text("threads = 1\n")
            (d / "only").mkdir()
            (d / "only" / "plan.json").write_text("threads = 1\n")

        def case(*args, conf="my.conf", where=r"output is the input: (\./)?my\.conf"):
            return " ".join(args), [*args, "--force", "--config", conf], 2, where, copy

        boundary = ["data.h5", "--model", "model.h5"]
        self.check_all([case("generate", "my.conf", "--customers", "10"), case("import", "data.csv", "my.conf"),
                        case("fit", "data.h5", "--segments", "2", "--out", "my.conf"),
                        case("select", "data.h5", "--segments", "2:3", "--out", "my.conf"),
                        case("assign", *boundary, "--out", "./my.conf"),
                        case("export", "run", "--format", "csv", "--out", "my.conf"),
                        case("stability", *boundary, "--out", "my.conf"),
                        case("stability", *boundary, "--probabilities", "my.conf"),
                        case("compare", "run", "run", "--out", "my.conf"), case("report", "run", "--out", "my.conf"),
                        case("boundary", "sweep", *boundary, "--out", "my.conf"),
                        case("boundary", "sweep", *boundary, "--apply", "my.conf"),
                        case("boundary", "replay", *boundary, "--apply", "my.conf"),
                        case("boundary", "plan", *boundary, "--out", "my.conf"),
                        case("boundary", "plan", *boundary, "--out", "only", conf="only/plan.json", where="output holds"),
                        case("boundary", "analyze", "experiment.h5", "data.h5", "--apply", "my.conf")],
                       layouts=(1,))
        self.check_all([case("generate", "my.conf", "--customers", "10")], layouts=(2,))


class Disk(Output):
    """Read-only disks and disks that fill at different moments."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if NAMESPACE not in os.environ:
            raise unittest.SkipTest("mounting a tmpfs is not permitted here")
        # Wide ids of any length: results take several times the room that can be foreseen from the number of rows.
        for rows in (2000, 20000, 100000):
            ids = np.array([f"{i:064d}" for i in range(rows)], dtype=h5py.string_dtype())
            cls.customers(f"wide{rows}.h5", np.random.default_rng(rows).normal(size=(rows, 3)).astype("f4"), id=ids)
        (cls.inputs / "big.csv").write_text("a,b,c\n" + "".join(f"{i % 9},{i % 7},{i % 5}\n" for i in range(240000)))

    def mount(self, *options):
        path = self.folder()
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
        return path

    def check_full(self, label, args, disk, ranks):
        before = snapshot(disk)
        o = launch(args, disk, ranks=ranks)
        with self.subTest(label, ranks=ranks):
            self.check_failure(o, 5, r"space|No space left")
            self.assertEqual(snapshot(disk), before, "something was left behind")

    def test_full(self):
        for size, rows, customers, io in (("64k", 2000, 20000, "mpio"), ("64k", 2000, 20000, "funnel"),
                                          ("1m", 20000, 30000, "mpio"), ("1m", 20000, 30000, "funnel"),
                                          ("5m", 100000, 140000, "mpio"), ("5m", 100000, 140000, "funnel")):
            disk = self.mount(f"size={size}")
            wide = self.inputs / f"wide{rows}.h5"
            for label, args in (("fit", self.fit("--max-iterations", 1, data=wide)), ("assign", self.assign(data=wide)),
                                ("generate", ["generate", "gen.h5", "--customers", customers, "--features", 6]),
                                ("import", ["import", self.inputs / "big.csv", "imp.h5"])):
                for ranks in (1, 4):
                    if ranks == 1 or label == "fit" or (io == "mpio") == (label == "generate"):
                        self.check_full(f"{label} on {size}, {io}", [*args, "--io", io], disk, ranks)

    def test_asked_before_the_work(self):
        """Room is asked for before values are read: a bad one in the last row is not found first. A dry run asks, too."""
        x = np.random.default_rng(4).normal(size=(20000, 3)).astype("f4")
        good = self.customers("room.h5", x, id=np.char.zfill(np.arange(20000).astype("S6"), 64))
        x[-1, 1] = np.nan
        bad_one = self.customers("no-room.h5", x, id=np.char.zfill(np.arange(20000).astype("S6"), 64))
        model = self.folder() / "model.h5"
        o = launch(["fit", good, "--segments", 2, "--out", "run", "--quiet"], model.parent)
        self.assertEqual(o.codes, [0], str(o))
        shutil.move(model.parent / "run" / "model.h5", model)
        assign = ["assign", bad_one, "--model", model, "--out", "out.h5"]
        for size, code in (("1500k", 5), ("4m", 3)):  # 1.6 MB are needed
            disk = self.mount(f"size={size}")
            for args in (self.fit(data=bad_one), assign):
                for ranks in (1, 3):
                    with self.subTest(args[0], size=size, ranks=ranks):
                        self.check_failure(launch(args, disk, ranks=ranks), code, "not enough disk space" if code == 5 else "feature 1|row|missing")
                        self.assertEqual(snapshot(disk), {})
            for args in (self.fit("--dry-run", data=good), ["assign", good, *assign[2:], "--dry-run"]):
                with self.subTest("dry run", of=args[0], size=size):
                    o = launch(args, disk)
                    self.assertEqual(o.codes, [5 if code == 5 else 0], str(o))
                    self.assertEqual("not enough disk space" in str(o), code == 5, str(o))
        self.check_fine(self.fit("--dry-run", data=good, out="missing/folder/run/"), cwd=disk)

    def test_room_that_a_dead_run_takes(self):
        """Its temporary results do not keep the next run from having room."""
        disk = self.mount("size=3m")
        (disk / ".run.abc123.tmp").mkdir()
        (disk / ".run.abc123.tmp" / "assignments.h5").write_bytes(bytes(2_500_000))
        x = np.random.default_rng(1).normal(size=(50000, 3)).astype("f4")
        self.check_fine(self.fit(data=self.customers("x50000.h5", x)), cwd=disk)
        self.assertEqual([p.name for p in disk.iterdir()], ["run"])

    def test_every_size(self):
        """From far too small to just large enough: each size fails as a whole or succeeds as a whole."""
        wide = self.inputs / "wide2000.h5"
        done = failed = 0
        for kilobytes in (8, 16, 24, 48, 64, 96, 128, 160, 176, 180, 184, 188, 192, 196, 200, 208, 216, 224, 256, 320):
            disk = self.mount(f"size={kilobytes}k")
            o = launch(self.fit("--quiet", data=wide), disk)
            with self.subTest(f"{kilobytes} kB"):
                if o.codes == [0]:
                    self.check_results(disk / "run", 2000)
                    done += 1
                else:
                    self.check_failure(o, 5, r"space|No space left")
                    self.assertEqual(snapshot(disk), {}, "something was left behind")
                    failed += 1
        self.assertGreaterEqual(min(done, failed), 2, "the sizes no longer straddle what a fit needs")

    def test_no_room_for_one_more_file(self):
        """Space is left but no file can be made: the folders of checkpoints and results, then each of the four files in turn."""
        for io, ranks in (("mpio", 1), ("mpio", 4), ("funnel", 4)):
            for inodes in range(1, 7):
                if ranks == 4 and inodes % 2 == 0:
                    continue
                disk = self.mount("size=20m", f"nr_inodes={inodes}")
                self.check_full(f"fit, {inodes} inodes, {io}", self.fit("--io", io), disk, ranks)
            disk = self.mount("size=20m", "nr_inodes=7")
            self.check_fine(self.fit("--io", io), ranks=ranks, cwd=disk)
            self.check_results(disk / "run")
        disk = self.mount("size=20m", "nr_inodes=1")
        for args in (self.assign(), ["generate", "gen.h5", "--customers", 900], ["import", self.csv, "imp.h5"]):
            self.check_full(args[0], args, disk, 1)

    def test_old_results_survive_a_full_disk(self):
        wide = self.inputs / "wide20000.h5"
        for io, ranks in (("mpio", 4), ("funnel", 1)):
            disk = self.mount("size=1500k")
            shutil.copytree(self.inputs / "run", disk / "run")
            shutil.copy(self.inputs / "run" / "assignments.h5", disk / "out.h5")
            self.check_full("fit --force", self.fit("--force", "--io", io, data=wide), disk, ranks)
            self.check_full("assign --force", self.assign("--force", "--io", io, data=wide), disk, ranks)

    def test_read_only(self):
        disk = self.mount("size=4m")
        shutil.copy(self.data, disk / "data.h5")
        shutil.copy(self.csv, disk / "data.csv")
        subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
        for args in (self.fit(), self.assign(), ["generate", "gen.h5", "--customers", 900], ["import", self.csv, "imp.h5"]):
            for ranks in (1, 4) if args[0] in ("fit", "import") else (1,):
                with self.subTest(args[0], ranks=ranks):
                    self.check_failure(launch(args, disk, ranks=ranks), 5, "Read-only file system")
        # Reading from there is another matter.
        for ranks in (1, 3):
            cwd = self.folder()
            self.check_fine(["fit", disk / "data.h5", "--segments", 2, "--out", "run"], ranks=ranks, cwd=cwd)
            self.check_fine(["verify", "run"], ranks=ranks, cwd=cwd)
            self.check_fine(["import", disk / "data.csv", "imp.h5"], ranks=ranks, cwd=cwd)
            self.check_fine(["info", disk / "data.h5"], ranks=ranks, cwd=cwd)

    def test_a_mount_point_is_not_replaced(self):
        disk = self.mount("size=4m")
        before = snapshot(disk.parent)
        o = launch(self.fit("--force", out=disk), disk.parent)
        self.check_failure(o, 2, "mount point|--force")
        self.assertEqual(snapshot(disk.parent), before)


class Limits(Output):
    """A limit on the size of files (ulimit -f) stops a write in its midst, on one rank or on all."""

    def check(self, args, ranks, prefix, ok=False):
        cwd = self.folder()
        o = launch(args, cwd, ranks=ranks, prefix=prefix)
        with self.subTest(" ".join(map(str, args)), ranks=ranks, prefix=prefix):
            if ok:
                self.assertEqual(o.codes, [0] * ranks, str(o))
                return
            self.check_failure(o, 5, "file size limit: .* the limit .ulimit -f. is|File too large")
            self.assertEqual(snapshot(cwd), {}, "something was left behind")

    def test_all_ranks(self):
        for limit in (20, 200):  # of 512 bytes
            for args in (self.fit(), self.assign(), ["generate", "gen.h5", "--customers", 9000], ["import", self.csv, "imp.h5"]):
                if limit == 20 or args[0] != "import":
                    self.check(args, 1, f"trap '' XFSZ; ulimit -f {limit}")
        self.check(self.fit("--io", "funnel"), 4, "trap '' XFSZ; ulimit -f 200")

    def test_one_rank(self):
        limit = "trap '' XFSZ; [ $rank != 3 ] || ulimit -f 100"
        generate = ["generate", "gen.h5", "--customers", 16384]
        for args in (self.fit(), self.assign(), generate):
            self.check([*args, "--io", "mpio"], 4, limit)
        self.check(self.fit("--io", "funnel"), 4, limit, ok=True)  # rank 3 does not write then

    def test_signal_of_the_limit(self):
        """By default the system ends a program that passes the limit: that too must be an error line, not a death."""
        self.check(self.fit(), 1, "ulimit -f 100")


# Rows that one rank writes fail from the N-th call on; the system's other writes (layout, JSON, libraries') are smaller.
FAILING = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
static ssize_t (*real)(int, const void *, size_t, off_t);
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    static int calls;
    const char *from = getenv("FAIL_FROM"), *reason = getenv("FAIL_ERRNO");
    if (real == NULL) real = (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    if (from != NULL && bytes > 65536 && __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) >= atoi(from)) {
        errno = atoi(reason);
        return -1;
    }
    return real(fd, data, bytes, at);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at) { return pwrite(fd, data, bytes, at); }
"""


class Late(Output):
    """Rows are written while others are computed: what fails then on one rank is told by all, and nothing is left."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        compiler = shutil.which("cc")
        if compiler is None or os.environ.get("DEMARC_SANITIZE"):
            raise unittest.SkipTest("no C compiler, or a sanitizer that must be loaded first")
        source, cls.shim = cls.inputs / "failing.c", cls.inputs / "failing.so"
        source.write_text(FAILING)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", cls.shim, source, "-ldl"], check=True)
        rows = 700000  # three windows of results on one rank, two on each of two: 15 and 10 pieces
        cls.customers("late.h5", np.random.default_rng(1).normal(size=(rows, 2)).astype("f4"))

    def test_one_rank(self):
        late = self.inputs / "late.h5"
        fit, assign = self.fit("--max-iterations", 1, data=late), self.assign(data=self.wide_model(late))
        for args, ranks, rank, call, reason in ((fit, 1, 0, 1, 28), (fit, 1, 0, 7, 5), (fit, 1, 0, 15, 122), (fit, 2, 0, 2, 5),
                                                (fit, 2, 1, 1, 28), (fit, 2, 1, 10, 5), (assign, 2, 1, 6, 28), (assign, 1, 0, 11, 5)):
            prefix = (f"export LD_PRELOAD={self.shim}; "
                      f"[ $rank != {rank} ] || export FAIL_FROM={call} FAIL_ERRNO={reason}")
            cwd = self.folder()
            o = launch(args, cwd, ranks=ranks, prefix=prefix)
            words = {5: "check the disk: Input/output error", 28: "free some disk space: No space left on device",
                     122: "check the disk: Disk quota exceeded"}[reason]
            with self.subTest(args[0], ranks=ranks, rank=rank, call=call, reason=reason):
                self.check_failure(o, 5, rf"cannot write the output: .* \(/(id|segment|distance|runner_up|margin)\): {words}")
                self.assertEqual(snapshot(cwd), {}, "something was left behind")

    def wide_model(self, data):
        """`data`, once a model that fits it is where assign() looks."""
        o = launch(["fit", data, "--segments", "2", "--out", self.inputs / "late-run", "--quiet"], self.inputs)
        assert o.codes == [0], str(o)
        self.model = self.inputs / "late-run" / "model.h5"
        return data


class Streams(Output):
    def test_stdout_full(self):
        commands = [["info", self.data], self.assign(), ["generate", "gen.h5", "--customers", 900],
                    ["import", self.csv, "imp.h5"], ["verify", self.inputs / "run"], self.fit(), self.fit("--json", out="run2"),
                    ["--help"], ["fit", "--help"], ["--version"]]
        for ranks in (1, 3):
            cwd = self.folder()
            for args in commands if ranks == 1 else commands[:6:2] + commands[-2:-1]:
                with self.subTest(" ".join(map(str, args)), ranks=ranks):
                    o = launch(args, cwd, ranks=ranks, prefix=TO_FULL)
                    self.assertEqual((o.hung, o.codes), (False, [5] * ranks), str(o))
                    lines = [s for s in o.lines if s.startswith("demarc: ")]
                    self.assertEqual(len(lines), 1, str(o))
                    self.assertRegex(lines[0], r"^demarc: [^:]+: standard output: ")
            self.assertEqual([p.name for p in cwd.glob(".*")], [], "a temporary file was left behind")

    def test_an_error_keeps_its_code(self):
        o = launch(self.fit(data=self.nan), self.folder(), ranks=2, prefix=TO_FULL)
        self.check_failure(o, 3, f"row {ROWS - 1}")

    def test_quiet_error(self):
        self.check_all([("quiet", self.fit("--quiet", data=self.nan), 3, f"row {ROWS - 1}"),
                        ("verbose json", self.fit("--json", "--quiet", data="nope.h5"), 3, "nope"),
                        ("progress", self.fit("--progress", "never", data=self.nan), 3, f"row {ROWS - 1}")])


class Inputs(Output):
    """Every command leaves its inputs as they are: bytes, times, modes."""

    def test_unchanged(self):
        cwd = self.folder()
        shutil.copy(self.data, cwd / "data.h5")
        shutil.copy(self.csv, cwd / "data.csv")
        for path in (cwd / "data.h5", cwd / "data.csv"):
            path.chmod(0o444)
            os.utime(path, ns=(10**18, 10**18 + 7))
        self.check_fine(["fit", "data.h5", "--segments", 2, "--out", "run"], cwd=cwd, ranks=2)
        os.chmod(cwd / "run", 0o555)
        for path in (cwd / "run").iterdir():
            path.chmod(0o444)
            os.utime(path, ns=(10**18, 10**18 + 9))
        before, modes = stamps(cwd), snapshot(cwd)
        for ranks in (1, 3):
            out = self.folder()
            for args in (["fit", cwd / "data.h5", "--segments", 3, "--out", "run", "--restarts", 2],
                         ["fit", cwd / "data.h5", "--segments", 2, "--out", "run2", "--init", cwd / "run" / "model.h5"],
                         ["fit", cwd / "data.h5", "--segments", 2, "--out", "dry", "--dry-run"],
                         ["assign", cwd / "data.h5", "--model", cwd / "run" / "model.h5", "--out", "a.h5"],
                         ["info", cwd / "data.h5"], ["info", cwd / "run"], ["verify", cwd / "run", "--data", cwd / "data.h5"],
                         ["import", cwd / "data.csv", "i.h5"]):
                self.check_fine(args, cwd=out, ranks=ranks)
            self.assertEqual(stamps(cwd), before)
            self.assertEqual(snapshot(cwd), modes)
            self.assertEqual(sorted(p.name for p in out.iterdir()), ["a.h5", "i.h5", "run", "run2"], "--dry-run wrote something")

    def test_names(self):
        """Relative paths, spaces, Unicode, a leading dash, the longest name: everywhere a path is given."""
        for name in ("my customers.h5", "Kundschaft-ü-客-🛒.h5", "a'b\"c$d;e.h5", "-dash.h5", "x" * 250 + ".h5", "50%s%n.h5"):
            cwd = self.folder() / "ein Ordner é"
            (cwd / "in").mkdir(parents=True)
            shutil.copy(self.data, cwd / "in" / name)
            run_name, out = "run " + name[:200], "out " + name[:240] + ".h5"
            with self.subTest(name):
                self.check_fine(["fit", f"in/{name}", "--segments", 2, "--out", run_name], cwd=cwd, ranks=2)
                self.check_results(cwd / run_name)
                self.check_fine(["verify", f"./{run_name}/"], cwd=cwd)
                self.check_fine(["verify", run_name], cwd=cwd / "in" / "..", ranks=2)
                self.check_fine(["assign", f"in/../in/{name}", "--model", f"{run_name}/model.h5", "--out", out], cwd=cwd)
                self.check_fine(["info", out], cwd=cwd)
                self.assertEqual(sorted(p.name for p in cwd.iterdir()), sorted(["in", run_name, out]))
        cwd = self.folder()
        self.check_fine(["generate", "Größe 1.h5", "--customers", 900], cwd=cwd, ranks=2)
        shutil.copy(self.csv, cwd / "Käufe 2.csv")
        self.check_fine(["import", "Käufe 2.csv", "Käufe.h5"], cwd=cwd)
        self.assertEqual(sorted(p.name for p in cwd.iterdir()), sorted(["Größe 1.h5", "Käufe 2.csv", "Käufe.h5"]))

    def test_a_name_cannot_forge_lines(self):
        self.check_all([("newline", self.fit(data="no\ndemarc: fine\x1b[31m.h5"), 3, r"no such file: no")])

    def test_verify_from_elsewhere(self):
        """The manifest's input path does not depend on the folder in which the fit ran."""
        cwd, other = self.folder(), self.folder()
        shutil.copy(self.data, cwd / "data.h5")
        self.check_fine(["fit", "data.h5", "--segments", 2, "--out", "run"], cwd=cwd)
        self.check_fine(["verify", cwd / "run"], cwd=other, ranks=2)

    def test_more_ranks_than_rows(self):
        few = self.customers("few.h5", self.x[:3], id=np.array([b"a", b"b", b"c"]))
        cwd = self.folder()
        for ranks, io in ((4, "mpio"), (4, "funnel"), (7, "mpio")):
            run = f"run{ranks}{io}"
            self.check_fine(["fit", few, "--segments", 2, "--out", run, "--io", io], cwd=cwd, ranks=ranks)
            r = self.check_results(cwd / run, 3)
            self.assertEqual(list(r["id"]), [b"a", b"b", b"c"])
            self.check_fine(["verify", run], cwd=cwd, ranks=ranks)
            out = f"out{ranks}{io}.h5"
            self.check_fine(["assign", few, "--model", f"{run}/model.h5", "--out", out, "--io", io], cwd=cwd, ranks=ranks)
            with h5py.File(cwd / out, "r") as f:
                np.testing.assert_array_equal(f["segment"][()], r["segment"])
        self.check_fine(["generate", "gen.h5", "--customers", 2, "--segments", 1], cwd=cwd, ranks=4)
        self.check_fine(["info", "gen.h5"], cwd=cwd, ranks=4)


class AtOnce(Output):
    """Several runs and signals."""

    def start(self, args, cwd, ranks=1):
        command = [t.DEMARC, *map(str, args)]
        if ranks > 1:
            command = ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), *command]
        p = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.stderr.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        return p

    def test_two_runs(self):
        cwd = self.folder()
        running = [self.start(self.fit(out=f"run{i}"), cwd, ranks=1 + i % 2) for i in range(3)]
        self.assertEqual([(p.communicate(timeout=bad.HANG)[1], p.returncode) for p in running], [("", 0)] * 3)
        digests = {self.check_results(cwd / f"run{i}")["attrs"]["digest"] for i in range(3)}
        self.assertEqual(len(digests), 1)
        self.assertEqual(sorted(p.name for p in cwd.iterdir()), ["run0", "run1", "run2"])

    def test_a_race_for_one_name(self):
        """One wins, the others say that it is at work or that the output exists; what is there is whole."""
        cwd = self.folder()
        running = [self.start(self.fit(), cwd) for _ in range(4)]
        ended = [(p.communicate(timeout=bad.HANG)[1], p.returncode) for p in running]
        self.assertEqual(sorted(code for _, code in ended), [0, 2, 2, 2], ended)
        for text, code in ended:
            if code == 2:
                self.assertRegex(text, r"^demarc: (output exists: run|another run is at work: \.run\.checkpoint is in use): .*\n$")
        self.check_results(cwd / "run")
        running = [self.start(self.assign(out="run/out.h5"), cwd) for _ in range(4)]
        ended = [(p.communicate(timeout=bad.HANG)[1], p.returncode) for p in running]
        self.assertEqual(sorted(code for _, code in ended), [0, 2, 2, 2], ended)
        self.assertEqual([p.name for p in cwd.iterdir()], ["run"])
        self.assertEqual(sorted(p.name for p in (cwd / "run").iterdir()), sorted([*RESULTS, "out.h5"]))

    def generating(self, cwd, *more):
        """A generate of a large file that has its temporary."""
        before = set(cwd.glob(".gen.h5.*.tmp"))
        p = self.start(["generate", "gen.h5", "--customers", 4_000_000, "--features", 16, "--quiet", *more], cwd)
        deadline = time.monotonic() + bad.HANG
        while not set(cwd.glob(".gen.h5.*.tmp")) - before and p.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        made = set(cwd.glob(".gen.h5.*.tmp")) - before
        self.assertEqual(len(made), 1)
        return p, made.pop()

    def test_dead_files(self):
        """What a killed run leaves of a file goes with the next run into that name; what a run at work has stays."""
        cwd = self.folder()
        (cwd / ".gen.h5.abcdef.tmp").mkdir()
        dead, left = self.generating(cwd)
        dead.kill()
        dead.wait()
        self.assertTrue(left.exists())
        alive, kept = self.generating(cwd)
        self.assertFalse(left.exists())
        self.check_fine(["generate", "gen.h5", "--customers", 1000, "--quiet"], cwd=cwd)
        self.assertTrue(kept.exists())
        alive.kill()
        alive.wait()
        self.check_fine(["generate", "gen.h5", "--customers", 1000, "--quiet", "--force"], cwd=cwd)
        self.assertEqual(sorted(p.name for p in cwd.iterdir()), [".gen.h5.abcdef.tmp", "gen.h5"])

    def test_private_stays_private(self):
        """--force: nobody who could not read the old output reads the new one, nor while it is written."""
        cwd = self.folder()
        (cwd / "gen.h5").write_text("old")
        (cwd / "gen.h5").chmod(0o640)
        p, temporary = self.generating(cwd, "--force")
        time.sleep(0.05)  # it is made like any new file, and shut before anything is written
        self.assertEqual(temporary.stat().st_mode & 0o777, 0o600)
        p.kill()
        p.wait()
        self.check_fine(["generate", "gen.h5", "--customers", 1000, "--quiet", "--force"], cwd=cwd)
        self.assertEqual((cwd / "gen.h5").stat().st_mode & 0o777, 0o640)
        self.check_fine(self.fit(), cwd=cwd)
        usual = (cwd / "run" / "model.h5").stat().st_mode & 0o777
        (cwd / "run" / "assignments.h5").chmod(0o600)
        (cwd / "run").chmod(0o750)
        self.check_fine(self.fit("--force"), cwd=cwd)
        modes = {q.name: q.stat().st_mode & 0o777 for q in [cwd / "run", *(cwd / "run").iterdir()]}
        self.assertEqual(modes, {"run": 0o750, "assignments.h5": 0o600} | {n: usual for n in RESULTS if n != "assignments.h5"})

    def test_killed(self):
        """Whatever ends a fit, the final name holds nothing or what it held before."""
        for ranks, signum, force in ((1, signal.SIGTERM, False), (1, signal.SIGINT, True), (1, signal.SIGKILL, False),
                                     (4, signal.SIGTERM, True), (4, signal.SIGTERM, False)):
            cwd = self.folder()
            if force:
                shutil.copytree(self.inputs / "run", cwd / "run")
            with self.subTest(signum=signum, ranks=ranks, force=force):
                old = snapshot(cwd / "run") if force else None
                p = self.start(self.fit("--restarts", 10000, "--force" if force else "--progress=never"), cwd, ranks)
                started, deadline = False, time.monotonic() + bad.HANG
                while not started and time.monotonic() < deadline and p.poll() is None:
                    started = any(q.name.startswith(".run.") for q in cwd.iterdir())
                    time.sleep(0.02)
                self.assertTrue(started, "the fit did not start")
                time.sleep(0.2)
                p.send_signal(signum)
                p.communicate(timeout=bad.HANG)
                self.assertNotEqual(p.returncode, 0)
                if force:
                    self.assertEqual(snapshot(cwd / "run"), old)
                else:
                    self.assertFalse((cwd / "run").exists())
                self.check_fine(self.fit("--force"), cwd=cwd)  # what may lie about is in nobody's way
                self.check_results(cwd / "run")

    def test_one_rank_is_killed(self):
        """The launcher ends the others; nothing gets the final name."""
        cwd = self.folder()
        prefix = '[ "$rank" != 2 ] || set -- sh -c \'"$@" & p=$!; sleep 1; kill -9 $p; wait $p\' x "$@"'
        o = launch(self.fit("--restarts", 10000), cwd, ranks=4, prefix=prefix)
        self.assertFalse(o.hung, str(o))
        self.assertNotEqual((o.launcher_code, o.codes), (0, [0] * 4))
        self.assertFalse((cwd / "run").exists())


if __name__ == "__main__":
    enter_namespace()
    try:
        t.main()
    finally:
        if os.environ.get(NAMESPACE, "1") != "1":
            shutil.rmtree(os.environ[NAMESPACE], ignore_errors=True)
