"""Files made to harm: links and values that lie elsewhere, plugins, sizes beyond the file, names with control characters.

Sizes are checked under a limit on address space, so that an allocation the file merely asks for cannot succeed.
"""
import json
import os
import pathlib
import re
import resource
import struct
import subprocess

import h5py
import numpy as np

import demarc_testing as t
import experiment_files

ROWS = 300
ROOM = 3 << 30  # bytes of address space: the program with its libraries takes about one
EVIL = "e\x1b[2J\nx\x07\u202e"  # clears a terminal, breaks a line, beeps, turns what follows round


def run_limited(*args, env=None, cwd=None):
    return subprocess.run([t.DEMARC, *map(str, args), "--threads", "1"], capture_output=True, text=True, cwd=cwd,
                          env=dict(os.environ, **(env or {})), timeout=120,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM)))


class Hostile(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.x = (rng.standard_normal((ROWS, 3)) + (np.arange(ROWS) % 2)[:, None] * 6).astype("f4")
        self.good = self.write("good.h5", self.x, id=np.arange(ROWS), weight=np.ones(ROWS))

    def refused(self, pattern, *args, code=3):
        p = run_limited(*args)
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout}{p.stderr}")
        self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
        self.assertRegex(p.stderr, r"^demarc: [^:]+: .+: .+")
        self.assertRegex(p.stderr, pattern)
        return p

    def info(self, path, *more):
        return json.loads(self.ok("info", path, "--json", *more).stdout)

    def model(self):
        out = self.tmp / "run"
        if not out.exists():
            self.ok("fit", self.good, "--segments", 2, "--out", out, "--quiet")
        return out / "model.h5"


class OtherFiles(Hostile):
    def linked(self, name, links):
        path = self.tmp / name
        with h5py.File(path, "w") as f:
            for key, link in links.items():
                f[key] = link
        return path

    def test_external_link(self):
        elsewhere = h5py.ExternalLink("good.h5", "/features")
        path = self.linked("link.h5", {"features": elsewhere})
        line = r"link to another file: .*link\.h5, /features leads to /features in file good\.h5: .*--allow-external"
        self.refused(line, "info", path)
        self.refused(line, "fit", path, "--segments", 2, "--out", self.tmp / "out")
        self.refused(line, "assign", path, "--model", self.model(), "--out", self.tmp / "a.h5")
        self.assertFalse((self.tmp / "out").exists())
        self.assertEqual(self.info(path, "--allow-external")["n"], ROWS)
        # On the way, behind a link inside the file, and in an optional column.
        whole = h5py.ExternalLink("good.h5", "/")
        self.refused(r"link to another file: .*, /g/features leads to", "info", self.linked("on.h5", {"g": whole}), "--features",
                     "/g/features")
        self.refused("link to another file", "info",
                     self.linked("soft.h5", {"e": elsewhere, "features": h5py.SoftLink("/e")}))
        with h5py.File(self.tmp / "part.h5", "w") as f:
            f["features"] = self.x
            f["weight"] = h5py.ExternalLink("good.h5", "/weight")
        self.refused("link to another file: .*part.h5, /weight", "info", self.tmp / "part.h5")

    def test_soft_link_inside(self):
        with h5py.File(self.tmp / "inside.h5", "w") as f:
            f["deep/x"] = self.x
            f["features"] = h5py.SoftLink("/deep/x")
        self.assertEqual(self.info(self.tmp / "inside.h5")["n"], ROWS)

    def test_every_kind_of_input(self):
        model = self.model()
        for name in ("feature_names", "centroids", "offsets", "transform"):
            path = self.tmp / f"m-{name}.h5"
            path.write_bytes(model.read_bytes())
            with h5py.File(path, "r+") as f:
                del f[name]
                f[name] = h5py.ExternalLink(str(model), f"/{name}")
            self.refused(rf"link to another file: .*m-{name}\.h5", "assign", self.good, "--model", path, "--out", self.tmp / f"{name}.h5")
            self.ok("assign", self.good, "--model", path, "--out", self.tmp / f"{name}.h5", "--allow-external", "--quiet")
        start = self.linked("start.h5", {"centroids": h5py.ExternalLink(str(model), "/centroids")})
        fit = ("fit", self.good, "--segments", 2, "--out", self.tmp / "o", "--init", start, "--quiet")
        self.refused("link to another file: .*start.h5", *fit)
        self.ok(*fit, "--allow-external")
        self.assertIs(json.loads((self.tmp / "o" / "manifest.json").read_text())["input"]["allow_external"], True)
        self.assertIs(json.loads((self.tmp / "run" / "manifest.json").read_text())["input"]["allow_external"], False)
        stored = self.tmp / "run" / "assignments.h5"
        copy = self.linked("stored.h5", {k: h5py.ExternalLink(str(stored), f"/{k}") for k in ("id", "segment", "distance", "runner_up", "margin")})
        self.refused("link to another file: .*stored.h5", "info", copy)
        experiment_files.write_experiment(self.tmp / "e.h5", n=200)
        experiment_files.write_results(self.tmp / "r.h5", np.arange(200) * 7 - 50, {"spend": np.arange(200.0)})
        for name in ("arm", "boundaries", "id"):
            path = self.tmp / f"e-{name}.h5"
            path.write_bytes((self.tmp / "e.h5").read_bytes())
            with h5py.File(path, "r+") as f:
                del f[name]
                f[name] = h5py.ExternalLink("e.h5", f"/{name}")
            self.refused(rf"link to another file: .*e-{name}\.h5", "boundary", "analyze", path, self.tmp / "r.h5")
        results = self.linked("r-link.h5", {"id": h5py.ExternalLink("r.h5", "/id"), "outcomes": h5py.ExternalLink("r.h5", "/outcomes")})
        self.refused(r"link to another file: .*r-link\.h5", "boundary", "analyze", self.tmp / "e.h5", results)

    def test_external_values(self):
        raw = self.tmp / "raw.bin"
        self.x.tofile(raw)
        path = self.tmp / "raw.h5"
        with h5py.File(path, "w") as f:
            f.create_dataset("features", shape=self.x.shape, dtype="f4", external=[(str(raw), 0, self.x.nbytes)])
        self.refused(r"values lie in other files: .*raw\.h5, /features is external, of .*raw\.bin: .*--allow-external", "info", path)
        with_flag = self.info(path, "--allow-external")
        for a, b in zip(with_flag["features"], self.info(self.good)["features"]):
            self.assertEqual(a["mean"], b["mean"])
        with open(raw, "r+b") as f:
            f.truncate(self.x.nbytes - 4)
        self.refused(r"values are missing: .*raw\.bin", "info", path, "--allow-external")
        raw.unlink()
        self.refused(r"values are missing: .*raw\.bin", "info", path, "--allow-external")

    def test_virtual_dataset(self):
        layout = h5py.VirtualLayout(shape=self.x.shape, dtype="f4")
        layout[:] = h5py.VirtualSource("good.h5", "features", shape=self.x.shape)
        path = self.tmp / "virtual.h5"
        with h5py.File(path, "w") as f:
            f.create_virtual_dataset("features", layout)
        self.refused(r"values lie in other files: .*virtual\.h5, /features is virtual, of good\.h5: .*--allow-external", "info", path)
        self.assertEqual(self.info(path, "--allow-external")["features"][0]["mean"], self.info(self.good)["features"][0]["mean"])
        self.good.unlink()
        self.refused(r"no such file: .*good\.h5", "info", path, "--allow-external")

    def test_plugin(self):
        """A library on HDF5's plugin path is not loaded; its file says by a mark that it was."""
        compiler = next((c for c in ("/usr/bin/cc", "/usr/bin/gcc") if os.path.exists(c)), None)
        if compiler is None:
            self.skipTest("no C compiler")
        folder = self.tmp / "plugins"
        folder.mkdir()
        (self.tmp / "p.c").write_text('#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void loaded(void)'
                                      '{ FILE *f = fopen(getenv("MARK"), "w"); if (f) fclose(f); }\n')
        subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "libp.so", self.tmp / "p.c"], check=True)
        path = self.tmp / "filter.h5"
        with h5py.File(path, "w") as f:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((100, 3))
            plist.set_filter(h5py.h5z.FILTER_SHUFFLE)
            ds = h5py.h5d.create(f.id, b"features", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((ROWS, 3)), plist)
            h5py.Dataset(ds)[...] = self.x
        data = path.read_bytes()
        found = [m.start() for m in re.finditer(re.escape(struct.pack("<HH", 2, 8)), data)] or \
                [m.start() for m in re.finditer(re.escape(struct.pack("<H", 2) + b"\x08\x00"), data)]
        self.assertTrue(found, "the filter message has moved")
        for at in found:
            data = data[:at] + struct.pack("<H", 32004) + data[at + 2:]
        path.write_bytes(data)
        mark = self.tmp / "mark"
        env = {"HDF5_PLUGIN_PATH": str(folder), "MARK": str(mark)}
        p = run_limited("info", path, env=env)
        self.assertEqual(p.returncode, 3, p.stderr)
        self.assertRegex(p.stderr, r"^demarc: filter not available: .*filter 32004 .*--allow-external")
        self.assertFalse(mark.exists(), "the plugin was loaded")
        p = run_limited("info", path, "--allow-external", env=env)
        self.assertRegex(p.stderr, r"^demarc: filter not available: .*filter 32004 .*install its HDF5 plugin$")
        self.assertTrue(mark.exists(), "HDF5 does not look there: the test proves nothing")


class Sizes(Hostile):
    def patched(self, name, fill, old, new, **kw):
        """A file whose bytes `old` (little-endian 64-bit integers) become `new` wherever they stand."""
        path = self.tmp / name
        with h5py.File(path, "w", **kw) as f:
            fill(f)
        data = path.read_bytes()
        a, b = (struct.pack(f"<{len(v)}Q", *v) for v in (old, new))
        self.assertTrue(a in data, "the numbers are not there")
        path.write_bytes(data.replace(a, b))
        return path

    def test_rows_that_are_not_there(self):
        def contiguous(f):
            f["features"] = self.x

        def chunked(f):
            f.create_dataset("features", data=self.x, chunks=(100, 3), maxshape=(None, 3), compression="gzip")

        def unlimited(f):
            f.create_dataset("features", data=self.x, chunks=(100, 3), maxshape=(None, 3))

        size = r"(impossible size|cannot be opened)"
        for rows in (1 << 20, 1 << 40, 1 << 59, 1 << 60, (1 << 64) - 1):
            for fill in (contiguous, chunked, unlimited):
                told = 1 << 26 if fill is chunked and rows == 1 << 20 else rows  # deflate might hold the smaller number
                name = f"{fill.__name__}-{told}.h5"
                path = self.patched(name, fill, (ROWS, 3), (told, 3))
                self.refused(rf"{size}.*{name}", "info", path)
                self.refused(rf"{size}.*{name}", "fit", path, "--segments", 2, "--out", self.tmp / "o")

    def test_storage_of_another_size(self):
        """The shape says 3600 bytes, what is stored says otherwise: HDF5 alone reads beyond its buffer."""
        for size in (1, 100, 3599, 3601, 1 << 40):
            path = self.patched(f"stored-{size}.h5", lambda f: f.__setitem__("features", self.x), (self.x.nbytes,), (size,))
            self.refused(rf"stored-{size}\.h5", "fit", path, "--segments", 2, "--out", self.tmp / "o")

    def test_values_in_the_header(self):
        """The same of values that lie in the dataset's header."""
        path = self.tmp / "header.h5"
        with h5py.File(path, "w") as f:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_layout(h5py.h5d.COMPACT)
            f.create_dataset("features", data=self.x, dcpl=plist)
        data = path.read_bytes()
        mark = struct.pack("<BBH", 3, 0, self.x.nbytes) + self.x.tobytes()[:8]
        self.assertEqual(data.count(mark), 1)
        for size in (0, 1, self.x.nbytes - 1):
            path.write_bytes(data.replace(mark, struct.pack("<BBH", 3, 0, size) + mark[4:]))
            self.refused(r"header\.h5", "info", path)

    def test_columns_that_are_not_there(self):
        path = self.patched("wide.h5", lambda f: f.__setitem__("features", self.x), (ROWS, 3), (ROWS, 1 << 40))
        self.refused(r"(impossible size|cannot be opened).*wide\.h5", "info", path)

    def test_filters_without_a_bound(self):
        """Scale-offset makes much of little, but only of chunks that are there."""
        path = self.tmp / "offset.h5"
        with h5py.File(path, "w") as f:
            d = f.create_dataset("features", shape=(100 << 20, 1), dtype="i4", chunks=(1 << 18, 1), scaleoffset=0)
            d[:1 << 18, 0] = np.arange(1 << 18) % 7
        self.refused(r"impossible size.*offset\.h5", "fit", path, "--segments", 2, "--out", self.tmp / "o")

    def test_chunks(self):
        """One small chunk dataset that says its chunks are large."""
        for rows in (1 << 20, 1 << 29, 1 << 31):
            path = self.tmp / f"chunk-{rows}.h5"
            with h5py.File(path, "w") as f:
                f.create_dataset("features", data=self.x, chunks=(77, 3), maxshape=(None, 3))
            data = path.read_bytes()
            a, b = (struct.pack("<III", v, 3, 4) for v in (77, rows))
            self.assertTrue(a in data, "the numbers are not there")
            path.write_bytes(data.replace(a, b))
            self.refused(rf"chunk-{rows}\.h5", "info", path)

    def test_long_texts(self):
        """Ids of a fixed length that the file does not hold, and names in their thousands of millions."""
        with h5py.File(self.tmp / "ids.h5", "w") as f:
            f["features"] = self.x
            f.create_dataset("id", data=np.array([b"%07d" % i for i in range(ROWS)], "S77"))
        data = (self.tmp / "ids.h5").read_bytes()
        for size in (1 << 20, (1 << 31) - 1):
            a, b = struct.pack("<BBBBI", 0x13, 1, 0, 0, 77), struct.pack("<BBBBI", 0x13, 1, 0, 0, size)
            self.assertTrue(a in data, "the string type has moved")
            path = self.tmp / f"ids-{size}.h5"
            path.write_bytes(data.replace(a, b))
            self.refused(rf"ids-{size}\.h5", "info", path)

    def test_attribute(self):
        for names in (1 << 20, 1 << 31, 1 << 40, 1 << 60):
            path = self.patched(f"names-{names}.h5", lambda f: f.create_dataset("features", data=self.x).attrs.__setitem__(
                "feature_names", np.array([b"aa"] * 3 + [b"bb"] * 74)), (77,), (names,))
            self.refused(rf"names-{names}\.h5", "info", path)

    def test_model(self):
        model = self.model()
        for name, dims in (("centroids", (2, 3)), ("centroids_scaled", (2, 3)), ("offsets", (2,)), ("feature_names", (3,))):
            for huge in (1 << 20, 1 << 31, 1 << 33, 1 << 60):
                path = self.tmp / f"m-{name}-{huge}.h5"
                path.write_bytes(model.read_bytes())
                with h5py.File(path, "r+") as f:
                    kind, value = f[name].dtype, f[name][()]
                    attributes = dict(f[name].attrs)
                    del f[name]
                    f.create_dataset(name, shape=(huge, *dims[1:]), dtype=kind, chunks=(4, *dims[1:]), maxshape=(None, *dims[1:]))
                    f[name][:2] = value[:2]
                    f[name].attrs.update(attributes)
                self.refused(rf"m-{name}-{huge}\.h5", "assign", self.good, "--model", path, "--out", self.tmp / "a.h5")

    def test_experiment(self):
        experiment_files.write_experiment(self.tmp / "e.h5", n=200)
        experiment_files.write_results(self.tmp / "r.h5", np.arange(200) * 7 - 50, {"spend": np.arange(200.0)})
        columns = ("id", "row", "boundary", "segment", "other", "margin", "stratum", "arm", "propensity")
        for huge in (1 << 24, 1 << 40, 1 << 60):
            path = self.tmp / f"rows-{huge}.h5"
            path.write_bytes((self.tmp / "e.h5").read_bytes())
            with h5py.File(path, "r+") as f:
                for name in columns:
                    kind = f[name].dtype
                    del f[name]
                    f.create_dataset(name, shape=(huge,), dtype=kind, chunks=(64,), maxshape=(None,))[:64] = np.zeros(64, kind)
                f.attrs["customers"] = np.int64(huge)
            self.refused(rf"rows-{huge}\.h5", "boundary", "analyze", path, self.tmp / "r.h5")
            path = self.tmp / f"pairs-{huge}.h5"
            path.write_bytes((self.tmp / "e.h5").read_bytes())
            with h5py.File(path, "r+") as f:
                for name, more in (("boundaries", (2,)), ("gap", ()), ("band", ())):
                    kind = f[name].dtype
                    del f[name]
                    f.create_dataset(name, shape=(huge, *more), dtype=kind, chunks=(4, *more), maxshape=(None, *more))
            self.refused(rf"pairs-{huge}\.h5", "boundary", "analyze", path, self.tmp / "r.h5")

    def test_experiment_numbers(self):
        """Strata and segments that an analysis would make room for."""
        experiment_files.write_results(self.tmp / "r.h5", np.arange(200) * 7 - 50, {"spend": np.arange(200.0)})
        for strata in (1 << 15, 1 << 24, 1 << 28, (1 << 31) - 1, 1 << 40):
            path = self.tmp / f"strata-{strata}.h5"
            experiment_files.write_experiment(path, n=200, distance_strata=np.int64(strata))
            self.refused(rf"strata-{strata}\.h5", "boundary", "analyze", path, self.tmp / "r.h5")
        for segment in (1000000, (1 << 31) - 1):
            path = self.tmp / f"segment-{segment}.h5"
            experiment_files.write_experiment(path, n=200, pairs=((0, segment),))
            self.refused(rf"damaged experiment: .*segment-{segment}\.h5, /boundaries", "boundary", "analyze", path, self.tmp / "r.h5")

    def test_good_files_pass(self):
        """Unlimited, packed as tightly as deflate can, larger chunks than rows, and no rows in an optional table."""
        zeros = self.x.copy()
        zeros[:, 1:] = 0
        cases = {"packed": {"data": np.zeros((1 << 20, 1), "f4"), "compression": "gzip", "compression_opts": 9, "chunks": (1 << 18, 1)},
                 "unlimited": {"data": self.x, "maxshape": (None, 3), "chunks": (4096, 3)},
                 "unlimited packed": {"data": self.x, "maxshape": (None, 3), "chunks": (1 << 20, 3), "compression": "gzip"},
                 "scaleoffset": {"data": np.zeros((1 << 20, 1), "i4"), "scaleoffset": 0, "chunks": (1 << 18, 1)},
                 "szip": {"data": zeros, "compression": "szip", "chunks": (100, 3)}, "compact": {"data": self.x[:20]}}
        for name, options in cases.items():
            path = self.tmp / f"{name}.h5"
            with h5py.File(path, "w") as f:
                try:
                    f.create_dataset("features", **options)
                except ValueError:
                    continue  # h5py without szip
            self.assertEqual(self.info(path)["n"], len(options["data"]), name)


class Names(Hostile):
    """Control characters of a file, those that turn the direction of text too, reach neither the terminal nor a text file raw."""
    RAW = r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|2J\n"

    def check(self, p, code=0):
        self.assertEqual(p.returncode, code, f"{p.args}\n{p.stdout}{p.stderr}")
        for text in (p.stdout, p.stderr):
            self.assertNotRegex(text, self.RAW)
        return p

    def evil_file(self, rng, n=4000):
        path = self.tmp / "evil.h5"
        x = np.vstack([rng.normal(m, 1, (n // 4, 2)) for m in (-2, -0.7, 0.7, 2)]).astype("f4")
        with h5py.File(path, "w") as f:
            f.create_dataset("features", data=x).attrs["feature_names"] = ["a", EVIL]
            f.create_dataset("outcomes", data=rng.normal(10, 3, (n, 1))).attrs["outcome_names"] = [EVIL]
            f.create_dataset("arm", data=rng.integers(0, 2, n)).attrs["arm_names"] = ["none", EVIL]
            f.create_dataset("reachable", data=np.ones((n, 1), "u1")).attrs["channel_names"] = [EVIL]
            f["id"] = np.array([f"c\x1b{i}" for i in range(n)], object)
        return path

    def write_results(self, path, plan):
        """What became of the customers of a plan."""
        with h5py.File(path) as f, h5py.File(plan / "experiment.h5") as e, h5py.File(self.tmp / "results.h5", "w") as r:
            rows = e["row"][()]
            r["id"] = f["id"][()][rows]
            r.create_dataset("outcomes", data=f["outcomes"][()][rows]).attrs["outcome_names"] = [EVIL]

    def test_all_commands(self):
        """As a table and as JSON; what they write, where it is text."""
        path = self.evil_file(np.random.default_rng(3))
        run, later, plan = (self.tmp / name for name in ("run", "later", "plan"))
        model = run / "model.h5"
        found = {name: self.tmp / f"{name}.json" for name in ("select", "stability", "sweep", "compare")}
        commands = [("fit", path, "--segments", 3, "--out", run), ("info", path), ("info", model), ("info", run),
                    ("fit", path, "--segments", 4, "--out", later), ("verify", run),
                    ("assign", path, "--model", model, "--out", self.tmp / "assigned.h5"), ("info", self.tmp / "assigned.h5"),
                    ("select", path, "--segments", "2:3", "--replicates", 4, "--gap-draws", 2, "--halvings", 2, "--out",
                     found["select"]),
                    ("stability", path, "--model", model, "--replicates", 4, "--across", "2:3", "--out", found["stability"],
                     "--probabilities", self.tmp / "probabilities.h5"),
                    ("compare", run, later, "--out", found["compare"]),
                    *(("export", run, "--format", kind, "--out", self.tmp / f"out.{kind}") for kind in ("csv", "sqlite", "pmml")),
                    ("boundary", "sweep", path, "--model", model, "--replicates", 20, "--out", self.tmp / "sweep.h5"),
                    ("boundary", "replay", path, "--model", model),
                    ("boundary", "plan", path, "--model", model, "--out", plan, "--outcome", EVIL, "--effect", 2), ("info", plan),
                    ("boundary", "analyze", plan / "experiment.h5", self.tmp / "results.h5", "--outcome", EVIL, "--model", model),
                    ("report", later, "--select", found["select"], "--compare", found["compare"], "--out", self.tmp / "out.html"),
                    ("report", run, "--stability", found["stability"], "--boundary", found["sweep"], "--out", self.tmp / "tests.html")]
        for command in commands:
            if "analyze" in command:
                self.write_results(path, plan)
            again = ["--force"] if "--out" in command else []
            force = ["--force"] if "plan" in command else []  # its power may be small
            with self.subTest(command=command[:2]):
                self.check(t.run(*command, *force, "--verbose"))
                text = self.check(t.run(*command, *again, "--json", "--verbose")).stdout
                json.loads(text)
                if "sweep" in command:
                    found["sweep"].write_text(text)
        texts = [*run.glob("*.json"), *later.glob("*.json"), *plan.glob("*.json"), *found.values(),
                 *(self.tmp / name for name in ("out.pmml", "out.html", "tests.html"))]
        for file in texts:
            with self.subTest(file.name):
                self.assertNotRegex(file.read_text(), self.RAW)
                if file.suffix == ".json":
                    json.loads(file.read_text())

    def test_error_lines(self):
        x = self.x.copy()
        x[5, 1] = np.inf
        for name, names in (("inf.h5", ["a", EVIL, "c"]), ("twice.h5", [EVIL, EVIL, "c"])):
            path = self.write(name, x, names=names)
            p = self.check(t.run("fit", path, "--segments", 2, "--out", self.tmp / "o", "--quiet"), 3)
            self.assertEqual(len(p.stderr.splitlines()), 1, p.stderr)
            self.assertIn(r"e\x1b[2J\x0ax\x07\xe2\x80\xae", p.stderr)
        path = self.write("ids.h5", self.x, id=np.array([b"\x1b[31mid"] * ROWS))
        p = self.check(t.run("fit", path, "--segments", 2, "--out", self.tmp / "o", "--quiet"), 3)
        self.assertIn(r"\x1b[31mid", p.stderr)


class Outputs(Hostile):
    def test_modes(self):
        """Files are as open as umask lets them be, not more, and no temporary file remains."""
        for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o027, 0o640)):
            out = self.tmp / f"out-{mask:o}"
            p = subprocess.run([t.DEMARC, "fit", self.good, "--segments", "2", "--out", out, "--quiet"], capture_output=True,
                               text=True, preexec_fn=lambda mask=mask: os.umask(mask))
            self.assertEqual(p.returncode, 0, p.stderr)
            self.assertEqual({f.stat().st_mode & 0o777 for f in out.iterdir()}, {mode})
            self.assertEqual(out.stat().st_mode & 0o777, 0o777 & ~mask)
        self.assertEqual([f for f in self.tmp.iterdir() if f.name.startswith(".")], [])


if __name__ == "__main__":
    t.main()
