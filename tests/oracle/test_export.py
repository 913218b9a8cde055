"""demarc export: CSV and SQLite hold what assignments.h5 holds, and PMML scored by its specification gives its segments."""
import csv
import io
import json
import os
import sqlite3
import subprocess
import xml.etree.ElementTree as ET

import h5py
import numpy as np

from demarc_testing import DEMARC, Case, main

PMML = "{http://www.dmg.org/PMML-4_4}"
HOSTILE_IDS = ['plain', 'a,b', 'say "hi"', 'line\nbreak', 'cr\r\nlf', 'lone\rcr', 'Étoile 日本', ' lead', 'trail ', '', "'", '=1+1',
               '-2', '@x', '007', '"', '""', ',', '1e5', 'NULL', '\t']


def score(path, table):
    """Segments and squared distances by a reading of the PMML 4.4 specification; `table` is {field: float64 array}."""
    model = ET.parse(path).getroot().find(PMML + "ClusteringModel")
    functions = {"-": np.subtract, "*": np.multiply, "ln1p": np.log1p}
    field = {}

    def value(e):
        if e.tag == PMML + "Constant":
            return float(e.text)
        if e.tag == PMML + "FieldRef":
            return field[e.get("field")]
        return functions[e.get("function")](*map(value, e))

    for m in model.iter(PMML + "MiningField"):
        v, replacement = table[m.get("name")], m.get("missingValueReplacement")
        field[m.get("name")] = v if replacement is None else np.where(np.isnan(v), float(replacement), v)
    for d in model.iter(PMML + "DerivedField"):
        field[d.get("name")] = value(d[0]).astype({"float": np.float32, "double": np.float64}[d.get("dataType")])
    used = model.findall(PMML + "ClusteringField")
    x = np.stack([field[f.get("field")].astype(np.float64) for f in used], axis=1)
    weight = np.array([float(f.get("fieldWeight", 1)) for f in used])
    clusters = model.findall(PMML + "Cluster")
    squared = np.stack([((x - np.array(c[0].text.split(), float)) ** 2 * weight).sum(axis=1) for c in clusters], axis=1)
    return np.array([int(c.get("id")) for c in clusters])[squared.argmin(axis=1)], squared.min(axis=1)


class Export(Case):
    def fit(self, data, *more, k=3, name="run"):
        out = self.tmp / name
        self.ok("fit", data, "--segments", k, "--out", out, "--quiet", *more, threads=1)
        return out

    def export(self, run, kind, *more, **kw):
        path = self.tmp / f"out.{kind}"
        p = self.ok("export", run, "--format", kind, "--out", path, "--force", *more, **kw)
        return path, p

    def stored(self, run):
        """Columns of assignments.h5 and names of model.h5."""
        with h5py.File(run / "assignments.h5") as f:
            found = {key: f[key][:] for key in ("id", "segment", "distance", "runner_up", "margin")}
        with h5py.File(run / "model.h5") as f:
            found["name"] = [s.decode() for s in f["segment_name"][:]]
            found["size"], found["digest"] = f["size"][:], f.attrs["digest"]
        return found

    def small(self, ids, n=None):
        n = len(ids) if n is None else n
        columns = {} if ids is None else {"id": ids}
        return self.write("in.h5", np.random.default_rng(3).normal(size=(n, 2)) * [1, 9], names=["a", "b"], **columns)


class Csv(Export):
    def rows(self, path):
        text = path.read_bytes().decode("utf-8")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        self.assertEqual(rows[0], ["id", "segment", "segment_name", "distance", "runner_up", "margin"])
        self.assertTrue(text.endswith("\r\n"))
        return rows[1:]

    def check(self, run, path, to_id):
        want, rows = self.stored(run), self.rows(path)
        self.assertEqual(len(rows), len(want["segment"]))
        self.assertEqual([r[0] for r in rows], [to_id(i) for i in want["id"]])
        for column, key, kind in ((1, "segment", np.int32), (3, "distance", np.float32), (4, "runner_up", np.int32),
                                  (5, "margin", np.float32)):
            got = np.array([r[column] for r in rows]).astype(np.float64).astype(kind)
            self.assertEqual(got.tobytes(), want[key].astype(kind).tobytes(), key)
        self.assertEqual([r[2] for r in rows], [want["name"][j] for j in want["segment"]])

    def test_text_ids(self):
        run = self.fit(self.small(HOSTILE_IDS), "--names", '1=Big,, "B",2==SUM(A1)')
        path, p = self.export(run, "csv", ranks=2)
        self.check(run, path, lambda i: i.decode())
        self.assertRegex(p.stderr, r"warning: 5 ids or names begin with =")  # =1+1 -2 @x tab, and a name

    def test_integer_ids(self):
        for ids in (np.array([-5, 2**63 - 1, -2**63, 0, 7, 8]), np.array([2**64 - 1, 2**63, 5, 0, 1, 2], np.uint64)):
            run = self.fit(self.small(ids), "--force")
            path, p = self.export(run, "csv")
            self.check(run, path, str)
            self.assertNotIn("formula", p.stderr)

    def test_row_numbers_over_windows(self):
        run = self.fit(self.small(None, 70000), k=4)
        path, _ = self.export(run, "csv", "--threads", 2)
        self.check(run, path, str)

    def test_one_segment(self):
        run = self.fit(self.small(None, 10), k=1)
        path, _ = self.export(run, "csv")
        self.assertEqual([r[4:] for r in self.rows(path)], [["", ""]] * 10)
        database, _ = self.export(run, "sqlite")
        rows = sqlite3.connect(database).execute("SELECT DISTINCT runner_up, margin FROM assignments").fetchall()
        self.assertEqual(rows, [(None, None)])

    def test_names_for_this_file(self):
        run = self.fit(self.small(None, 50), "--names", "0=Loyal")
        path, _ = self.export(run, "csv", "--names", "0=Faithful,1=Loyal")
        self.assertEqual({r[2] for r in self.rows(path) if r[1] == "0"}, {"Faithful"})
        self.fails(2, "two segments of one name", "export", run, "--format", "csv", "--out", self.tmp / "x",
                   "--names", "1=Loyal")
        self.fails(2, "no such segment", "export", run, "--format", "csv", "--out", self.tmp / "x", "--names", "3=a")
        self.assertEqual(self.stored(run)["name"][0], "Loyal")


class Sqlite(Export):
    def check(self, run, path, to_id):
        want = self.stored(run)
        db = sqlite3.connect(path)
        self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        rows = db.execute("SELECT id, segment, segment_name, distance, runner_up, margin FROM assignments ORDER BY rowid")
        rows = rows.fetchall()
        self.assertEqual([r[0] for r in rows], [to_id(i) for i in want["id"]])
        self.assertEqual([r[1] for r in rows], want["segment"].tolist())
        self.assertEqual([r[2] for r in rows], [want["name"][j] for j in want["segment"]])
        for column, key in ((3, "distance"), (5, "margin")):
            self.assertEqual(np.array([r[column] for r in rows]).tobytes(), want[key].astype(np.float64).tobytes())
        self.assertEqual([r[4] for r in rows], want["runner_up"].tolist())
        n, k = len(rows), len(want["size"])
        self.assertEqual(db.execute("SELECT number, name, size, share FROM segments").fetchall(),
                         [(j, want["name"][j], want["size"][j], want["size"][j] / n) for j in range(k)])
        told = json.loads((run / "diagnostics.json").read_text())
        self.assertEqual(db.execute("SELECT digest, objective, customers, segments, seed FROM run").fetchall(),
                         [(want["digest"], told["objective"], n, k, "0")])
        self.assertEqual(db.execute("SELECT fitted_by = exported_by FROM run").fetchall(), [(1,)])
        for what, column in (("id", "id = ?"), ("segment", "segment = ?")):
            plan = db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM assignments WHERE {column}", (1,)).fetchall()
            self.assertIn(f"USING INDEX assignments_{what}", plan[0][3])

    def test_text_ids(self):
        run = self.fit(self.small(HOSTILE_IDS), "--names", "1=Robert'); DROP TABLE segments;--")
        self.check(run, self.export(run, "sqlite", ranks=2)[0], lambda i: i.decode())

    def test_bytes_that_are_no_text(self):
        ids = [b"a\xff", b"b\xc3\xa9", b"\xed\xa0\x80", b"\xc3", b"e"]
        run = self.fit(self.small(np.array(ids, "S4")))
        self.check(run, self.export(run, "sqlite")[0],
                   lambda i: i.decode() if i in (b"b\xc3\xa9", b"e") else i)
        rows = list(csv.reader(io.StringIO(self.export(run, "csv")[0].read_bytes().decode("latin-1"), newline="")))
        self.assertEqual([r[0].encode("latin-1") for r in rows[1:]], ids)

    def test_integer_ids(self):
        for ids in (np.array([-5, 2**63 - 1, -2**63, 0, 7, 8]), np.array([2**64 - 1, 2**63, 5, 0, 1, 2], np.uint64)):
            run = self.fit(self.small(ids), "--force")
            self.check(run, self.export(run, "sqlite")[0], lambda i: int(i) if int(i) < 2**63 else str(i))

    def test_row_numbers_over_windows(self):
        run = self.fit(self.small(None, 70000), k=4)
        self.check(run, self.export(run, "sqlite")[0], int)


class Pmml(Export):
    NAMES = ["recency", "scaled(recency)", "visits", "tab\there & <there>", "Étoile \"x\"", "segment"]
    FIELDS = [*NAMES[:3], r"tab\x09here & <there>", *NAMES[4:]]

    def customers(self, n=10000, missing=0.0, factor=1.0):
        rng = np.random.default_rng(8)
        x = (rng.lognormal(size=(n, 6)) * [1, 30, 4, 0.1, 7, 1000] + rng.integers(0, 3, size=(n, 1))) * factor
        x[rng.random(x.shape) < missing] = np.nan
        return self.write("in.h5", x, names=self.NAMES), x

    def check(self, *options, k=5, **kw):
        data, x = self.customers(**kw)
        run = self.fit(data, *options, "--force", k=k)
        path, _ = self.export(run, "pmml")
        want = self.stored(run)
        got, squared = score(path, dict(zip(self.FIELDS, x.T)))
        self.assertEqual(np.flatnonzero(got != want["segment"]).tolist(), [])
        np.testing.assert_allclose(np.sqrt(squared), want["distance"], rtol=1e-5, atol=1e-6 * want["distance"].max())
        return path

    def test_scales(self):
        for scale in ("zscore", "robust", "minmax", "none"):
            with self.subTest(scale):
                self.check("--scale", scale)

    def test_log1p(self):
        for scale in ("zscore", "none"):
            path = self.check("--scale", scale, "--log1p", "recency,visits")
        intervals = [f.get("name") for f in ET.parse(path).iter(PMML + "DataField") if len(f) > 0]
        self.assertEqual(intervals, ["recency", "visits"])

    def test_feature_weights(self):
        self.check("--feature-weights", "visits=2.5,recency=0", "--scale", "robust")

    def test_missing(self):
        for options in ((), ("--log1p", "recency,visits"), ("--scale", "minmax", "--feature-weights", "visits=3")):
            path = self.check("--missing", "mean", *options, missing=0.1)
        treatment = {f.get("missingValueTreatment") for f in ET.parse(path).iter(PMML + "MiningField")}
        self.assertEqual(treatment, {"asMean"})
        treatment = {f.get("missingValueTreatment") for f in ET.parse(self.check()).iter(PMML + "MiningField")}
        self.assertEqual(treatment, {"returnInvalid"})

    def test_all_at_once(self):
        self.check("--missing", "mean", "--log1p", "segment,visits", "--feature-weights", "visits=0.3", "--scale", "robust",
                   missing=0.05, k=9)

    def test_large_units(self):
        for factor in (1e25, 1e-25):
            self.check("--scale", "none", factor=factor)

    def test_structure(self):
        """Elements in the order of the schema, names that refer, counts that count."""
        path = self.check(k=4)
        root = ET.parse(path).getroot()
        self.assertEqual((root.tag, root.get("version")), (PMML + "PMML", "4.4"))
        self.assertEqual([e.tag for e in root], [PMML + t for t in ("Header", "DataDictionary", "ClusteringModel")])
        model = root[2]
        self.assertEqual({a: model.get(a) for a in ("functionName", "modelClass", "numberOfClusters")},
                         {"functionName": "clustering", "modelClass": "centerBased", "numberOfClusters": "4"})
        self.assertEqual([e.tag.replace(PMML, "") for e in model],
                         ["MiningSchema", "Output", "LocalTransformations", "ComparisonMeasure"] +
                         ["ClusteringField"] * 6 + ["Cluster"] * 4)
        self.assertEqual(root[1].get("numberOfFields"), "6")
        self.assertEqual([f.get("name") for f in root[1]], self.FIELDS)
        self.assertEqual([c.get("size") for c in model.iter(PMML + "Cluster")],
                         [str(s) for s in self.stored(self.tmp / "run")["size"]])
        self.assertEqual([c.get("name") for c in model.iter(PMML + "Cluster")],
                         [s.replace("\t", r"\x09") for s in self.stored(self.tmp / "run")["name"]])
        names = [f.get("name") for tag in ("DataField", "DerivedField", "OutputField") for f in root.iter(PMML + tag)]
        self.assertEqual(len(names), len(set(names)))

    def test_moved_boundaries_are_refused(self):
        data = self.tmp / "g.h5"
        self.ok("generate", data, "--customers", 2000, "--segments", 3, "--outcomes")
        run = self.fit(data)
        self.ok("boundary", "sweep", data, "--model", run / "model.h5", "--replicates", 0, "--apply",
                self.tmp / "moved.h5", "--apply-segment", 1, "--apply-shift", 0.1)
        os.replace(self.tmp / "moved.h5", run / "model.h5")
        out = self.tmp / "x.pmml"
        self.fails(4, "moved boundaries in PMML", "export", run, "--format", "pmml", "--out", out, ranks=2)
        self.fails(3, "assignments of another model", "export", run, "--format", "csv", "--out", out)
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), ["g.h5", "run"])


class Layout(Export):
    def test_same_bytes(self):
        run = self.fit(self.small(None, 70000), k=4)
        for kind in ("csv", "sqlite", "pmml"):
            first = self.export(run, kind, "--threads", 1)[0].read_bytes()
            for ranks, threads in ((1, 2), (2, 1), (3, 2)):
                self.assertEqual(self.export(run, kind, ranks=ranks, threads=threads)[0].read_bytes(), first)


class Faults(Export):
    def setUp(self):
        super().setUp()
        self.run_dir = self.fit(self.small(None, 500))
        self.before = sorted(p.name for p in self.tmp.iterdir())

    def refused(self, code, pattern, kind, *more, **kw):
        self.fails(code, pattern, "export", self.run_dir, "--format", kind, "--out", self.tmp / "out", *more, **kw)
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), self.before)

    def test_half_deleted(self):
        os.remove(self.run_dir / "manifest.json")
        self.refused(3, "manifest.json", "sqlite", ranks=2)
        self.ok("export", self.run_dir, "--format", "csv", "--out", self.tmp / "o")
        os.remove(self.tmp / "o")
        os.remove(self.run_dir / "assignments.h5")
        self.refused(3, "assignments.h5", "csv", ranks=2)
        self.refused(3, "assignments.h5", "sqlite")
        self.ok("export", self.run_dir, "--format", "pmml", "--out", self.tmp / "o")
        os.remove(self.tmp / "o")
        os.remove(self.run_dir / "model.h5")
        self.refused(3, "model.h5", "pmml")
        os.rmdir(self.run_dir) if not any(self.run_dir.iterdir()) else None
        self.fails(3, "nowhere", "export", self.tmp / "nowhere", "--format", "csv", "--out", self.tmp / "out")

    def test_assignments_of_another_run(self):
        other = self.fit(self.small(None, 500), "--seed", 5, k=5, name="other")
        self.before.append("other")
        self.before.sort()
        os.replace(other / "assignments.h5", self.run_dir / "assignments.h5")
        for kind in ("csv", "sqlite"):
            self.refused(3, "assignments of another model", kind, ranks=2 if kind == "csv" else 1)

    def test_repeated_id(self):
        with h5py.File(self.run_dir / "assignments.h5", "r+") as f:
            f["id"][7] = f["id"][3]
        self.refused(3, "two customers of one id", "sqlite")

    def test_usage(self):
        self.refused(2, "--format", "xlsx")
        self.fails(2, "--out", "export", self.run_dir, "--format", "csv")
        self.fails(2, "is the input|input", "export", self.run_dir, "--format", "csv", "--force", "--out",
                   self.run_dir / "model.h5")
        (self.tmp / "out").write_text("mine")
        self.fails(2, "exists", "export", self.run_dir, "--format", "csv", "--out", self.tmp / "out")
        self.assertEqual((self.tmp / "out").read_text(), "mine")

    def test_dry_run(self):
        self.ok("export", self.run_dir, "--format", "csv", "--out", self.tmp / "out", "--dry-run")
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), self.before)

    def test_file_size_limit(self):
        """The disk is full for a file of more than so many blocks: exit 5, one line, nothing left."""
        for kind in ("csv", "sqlite", "pmml"):
            p = subprocess.run(["bash", "-c", 'ulimit -f 4; exec "$@"', "-", DEMARC, "export", str(self.run_dir), "--format",
                                kind, "--out", str(self.tmp / "out")], capture_output=True, text=True, timeout=60)
            if kind == "pmml":  # 2 features: it fits
                self.assertEqual(p.returncode, 0, p.stderr)
                os.remove(self.tmp / "out")
                continue
            self.assertEqual(p.returncode, 5, (kind, p.stderr))
            self.assertEqual(len([s for s in p.stderr.splitlines() if s.startswith("demarc: ")]), 1, p.stderr)
            self.assertEqual(sorted(q.name for q in self.tmp.iterdir()), self.before)

    def test_json(self):
        p = self.ok("export", self.run_dir, "--format", "csv", "--out", self.tmp / "out", "--json")
        told = json.loads(p.stdout)
        self.assertEqual((told["command"], told["format"], told["customers"], told["k"]), ("export", "csv", 500, 3))
        self.assertEqual(told["bytes"], (self.tmp / "out").stat().st_size)


if __name__ == "__main__":
    main()
