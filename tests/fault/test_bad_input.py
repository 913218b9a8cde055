"""Bad input on one rank and on four: one error line, the right exit code on every rank, no hang, nothing left behind.

`Fault.launch` starts every rank through a small shell script that records what that rank printed and how it ended, so
a second line, a rank with another exit code or noise of HDF5 and MPI is seen even where mpirun would hide it.
test_output.py uses it too.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import h5py
import numpy as np

import demarc_testing as t

BLOCK = 4096          # rows of a block, DM_BLOCK_ROWS: ranks own whole blocks
ROWS = 3 * BLOCK + 712  # four blocks: on four ranks each has one, rank 3 the last rows
NAMES = ["alpha", "beta", "gamma"]
ONE_LINE = r"^demarc: [^:]+: .+: .+"  # WHAT: WHERE: what to do
HANG = 90             # seconds; the slowest run here takes two
RANK_SCRIPT = """rank=${OMPI_COMM_WORLD_RANK:-0}; log=$1; prefix=$2; shift 2
%s
"$@" >"$log/out.$rank" 2>"$log/err.$rank"; echo $? >"$log/code.$rank"; exit 0"""


def snapshot(folder):
    """{relative name: (kind, mode, SHA-256 or link target)} of everything in a folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        s = path.lstat()
        if path.is_symlink():
            what = ("link", os.readlink(path))
        elif path.is_dir():
            what = ("dir", "")
        else:
            what = ("file", hashlib.sha256(path.read_bytes()).hexdigest())
        found[str(path.relative_to(folder))] = (*what, s.st_mode)
    return found


def stamps(folder):
    """{relative name: (time of change, bytes)} of the files in a folder."""
    return {str(p.relative_to(folder)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in sorted(pathlib.Path(folder).rglob("*")) if p.is_file()}


class Outcome:
    """What every rank of one run did: codes, out and err are lists by rank; launcher is mpirun's own stderr."""

    def __init__(self, codes, out, err, launcher, launcher_code, hung):
        self.codes, self.out, self.err = codes, out, err
        self.launcher, self.launcher_code, self.hung = launcher, launcher_code, hung

    def __str__(self):
        return (f"codes {self.codes}, launcher {self.launcher_code}\n" + "".join(self.out)[:2000] + "".join(self.err)[:4000]
                + self.launcher[:2000])

    @property
    def lines(self):
        return [line for text in self.err for line in text.splitlines()]


def launch(args, cwd, ranks=1, prefix="", timeout=HANG, env=None, program=None):
    """Run demarc on `ranks` ranks in folder `cwd`; `prefix` is shell code that each rank runs first ($rank is set)."""
    log = tempfile.mkdtemp(prefix="demarc-log-")
    full = dict(os.environ, **(env or {}))
    try:
        command = ["sh", "-c", RANK_SCRIPT % prefix, "rank", log, "", program or t.DEMARC, *map(str, args)]
        if ranks > 1:
            command = ["mpirun", "-q", "--bind-to", "none", "-n", str(ranks), *command]
        p = subprocess.Popen(command, cwd=cwd, env=full, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
        hung = False
        try:
            out, err = p.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            hung = True
            p.send_signal(signal.SIGTERM)  # mpirun ends its ranks; they are not in its process group
            try:
                out, err = p.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                out, err = p.communicate()

        def read(name, rank):
            path = pathlib.Path(log, f"{name}.{rank}")
            return path.read_text(errors="replace") if path.exists() else ""

        codes = [int(read("code", r)) if read("code", r).strip() else None for r in range(ranks)]
        return Outcome(codes, [read("out", r) for r in range(ranks)], [read("err", r) for r in range(ranks)], out + err,
                       p.returncode, hung)
    finally:
        shutil.rmtree(log, ignore_errors=True)


class Fault(t.Case):
    """Checks of failing runs. Each run has an own empty folder, `cwd`, in which relative outputs land."""

    @classmethod
    def setUpClass(cls):
        cls.inputs = pathlib.Path(tempfile.mkdtemp(prefix="demarc-inputs-"))
        cls.addClassCleanup(shutil.rmtree, cls.inputs, ignore_errors=True)

    def folder(self):
        return pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self.tmp))

    def check_failure(self, o, code, pattern, silent=True):
        """One line on all ranks together, one exit code, nothing from the launcher."""
        self.assertFalse(o.hung, f"a rank hangs\n{o}")
        self.assertEqual(o.codes, [code] * len(o.codes), str(o))
        self.assertEqual(len(o.lines), 1, str(o))
        self.assertRegex(o.lines[0], ONE_LINE)
        self.assertRegex(o.lines[0], pattern)
        self.assertNotRegex(o.lines[0], r"[\x00-\x1f]")
        self.assertEqual((o.launcher_code, o.launcher), (0, ""), str(o))
        if silent:
            self.assertEqual("".join(o.out), "", "stdout of a failed run")

    def check_all(self, cases, layouts=(1, 4), same_line=True):
        """
        Run cases (label, arguments, code, pattern[, prepare]) on every layout: each must fail as stated, leave its folder as
        it was, and say the same on every layout. `prepare(cwd)` fills the folder first.
        """
        runs = []
        for case in cases:
            for ranks in layouts:
                cwd = self.folder()
                if len(case) > 4:
                    case[4](cwd)
                runs.append((case, ranks, cwd, snapshot(cwd)))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # two at a time: mpirun mostly waits
            outcomes = list(pool.map(lambda r: launch(r[0][1], r[2], ranks=r[1]), runs))
        said = {}
        for (case, ranks, cwd, before), o in zip(runs, outcomes):
            with self.subTest(case[0], ranks=ranks):
                self.check_failure(o, case[2], case[3])
                self.assertEqual(snapshot(cwd), before, "something was left behind")
                if same_line:
                    line = re.sub(r" \(rank \d+ on \S+\)$", "", o.lines[0])  # a machine's errors say whose
                    self.assertEqual(said.setdefault(case[0], line), line, "the line depends on the layout")

    def check_fine(self, args, ranks=1, cwd=None, **kw):
        cwd = cwd or self.folder()
        o = launch(args, cwd, ranks=ranks, **kw)
        self.assertEqual((o.hung, o.codes, o.launcher_code), (False, [0] * ranks, 0), f"{args}\n{o}")
        return o, cwd


class BadInput(Fault):
    """Makers of customer files; a good one and its model are made once a class, and no run may touch any of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(7)
        cls.x = rng.normal(size=(ROWS, 3))
        cls.x[:, 1] += 4.0 * (np.arange(ROWS) % 3)
        cls.ids = rng.permutation(ROWS).astype(np.int64) * 3 + 11
        cls.good = cls.make("good.h5", id=cls.ids)
        o = launch(["fit", cls.good, "--segments", "3", "--out", cls.inputs / "run", "--quiet"], cls.inputs)
        assert o.codes == [0], str(o)
        cls.model = cls.inputs / "run" / "model.h5"

    @classmethod
    def make(cls, name, features=None, names=NAMES, options=None, edit=None, **columns):
        """A customer file; columns by dataset name, `edit(file)` may change it further."""
        path = cls.inputs / name
        with h5py.File(path, "w") as f:
            x = cls.x if features is None else features
            ds = f.create_dataset("features", data=x, **(options or {}))
            if names is not None and len(ds.shape) == 2 and ds.shape[1] == len(names):
                ds.attrs["feature_names"] = names
            for key, value in columns.items():
                f[key] = value
            if edit is not None:
                edit(f)
        return path

    @classmethod
    def changed(cls, name, *cells):
        """The good features with cells (row, column, value) replaced."""
        x = cls.x.copy()
        for row, column, value in cells:
            x[row, column] = value
        return cls.make(name, x)

    @classmethod
    def text(cls, name, content):
        path = cls.inputs / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def check_all(self, cases, **kw):
        before = stamps(self.inputs)
        super().check_all(cases, **kw)
        self.assertEqual(stamps(self.inputs), before, "an input was changed")

    @staticmethod
    def fit(data, *more, k=3):
        return ["fit", data, "--segments", k, "--out", "run", *more]

    def assign(self, data, *more, model=None):
        return ["assign", data, "--model", model or self.model, "--out", "out.h5", *more]


class Files(BadInput):
    """What is not a customer file at all."""

    def commands(self, label, path, pattern, code=3):
        """The four commands that read a customer file."""
        return [(f"{label}: fit", self.fit(path), code, pattern), (f"{label}: assign", self.assign(path), code, pattern),
                (f"{label}: info", ["info", path], code, pattern),
                (f"{label}: verify", ["verify", self.inputs / "run", "--data", path], code, pattern)]

    def test_not_a_file_of_ours(self):
        folder = self.inputs / "folder.h5"
        folder.mkdir()
        fifo = self.inputs / "pipe"
        os.mkfifo(fifo)
        self.addCleanup(fifo.unlink)
        cases = self.commands("missing", self.inputs / "nope.h5", r"no such file: .*nope\.h5: check the path$")
        cases += self.commands("below a file", self.good / "x.h5", r"good\.h5/x\.h5")
        cases += self.commands("empty", self.text("empty.h5", b""), r"empty file: .*empty\.h5")
        cases += self.commands("text", self.text("text.h5", "a,b\n1,2\n" * 500), r"not an HDF5 file: .*text\.h5")
        cases += self.commands("a byte", self.text("byte.h5", b"\x89"), r"not an HDF5 file: .*byte\.h5")
        cases += self.commands("zeros", self.text("zeros.h5", bytes(10000)), r"not an HDF5 file: .*zeros\.h5")
        # `info` describes a results directory, so a folder without results is bad for another reason.
        cases += [c for c in self.commands("directory", folder, r"is a directory: .*folder\.h5") if "info" not in c[0]]
        cases += [("directory: info", ["info", folder], 3, r"folder\.h5"),
                  ("pipe: fit", self.fit(fifo), 3, r"not a regular file: .*pipe"),
                  ("device: fit", self.fit("/dev/null"), 3, r"not a regular file: /dev/null")]
        self.check_all(cases, layouts=(1,))
        self.check_all([c for c in cases if c[0].endswith(": fit") or c[0] in ("missing: info", "text: assign", "empty: verify")],
                       layouts=(4,))

    def test_cut_anywhere(self):
        """Contiguous, compressed and new-format files, cut after any number of bytes: refused as damaged, exit code 3."""
        variants = {"plain": {}, "gzip": {"chunks": (1000, 3), "compression": "gzip"}}
        cases = []
        for name, options in variants.items():
            data = self.make(f"{name}.h5", self.x[:5000], options=options, id=self.ids[:5000]).read_bytes()
            cuts = sorted({1, 7, 8, 16, 47, 48, 95, 96, 97, 512, 1000, 2047, 2048, 4096, len(data) // 2, len(data) - 4096,
                           len(data) - 512, len(data) - 8, len(data) - 1, *range(10, len(data), len(data) // 12)})
            for cut in cuts:
                path = self.text(f"{name}-{cut}.h5", data[:cut])
                cases.append((f"{name} cut at {cut}", self.fit(path), 3, rf"{name}-{cut}\.h5"))
        with h5py.File(self.inputs / "new.h5", "w", libver="latest") as f:
            f["features"] = self.x[:5000]
        data = (self.inputs / "new.h5").read_bytes()
        for cut in (40, 48, 200, len(data) // 2, len(data) - 1):
            path = self.text(f"new-{cut}.h5", data[:cut])
            cases.append((f"new cut at {cut}", self.fit(path), 3, rf"new-{cut}\.h5"))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::11])

    def test_cut_for_the_other_commands(self):
        data = self.good.read_bytes()
        path = self.text("cut.h5", data[:len(data) * 2 // 3])
        self.check_all(self.commands("cut", path, r"cut\.h5")[1:])


class Schema(BadInput):
    """HDF5 files whose datasets are not those of a customer file."""

    def test_features(self):
        def without(f):
            del f["features"]

        def group(f):
            del f["features"]
            f.create_group("features")

        def never_written(f):
            del f["features"]
            f.create_dataset("features", shape=(100, 3), dtype="f8")

        def dangling(f):
            del f["features"]
            f["features"] = h5py.SoftLink("/gone")

        def null(f):
            del f["features"]
            f["features"] = h5py.Empty("f8")

        strings = np.array([["a", "b"], ["c", "d"]] * 50, dtype=object)
        compound = np.zeros((100, 2), dtype=[("x", "f4"), ("y", "f4")])
        where = r".*{}\.h5, /features"
        table = [
            ("without", self.make("without.h5", edit=without, id=self.ids), "no dataset /features: .*without"),
            ("nothing", self.make("nothing.h5", edit=without), "no dataset /features: .*nothing"),
            ("group", self.make("group.h5", edit=group), "group.h5, /features"),
            ("dangling", self.make("dangling.h5", edit=dangling), "dangling.h5, /features"),
            ("one", self.make("one.h5", self.x[:, 0]), "wrong shape: " + where.format("one")),
            ("three", self.make("three.h5", np.zeros((10, 3, 2))), "wrong shape: " + where.format("three")),
            ("scalar", self.make("scalar.h5", 1.0), "wrong shape: " + where.format("scalar")),
            ("null", self.make("null.h5", edit=null), where.format("null")),
            ("vlen", self.make("vlen.h5", strings, options={"dtype": h5py.string_dtype()}), "wrong type: " + where.format("vlen")),
            ("fixed", self.make("fixed.h5", strings.astype("S3")), "wrong type: " + where.format("fixed")),
            ("compound", self.make("compound.h5", compound), "wrong type: " + where.format("compound")),
            ("complex", self.make("complex.h5", np.zeros((9, 2), dtype="c16")), "wrong type: " + where.format("complex")),
            ("norows", self.make("norows.h5", np.zeros((0, 3))), "no customers: " + where.format("norows")),
            ("nocolumns", self.make("nocolumns.h5", np.zeros((9, 0))), where.format("nocolumns")),
            ("unwritten", self.make("unwritten.h5", edit=never_written), "no values: " + where.format("unwritten")),
        ]
        cases = [(label, self.fit(path), 3, pattern) for label, path, pattern in table]
        self.check_all(cases, layouts=(1,))
        self.check_all([c for c in cases if c[0] in ("without", "one", "three", "fixed", "compound", "norows", "nocolumns", "unwritten")],
                       layouts=(4,))
        self.check_all([(label + " assign", self.assign(path), 3, pattern) for label, path, pattern in table], layouts=(1,))
        self.check_all([(label + " info", ["info", path], 3, pattern) for label, path, pattern in table], layouts=(1,))

    def test_paths_that_lead_nowhere(self):
        data = self.make("paths.h5", weight=np.ones(ROWS), edit=lambda f: f.create_group("g"))
        self.check_all([("features", self.fit(data, "--features", "/nope"), 3, "no dataset /nope: .*paths.h5"),
                        ("deep", self.fit(data, "--features", "/g/h/i"), 3, "no dataset /g/h/i: .*paths.h5"),
                        ("group", self.fit(data, "--features", "/g"), 3, "not a dataset: .*paths.h5, /g"),
                        ("root", self.fit(data, "--features", "/"), 3, "paths.h5"),
                        ("id", self.fit(data, "--id", "/nope"), 3, "no dataset /nope: .*paths.h5"),
                        ("weight", self.fit(data, "--weight", "/nope"), 3, "no dataset /nope: .*paths.h5"),
                        ("empty", self.fit(data, "--features", ""), 2, "--features")])

    def test_other_lengths(self):
        n = ROWS
        table = {"id": self.ids[:-1], "weight": np.ones(n + 1), "outcomes": np.zeros((n - 1, 2)), "arm": np.zeros(1, "i4"),
                 "reachable": np.zeros((n + 5, 2), "u1"), "propensity": np.full((3, 2), 0.5)}
        cases = []
        for name, values in table.items():
            columns = {name: values}
            if name == "propensity":
                columns["arm"] = np.arange(n) % 2
            path = self.make(f"len-{name}.h5", **columns)
            pattern = rf"lengths differ: .*len-{name}\.h5, /{name} has {len(values)} rows but /features has {n}"
            cases.append((name, self.fit(path), 3, pattern))
        texts = np.array([f"c{i}" for i in range(n + 1)], dtype=object)
        path = self.inputs / "len-text.h5"
        with h5py.File(path, "w") as f:
            f["features"] = self.x
            f.create_dataset("id", data=texts, dtype=h5py.string_dtype())
        cases.append(("text id", self.fit(path), 3, rf"lengths differ: .*len-text\.h5, /id has {n + 1} rows"))
        self.check_all(cases)
        self.check_all([(c[0] + " assign", self.assign(c[1][1]), 3, c[3]) for c in cases], layouts=(1,))

    def test_other_types(self):
        n = ROWS
        table = {"id": np.arange(n) + 0.5, "weight": np.array([b"x"] * n), "outcomes": np.array([[b"x"]] * n),
                 "arm": np.zeros(n) + 0.5, "reachable": np.zeros((n, 2, 2), "u1")}
        cases = []
        for name, values in table.items():
            path = self.make(f"type-{name}.h5", **{name: values})
            cases.append((name, self.fit(path), 3, rf"wrong (type|shape): .*type-{name}\.h5, /{name}"))
        path = self.make("names.h5", names=None, edit=lambda f: f["features"].attrs.create("feature_names", ["a", "b"]))
        cases.append(("names", self.fit(path), 3, r"wrong number of names: .*names\.h5, /features"))
        path = self.make("twice.h5", names=["a", "b", "a"])
        cases.append(("name twice", self.fit(path), 3, r"name used twice: .*twice\.h5, /features.*'a'"))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[:1])


class Values(BadInput):
    """Right types, bad values: the first bad row and column are named, on every layout the same."""

    def test_missing_and_infinite(self):
        edges, cases = [], []
        for row in (0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, 3 * BLOCK - 1, 3 * BLOCK, ROWS - 1):
            column = row % 3
            path = self.changed(f"nan-{row}.h5", (row, column, np.nan))
            at = rf"row {row} column {column} \({NAMES[column]}\)"
            edges.append((f"NaN in row {row}", self.fit(path), 3, rf"nan-{row}\.h5.*{at}"))
        self.check_all(edges, layouts=(1,))
        self.check_all(edges[1::2] + edges[-2:-1], layouts=(4,))
        last = 3 * BLOCK + 5
        several = [(BLOCK + 1, 2, np.nan), (BLOCK + 2, 0, np.nan), (last, 0, np.nan)]
        cases += [
            ("+Inf", self.fit(self.changed("inf.h5", (last, 1, np.inf))), 3, rf"inf\.h5.*row {last} column 1 \(beta\)"),
            ("-Inf", self.fit(self.changed("minf.h5", (BLOCK, 2, -np.inf))), 3, rf"minf\.h5.*row {BLOCK} column 2 \(gamma\)"),
            ("-Inf, --missing mean", self.fit(self.changed("minf2.h5", (9, 0, -np.inf)), "--missing", "mean"), 3,
             r"minf2\.h5.*row 9 column 0 \(alpha\)"),
            ("several", self.fit(self.changed("several.h5", *several)), 3,
             rf"row {BLOCK + 1} column 2 \(gamma\).* 3 in all.* 2 of 3 columns"),
            ("same row", self.fit(self.changed("row.h5", (last, 2, np.nan), (last, 1, np.nan))), 3, rf"row {last} column 1 "),
            ("several Inf", self.fit(self.changed("infs.h5", (last, 0, np.inf), (BLOCK, 1, -np.inf))), 3,
             rf"row {BLOCK} column 1 .* 2 in all"),
            ("one column, no value", self.fit(self.changed("none.h5", *[(i, 1, np.nan) for i in range(ROWS)]), "--missing",
                                              "mean"), 3, r"none\.h5.*column 1 \(beta\)"),
            ("streamed", self.fit(self.inputs / "several.h5", "--memory-limit", "1M"), 3, rf"row {BLOCK + 1} column 2 "),
            ("assign", self.assign(self.inputs / "several.h5"), 3, rf"row {BLOCK + 1} column 2 "),
        ]
        self.check_all(cases)

    def test_missing_as_float32(self):
        x = self.x.astype("f4")
        x[ROWS - 1, 2] = np.nan
        path = self.make("nan32.h5", x, options={"chunks": (777, 2), "compression": "gzip", "shuffle": True})
        self.check_all([("NaN", self.fit(path), 3, rf"row {ROWS - 1} column 2 \(gamma\)")])

    def test_log1p_out_of_range(self):
        path = self.changed("log.h5", (3 * BLOCK + 1, 0, -1.0))
        with h5py.File(path, "r+") as f:
            x = f["features"][()]
            x[:, 0] = np.abs(x[:, 0])
            x[3 * BLOCK + 1, 0] = -1.0
            f["features"][...] = x
        self.check_all([("log1p", self.fit(path, "--log1p", "alpha"), 3, rf"log\.h5.*alpha.*row {3 * BLOCK + 1}\b")])

    def test_duplicate_ids(self):
        def twice(*pairs):
            ids = self.ids.copy()
            for first, second in pairs:
                ids[second] = ids[first]
            return ids

        sorted_ids = np.arange(ROWS, dtype=np.int64)
        sorted_ids[BLOCK] = sorted_ids[BLOCK - 1]  # neighbours on two ranks, otherwise increasing
        big = self.ids.astype(np.uint64) + np.uint64(1 << 63)
        big[ROWS - 1] = big[3]
        fixed = np.array([b"c%07d" % i for i in self.ids])
        fixed[ROWS - 1] = fixed[BLOCK + 3]
        words = np.array([f"Kundin-ü{i}" for i in self.ids], dtype=object)
        words[3 * BLOCK] = words[0]
        table = [("same rank", twice((5, 6)), 5, 6), ("two ranks", twice((3, ROWS - 1)), 3, ROWS - 1),
                 ("first pair", twice((1, ROWS - 2), (2 * BLOCK, 2 * BLOCK + 1), (7, 3 * BLOCK)), 2 * BLOCK, 2 * BLOCK + 1),
                 ("three times", twice((BLOCK, 2 * BLOCK), (BLOCK, 3 * BLOCK)), BLOCK, 2 * BLOCK),
                 ("sorted", sorted_ids, BLOCK - 1, BLOCK), ("unsigned", big, 3, ROWS - 1),
                 ("fixed strings", fixed, BLOCK + 3, ROWS - 1), ("strings", words, 0, 3 * BLOCK)]
        cases = []
        for label, ids, first, second in table:
            name = "dup-" + label.replace(" ", "-") + ".h5"
            path = self.inputs / name
            with h5py.File(path, "w") as f:
                f["features"] = self.x
                f.create_dataset("id", data=ids, dtype=h5py.string_dtype() if ids.dtype == object else ids.dtype)
            word = ids[first].decode() if isinstance(ids[first], bytes) else str(ids[first])
            pattern = rf"duplicate id '{re.escape(word)}': .*{re.escape(name)}, /id, rows {first} and {second}: "
            cases.append((label, self.fit(path), 3, pattern))
        self.check_all(cases)
        model = self.nameless_model()
        self.check_all([(c[0] + " assign", self.assign(c[1][1], model=model), 3, c[3]) for c in cases[1::3]])

    def nameless_model(self):
        """A model to which a file without feature names fits by position."""
        data, out = self.make("nameless.h5", names=None), self.inputs / "nameless-run"
        self.check_fine(["fit", data, "--segments", 2, "--out", out, "--quiet"])
        return out / "model.h5"

    def test_weights(self):
        def weights(name, *cells):
            w = np.ones(ROWS)
            for row, value in cells:
                w[row] = value
            return self.make(name, weight=w)

        last = ROWS - 2
        self.check_all([
            ("negative", self.fit(weights("neg.h5", (last, -1e-3))), 3, rf"bad weight .*neg\.h5, /weight, row {last}: "),
            ("first of two", self.fit(weights("neg2.h5", (last, -1.0), (BLOCK + 1, -2.0))), 3, rf"weight -2: .* row {BLOCK + 1}: "),
            ("NaN", self.fit(weights("wnan.h5", (0, np.nan))), 3, r"wnan\.h5, /weight, row 0: "),
            ("Inf", self.fit(weights("winf.h5", (BLOCK, np.inf))), 3, rf"winf\.h5, /weight, row {BLOCK}: "),
            ("all zero", self.fit(self.make("wzero.h5", weight=np.zeros(ROWS))), 3, r"all weights are zero: .*wzero\.h5"),
            ("all zero, none", self.fit(self.inputs / "wzero.h5", "--scale", "none"), 3, r"all weights are zero: .*wzero\.h5"),
        ])

    def test_weights_beyond_float32(self):
        def weights(name, value, row=None):
            w = np.full(ROWS, value if row is None else 1.0)
            w[0 if row is None else row] = value
            return self.make(name, weight=w)

        last, range_of = ROWS - 2, r".*: store 0, or a number from 1\.4e-45 to 3\.4e38 "
        self.check_all([
            ("too large", self.fit(weights("w50.h5", 1e50, last)), 3, rf"bad weight 1e\+50: .*w50\.h5, /weight, row {last}{range_of}"),
            ("all too small", self.fit(weights("w-100.h5", 1e-100)), 3, rf"bad weight 1e-100: .*w-100\.h5, /weight, row 0{range_of}"),
            ("one too small", self.fit(weights("w-46.h5", 1e-46, BLOCK)), 3, rf"bad weight 1e-46: .*row {BLOCK}{range_of}"),
        ])
        for name, value in (("low.h5", 1.5e-45), ("high.h5", 3.4e38)):
            _, cwd = self.check_fine(self.fit(weights(name, value)))
            self.check_fine(["verify", "run"], cwd=cwd)

    def test_outcomes(self):
        """What boundary tests refuse a fit refuses too, by the same line, and before the work."""
        def outcomes(name, *cells):
            y = np.random.default_rng(5).normal(size=(ROWS, 2))
            for row, column, value in cells:
                y[row, column] = value
            return self.make(name, outcomes=y)

        last = 3 * BLOCK + 5
        for path, at in ((outcomes("yinf.h5", (last, 1, np.inf)), rf"row {last} column 1 \(outcome1\): it is inf: "),
                         (outcomes("ybig.h5", (last, 0, 1e300), (BLOCK, 1, -1.1e100)), rf"row {BLOCK} column 1 \(outcome1\): it is -1\.1e\+100: ")):
            pattern = rf"bad outcome: .*{path.name}, /outcomes, {at}store a number up to 1e100, or NaN where it is missing"
            self.check_all([("fit", self.fit(path), 3, pattern), ("range", self.fit(path, k="2:3"), 3, pattern)])
            self.check_all([("sweep", ["boundary", "sweep", path, "--model", self.model], 3, pattern)], layouts=(1,))
        _, cwd = self.check_fine(self.fit(outcomes("ynan.h5", (last, 1, np.nan), (3, 0, 1e100))))
        told = self.results(cwd / "run")["diagnostics"]["segments"]
        self.assertEqual([sum(s["outcomes"][i]["count"] for s in told) for i in range(2)], [ROWS, ROWS - 1])

    def test_constant_feature(self):
        x = self.x.copy()
        x[:, 1] = 2.5
        path = self.make("constant.h5", x)
        cases = [(how, self.fit(path, "--scale", how), 3, r"constant feature: .*constant\.h5.*column 1 \(beta\)")
                 for how in ("zscore", "minmax", "robust")]
        self.check_all(cases)
        for more in (["--scale", "none"], ["--feature-weights", "beta=0"]):
            _, cwd = self.check_fine(self.fit(path, *more))
            self.assertEqual(self.results(cwd / "run")["size"].sum(), ROWS)

    def test_all_rows_equal(self):
        path = self.make("equal.h5", np.tile([1.0, 2.0, 3.0], (ROWS, 1)))
        cases = [(how, self.fit(path, "--scale", how), 3, r"equal\.h5") for how in ("zscore", "minmax", "robust")]
        cases += [("none", self.fit(path, "--scale", "none", k=2), 4, "fewer distinct customers than segments")]
        self.check_all(cases)
        _, cwd = self.check_fine(self.fit(path, "--scale", "none", k=1))
        r = self.results(cwd / "run")
        np.testing.assert_array_equal(r["centroids"], [[1.0, 2.0, 3.0]])
        np.testing.assert_array_equal(r["distance"], 0.0)


class Extremes(BadInput):
    """Numbers at the ends of double and single precision: refused with a true line, or fitted so that it verifies."""

    def scaled(self, name, factor, columns=(0,)):
        x = self.x.copy()
        x[:, list(columns)] *= factor
        return self.make(name, x)

    def test_refused_before_the_work(self):
        far, close = r"values too far apart: .*{}\.h5 /features column 0 \(alpha\) holds ", r"values too close together: .*{}\.h5 "
        last = 3 * BLOCK + 9
        cell, split = self.changed("cell.h5", (last, 0, 1e200)), self.x.copy()
        split[:, 0] = np.where(split[:, 0] > 0, 1.7e308, -1.7e308)
        split = self.make("split.h5", split)
        self.scaled("tiny.h5", 1e-310)
        cases = [(f"{name} {how}", self.fit(self.inputs / f"{name}.h5", "--scale", how), 3, pattern.format(name))
                 for name, pattern, scales in (("cell", far, ("zscore", "robust", "none")),
                                               ("split", far, ("zscore", "robust", "minmax", "none")),
                                               ("tiny", close, ("zscore", "robust", "minmax", "none")))
                 for how in scales]
        for name, factor, columns, pattern in (("large", 1e60, (0,), far), ("larger", 1e200, (0,), far), ("small", 1e-60, (0,), close),
                                               ("all-small", 1e-60, (0, 1, 2), close)):
            cases.append((name, self.fit(self.scaled(f"{name}.h5", factor, columns), "--scale", "none"), 3, pattern.format(name)))
        cases += [(weights, self.fit(self.good, "--feature-weights", weights), 2,
                   rf"weight too {size}: --feature-weights {name}=")
                  for weights, size, name in (("alpha=1e300", "large", "alpha"), ("gamma=1e60", "large", "gamma"),
                                              ("alpha=1e-300,beta=1e-300,gamma=1e-300", "small", "alpha"),
                                              ("beta=1e-40", "small", "beta"), ("beta=1e-320", "small", "beta"))]
        beside = self.changed("beside.h5", (0, 1, 1e100))  # alpha is lost beside beta, whose fault it is
        cases.append(("beside", self.fit(beside, "--scale", "none"), 3, r"values too far apart: .* column 1 \(beta\) "))
        start = self.inputs / "start.h5"
        with h5py.File(start, "w") as f:
            f["centroids"] = [[0.0, 0, 0], [0, 1e60, 0], [1, 1, 1]]
        cases.append(("start", self.fit(self.good, "--init", start), 3, r"bad centroid: .*start\.h5 /centroids row 1 column 1 "))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::3], layouts=(4,))
        self.check_all([(f"streamed {path.stem}", self.fit(path, "--memory-limit", "1M"), 3, far.format(path.stem))
                        for path in (cell, split)])

    def test_what_is_fitted_verifies(self):
        """Whatever a fit accepts has finite results, which the same program finds right."""
        rng = np.random.default_rng(3)
        high = self.x.copy()
        high[:, 0] = 10.0 ** rng.uniform(0, 300, ROWS)
        split = self.x.copy()
        split[:, 0] = np.where(split[:, 0] > 0, 1.7e308, -1.7e308)
        high, split = self.make("high.h5", high), self.make("halves.h5", split)
        accepted = 0
        for label, path, *options in (
                ("a cell, minmax", self.changed("one.h5", (7, 0, 1e200)), "--scale", "minmax"),
                ("1e200, minmax", self.scaled("200.h5", 1e200), "--scale", "minmax"),
                ("1e200, robust", self.inputs / "200.h5", "--scale", "robust"),
                ("1e-170, minmax", self.scaled("-170.h5", 1e-170), "--scale", "minmax"),
                ("1e60", self.scaled("60.h5", 1e60, (0, 1, 2))), ("1e-60", self.scaled("-60.h5", 1e-60, (0, 1, 2))),
                ("1e30, none", self.scaled("30.h5", 1e30), "--scale", "none"),
                ("1e-30, none", self.scaled("-30.h5", 1e-30, (0, 1, 2)), "--scale", "none"),
                ("1e36, none", self.scaled("36.h5", 1e36), "--scale", "none"),
                ("1e38, none", self.scaled("38.h5", 1e38), "--scale", "none"),
                ("offset", self.make("offset.h5", self.x + 1e15), "--scale", "none"),
                ("log1p", high, "--log1p", "alpha"), ("no weight", split, "--feature-weights", "alpha=0"),
                ("halves, minmax", split, "--scale", "minmax"), ("halves, robust", split, "--scale", "robust"),
                ("heavy", self.good, "--feature-weights", "alpha=1e30"), ("light", self.good, "--feature-weights", "alpha=1e-30"),
                ("constant", self.make("flat.h5", np.c_[np.full(ROWS, 1e300), self.x[:, 1:]]), "--scale", "none")):
            with self.subTest(label):
                cwd = self.folder()
                o = launch(self.fit(path, *options, "--quiet"), cwd)
                if o.codes != [0]:
                    self.check_failure(o, 3, r"values too (far apart|close together): ")
                    continue
                accepted += 1
                self.check_fine(["verify", "run"], cwd=cwd)
                r = self.results(cwd / "run")
                for key in ("centroids", "centroids_scaled", "distance", "margin"):
                    self.assertTrue(np.isfinite(r[key]).all(), key)
                self.assertGreater((r["distance"] > 0).mean(), 0.9)
                self.assertTrue(np.isfinite(r["attrs"]["objective"]) and r["attrs"]["objective"] > 0)
                if label not in ("no weight", "constant"):
                    told = r["diagnostics"]
                    figures = [*told["overall"]["mean"].values(), *told["overall"]["sd"].values()] + [
                        f[key] for s in told["segments"] for f in s["features"] for key in ("mean", "sd", "difference")]
                    self.assertNotIn(None, figures)
                    apart = {f["name"] for s in told["segments"] for f in s["features"] if f["difference"] != 0.0}
                    self.assertTrue(label == "offset" or apart == set(NAMES), apart)
        self.assertGreaterEqual(accepted, 13)

    def test_distances_beyond_double(self):
        """A model whose distances are no numbers assigns nobody."""
        model = self.inputs / "beyond.h5"
        shutil.copy(self.model, model)
        with h5py.File(model, "r+") as f:
            far = np.full((3, 3), 2.0**700)
            f["transform/origin"][...] = f["transform/center"][...] = 0.0
            f["transform/factor"][...] = 1.0
            for name in ("transform/centroids", "centroids", "centroids_scaled"):
                f[name][...] = far
        self.check_all([("assign", self.assign(self.good, model=model), 4, "distances beyond double precision: .*good")])

    def test_info(self):
        """A spread that double precision cannot hold is not told as 0, nor a mean that it cannot add up as a number."""
        x = self.x.copy()
        x[9, 0] = 1e200
        x[:, 1] *= 1e-310
        x[:, 2] = np.where(x[:, 2] > 0, 1.7e308, -1.7e308)
        path = self.make("ends.h5", x)
        for ranks in (1, 4):
            o, _ = self.check_fine(["info", path, "--json"], ranks=ranks)
            alpha, beta, gamma = json.loads(o.out[0])["features"]
            self.assertAlmostEqual(alpha["mean"] / (1e200 / ROWS), 1.0)
            self.assertEqual([alpha["sd"], beta["sd"], gamma["sd"], gamma["mean"]], [None] * 4)

    def test_spread_among_weightless_customers_only(self):
        x, w = self.x.copy(), np.ones(ROWS)
        x[:, 1], x[5, 1], w[5] = 2.5, 4.0, 0.0
        self.check_all([("weightless", self.fit(self.make("spread.h5", x, weight=w)), 3,
                         r"constant feature: .*column 1 \(beta\) is equal where customers have weight ")])


class TooManySegments(BadInput):
    def start(self, name, centroids):
        path = self.inputs / name
        with h5py.File(path, "w") as f:
            f["centroids"] = np.asarray(centroids, dtype=float)
        return path

    def test_numbers(self):
        segments = r"--segments"
        self.check_all([("zero", self.fit(self.good, k=0), 2, segments), ("negative", self.fit(self.good, k=-3), 2, segments),
                        ("no number", self.fit(self.good, k="many"), 2, segments), ("part", self.fit(self.good, k="3.5"), 2, segments),
                        ("range from 0", self.fit(self.good, k="0:3"), 2, segments),
                        ("backwards", self.fit(self.good, k="5:2"), 2, segments),
                        ("huge", self.fit(self.good, k=99999999999999999999), 2, segments),
                        ("no k", ["fit", self.good, "--out", "run"], 2, segments)], layouts=(1,))
        self.check_all([("zero", self.fit(self.good, k=0), 2, segments)])

    def test_more_than_rows(self):
        few = self.make("few.h5", self.x[:5])
        starts = self.start("six.h5", self.x[:6])
        pattern = "fewer (distinct )?customers than segments: .*"
        cases = [("by one", self.fit(few, k=6), 4, pattern + r"few\.h5.* 5\b.* 6 "),
                 ("far more", self.fit(self.good, k=ROWS + 1), 4, pattern), ("file", self.fit(few, "--init", starts, k=6), 4, pattern),
                 ("range", self.fit(few, "--quiet", k="6:8"), 4, pattern)]
        self.check_all(cases)
        _, cwd = self.check_fine(self.fit(few, k=5), ranks=4)
        np.testing.assert_array_equal(self.results(cwd / "run")["size"], 1)

    def test_more_than_distinct_rows(self):
        """13,000 rows of five kinds; one kind lies only in rows of the last rank."""
        kinds = np.array([[0.0, 0, 0], [1, 0, 2], [0, 1, 5], [3, 3, 3], [-4, 0, 1]])
        which = np.arange(ROWS) % 4
        which[ROWS - 3] = 4
        path = self.make("kinds.h5", kinds[which])
        starts = self.start("starts.h5", np.vstack([kinds, [[9.0, 9, 9]]]))
        repeated = self.start("repeated.h5", np.vstack([kinds, kinds[:1]]))
        pattern = "fewer distinct customers than segments: .* 5 .*: lower --segments"
        cases = []
        for init in ("kmeans||", "kmeans++", "random", starts, repeated):
            name = init if isinstance(init, str) else init.name
            cases += [(name, self.fit(path, "--init", init, k=6), 4, pattern)]
            cases += [(name + " lloyd", self.fit(path, "--init", init, "--algorithm", "lloyd", "--scale", "none", k=6), 4, pattern)]
        self.check_all(cases)
        more = [(f"{c[0]} {w}", c[1] + list(w), 4, pattern) for c in cases[::2]
                for w in (("--polish", "0"), ("--max-iterations", "1"), ("--restarts", "3"), ("--memory-limit", "1M"))]
        more += [("many", self.fit(path, k=500), 4, pattern), ("range", self.fit(path, "--quiet", k="6:7"), 4, pattern)]
        self.check_all(more, layouts=(1,))
        for init in ("kmeans||", "kmeans++", "random"):
            _, cwd = self.check_fine(self.fit(path, "--init", init, k=5))
            r = self.results(cwd / "run")
            self.assertEqual(sorted(r["size"]), sorted(np.bincount(which)))
            self.assertEqual(r["attrs"]["objective"], 0.0)
        _, cwd = self.check_fine(self.fit(path, k="4:7"))
        self.assertLessEqual(len(self.results(cwd / "run")["size"]), 5)

    def test_weightless_customers_do_not_count(self):
        kinds = np.array([[0.0, 0, 0], [1, 0, 2], [0, 1, 5], [3, 3, 3]])
        which = np.arange(ROWS) % 4
        path = self.make("weightless.h5", kinds[which], weight=(which != 2).astype(float))
        for init in ("kmeans||", "random"):
            self.check_all([(init, self.fit(path, "--init", init, k=4), 4, "fewer distinct customers than segments: .* 3 ")],
                           layouts=(1, 4) if init == "random" else (1,))
        self.check_fine(self.fit(path, k=3))

    def test_start_file(self):
        c = self.x[:3]
        bad = c.copy()
        bad[1, 2] = np.nan
        other = self.inputs / "other.h5"
        with h5py.File(other, "w") as f:
            f["centres"] = c
        words = self.inputs / "words.h5"
        with h5py.File(words, "w") as f:
            f["centroids"] = np.array([[b"a"] * 3] * 3)

        def fit(path, *more, **kw):
            return self.fit(self.good, "--init", path, *more, **kw)

        cases = [("fewer rows", fit(self.start("two.h5", c[:2])), 3, r"two\.h5.*/centroids"),
                 ("more rows", fit(self.start("four.h5", self.x[:4])), 3, r"four\.h5.*/centroids"),
                 ("columns", fit(self.start("narrow.h5", c[:, :2])), 3, r"narrow\.h5.*/centroids"),
                 ("1-D", fit(self.start("flat.h5", c.ravel())), 3, r"flat\.h5.*/centroids"),
                 ("3-D", fit(self.start("cube.h5", c[:, :, None])), 3, r"cube\.h5.*/centroids"),
                 ("no rows", fit(self.start("norow.h5", c[:0])), 3, r"norow\.h5.*/centroids"),
                 ("NaN", fit(self.start("cnan.h5", bad)), 3, r"cnan\.h5.*row 1 column 2"),
                 ("text", fit(words), 3, r"words\.h5.*/centroids"), ("no centroids", fit(other), 3, r"no such dataset: \S*other\.h5, /centroids: --init takes"),
                 ("not HDF5", fit(self.text("start.txt", "1 2 3\n")), 3, r"start\.txt"),
                 ("missing", fit(self.inputs / "gone.h5"), 3, r"gone\.h5"), ("directory", fit(self.inputs), 3, r"directory"),
                 ("log1p", fit(self.start("low.h5", c - 99.0), "--log1p", "alpha"), 3, r"low\.h5|alpha")]
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::4])

    def test_start_file_for_a_range(self):
        """A file has one number of centroids: for a range of k it fits at most one of them."""
        path = self.start("three.h5", self.x[:3])
        for k in ("3:5", "2:3"):
            o = launch(self.fit(self.good, "--init", path, "--quiet", k=k), self.folder())
            self.assertIn(o.codes[0], (2, 3), f"{k}\n{o}")


class Models(BadInput):
    """Models that do not fit or are damaged, and results that are."""

    def edited(self, name, edit, source="model.h5"):
        path = self.inputs / name
        shutil.copy(self.inputs / "run" / source, path)
        with h5py.File(path, "r+") as f:
            edit(f)
        return path

    def test_other_features(self):
        renamed = self.make("renamed.h5", names=["alpha", "delta", "gamma"])
        narrow = self.make("narrow-nameless.h5", self.x[:, :2], names=None)
        self.check_all([("missing", self.assign(renamed), 3, r"feature missing: .*renamed\.h5.*'beta'"),
                        ("no names", self.assign(narrow), 3, r"narrow-nameless\.h5"),
                        ("verify", ["verify", self.inputs / "run", "--data", renamed], 3, r"renamed\.h5.*'beta'")])

    def test_not_a_model(self):
        data = self.good
        cases = [("customers", self.assign(data, model=data), 3, r"good\.h5"),
                 ("assignments", self.assign(data, model=self.inputs / "run" / "assignments.h5"), 3, r"assignments\.h5"),
                 ("directory", self.assign(data, model=self.inputs / "run"), 3, r"run"),
                 ("json", self.assign(data, model=self.inputs / "run" / "manifest.json"), 3, r"manifest\.json"),
                 ("missing", self.assign(data, model=self.inputs / "nope.h5"), 3, r"nope\.h5"),
                 ("empty", self.assign(data, model=self.text("empty-model.h5", b"")), 3, r"empty-model\.h5")]
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[:3:2])

    def test_damaged(self):
        def drop(name):
            return lambda f: f.__delitem__(name)

        def put(name, value):
            def edit(f):
                del f[name]
                f[name] = value
            return edit

        def set_nan(name):
            def edit(f):
                v = f[name][()]
                v.flat[-1] = np.nan
                f[name][...] = v
            return edit

        with h5py.File(self.model, "r") as f:
            inside = [f"/transform/{key}" for key in f["transform"] if isinstance(f["transform"][key], h5py.Dataset)]
            self.assertGreaterEqual(len(inside), 2)
        edits = {"no-centroids": drop("centroids_scaled"), "no-offsets": drop("offsets"), "no-transform": drop("transform"),
                 "no-names": drop("feature_names"), "wide": put("centroids_scaled", np.zeros((3, 4))),
                 "flat": put("centroids_scaled", np.zeros(9)), "none": put("centroids_scaled", np.zeros((0, 3))),
                 "offsets": put("offsets", np.zeros(2)), "words": put("offsets", np.array([b"a", b"b", b"c"])),
                 "nan": set_nan("centroids_scaled"), "offset-nan": set_nan("offsets"),
                 "names": put("feature_names", np.array([b"alpha", b"beta"])),
                 "version": lambda f: f.attrs.__setitem__("format_version", 999),
                 "no-version": lambda f: f.attrs.__delitem__("format_version")}
        for path in inside:
            edits["drop" + path.replace("/", "-")] = drop(path)
        # With what the line must say besides the file.
        said = {"twice": (put("feature_names", np.array([b"alpha", b"beta", b"alpha"])), "name used twice: {}, .*'alpha'"),
                "objective": (lambda f: f.attrs.__setitem__("objective", np.nan), "damaged model: {} attribute objective"),
                "far": (put("offsets", np.array([0.0, 1e300, 0.0])), "damaged model: {} /offsets of segment 1"),
                "digest": (lambda f: f.attrs.__setitem__("digest", "abc"), "damaged model: {} attribute digest"),
                "digits": (lambda f: f.attrs.__setitem__("digest", "x" * 32), "damaged model: {} attribute digest"),
                "centroids": (drop("centroids"), "no such dataset: {}, /centroids: give a file that has it"),
                "no-sizes": (drop("size"), "no such dataset: {}, /size")}
        said = {label: (edit, pattern.format(rf"\S*m-{label}\.h5")) for label, (edit, pattern) in said.items()}
        said |= {label: (edit, rf"m-{label}\.h5") for label, edit in edits.items()}
        cases = [(label, self.assign(self.good, model=self.edited(f"m-{label}.h5", edit)), 3, pattern)
                 for label, (edit, pattern) in said.items()]
        data = self.model.read_bytes()
        for cut in (8, 100, 1000, len(data) // 2, len(data) - 1):
            cases.append((f"cut at {cut}", self.assign(self.good, model=self.text(f"m-cut{cut}.h5", data[:cut])), 3, rf"m-cut{cut}\.h5"))
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::6])

    def test_damaged_results(self):
        def results(name, edit):
            path = self.inputs / name
            shutil.copytree(self.inputs / "run", path)
            edit(path)
            return path

        def cut(name):
            return lambda d: (d / name).write_bytes((d / name).read_bytes()[:700])

        def relabel(row):
            def edit(d):
                with h5py.File(d / "assignments.h5", "r+") as f:
                    f["segment"][row] = (f["segment"][row] + 1) % 3
            return edit

        def other_input(d):
            manifest = json.loads((d / "manifest.json").read_text())
            manifest["input"]["digest"] = "0123456789abcdef" * 2
            (d / "manifest.json").write_text(json.dumps(manifest))

        def other_size(d):
            with h5py.File(d / "model.h5", "r+") as f:
                f["size"][0] += 1

        table = [("no assignments", results("v1", lambda d: (d / "assignments.h5").unlink()), 3, r"v1/assignments\.h5"),
                 ("no model", results("v2", lambda d: (d / "model.h5").unlink()), 3, r"v2/model\.h5"),
                 ("no manifest", results("v3", lambda d: (d / "manifest.json").unlink()), 3, r"v3/manifest\.json"),
                 ("cut assignments", results("v4", cut("assignments.h5")), 3, r"v4/assignments\.h5"),
                 ("cut manifest", results("v5", cut("manifest.json")), 3, r"v5/manifest\.json"),
                 ("cut model", results("v6", cut("model.h5")), 3, r"v6/model\.h5"),
                 ("label", results("v7", relabel(ROWS - 1)), 6, rf"v7/assignments\.h5, /segment of row {ROWS - 1}\b"),
                 ("first label", results("v8", lambda d: (relabel(ROWS - 1)(d), relabel(BLOCK)(d))), 6, rf"row {BLOCK}\b"),
                 ("input", results("v10", other_input), 6, r"v10/manifest\.json, digest of the input is 0123"),
                 ("size", results("v11", other_size), 6, r"v11/model\.h5, /size of segment 0"),
                 ("missing", self.inputs / "v9", 3, r"v9"), ("a file", self.good, 3, r"good\.h5")]
        cases = [(label, ["verify", path], code, pattern) for label, path, code, pattern in table]
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::3])


class CommandLine(BadInput):
    """Usage errors on every rank; the rest of them is in cli/test_usage.py."""

    def test_options(self):
        config = self.text("bad.conf", "segments = 3\nsegmets = 4\n")
        self.check_all([
            ("option", self.fit(self.good, "--nope", "1"), 2, "unknown option: .*--nope"),
            ("command", ["fti", self.good], 2, "unknown command: 'fti'"), ("none", [], 2, "missing command"),
            ("feature", self.fit(self.good, "--log1p", "delta"), 2, "unknown feature 'delta': .*"),
            ("weight twice", self.fit(self.good, "--feature-weights", "alpha=1,alpha=2"), 2,
             "name given twice: --feature-weights 'alpha'"),
            ("config name", self.fit(self.good, "--config", config), 2, r"bad\.conf.*line 2.*segmets"),
            ("config missing", self.fit(self.good, "--config", self.inputs / "no.conf"), 3, r"--config.*no\.conf"),
            ("config directory", self.fit(self.good, "--config", self.inputs), 3, r"--config.*directory"),
            # Opens, but reading it fails with an I/O error, for root too.
            ("config unreadable", self.fit(self.good, "--config", "/proc/self/mem"), 5, "cannot read: .*/proc/self/mem"),
            ("generate", ["generate", "x.h5", "--customers", "0"], 2, "--customers"),
            ("import", ["import", self.inputs / "gone.csv", "x.h5"], 3, r"gone\.csv"),
            ("import cell", ["import", self.text("bad.csv", "a,b\n1,2\n3,x\n"), "x.h5"], 3, r"bad\.csv.*3.*b"),
            ("import empty", ["import", self.text("empty.csv", ""), "x.h5"], 3, r"empty\.csv"),
            ("import directory", ["import", self.inputs, "x.h5"], 3, re.escape(str(self.inputs))),
        ])

    def test_stderr_full(self):
        """Even where the line cannot be written the exit code is right and nothing is left."""
        cwd = self.folder()
        o = launch(self.fit(self.inputs / "nope.h5"), cwd, ranks=2, prefix='set -- sh -c \'exec "$@" 2>/dev/full\' x "$@"')
        self.assertEqual((o.hung, o.codes), (False, [3, 3]), str(o))
        self.assertEqual(snapshot(cwd), {})


if __name__ == "__main__":
    t.main()
