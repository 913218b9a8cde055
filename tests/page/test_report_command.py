"""`demarc report` without a browser: the same page on every layout, its document by independent means, bad input."""
import json
import pathlib
import shutil
import unittest

import h5py
import numpy as np

import report_fixtures as made_up
from demarc_testing import SOURCE, Case, data, main, run as demarc

try:
    import jsonschema
except ImportError:
    jsonschema = None


def document_of(page):
    text = pathlib.Path(page).read_text(encoding="utf-8")
    return json.loads(text.split('id="document">', 1)[1].split("</script", 1)[0])


class Report(Case):
    def fit(self, name="run", n=9000, k=4, weight=False, seed=0, ids=True, **options):
        rng = np.random.default_rng(seed)
        cloud = rng.integers(0, k, n)
        x = rng.normal(size=(n, 5)) * [1, 2, 3, 4, 5] + 3 * rng.normal(size=(k, 5))[cloud]
        x[:, 4] = np.exp(x[:, 4] / 5)
        columns = {"weight": rng.gamma(2, 1, n).astype("f4")} if weight else {}
        if ids:
            columns["id"] = np.array([f"K{i:06d}".encode() for i in rng.permutation(n)])
        path = self.write(f"{name}.h5", x, names=["a", "b", "c", "d", "e"], **columns)
        out = self.tmp / name
        self.ok("fit", path, "--segments", k, "--log1p", "e", "--out", out, *sum(([f"--{o}", v] for o, v in options.items()), []))
        return path, out

    def page(self, out, *options, name="page.html", **layout):
        page = self.tmp / name
        self.ok("report", out, "--out", page, "--force", *options, **layout)
        return page

    def test_layouts(self):
        for weight in (False, True):
            _, out = self.fit(weight=weight, name=f"w{weight}", n=13000)
            first = self.page(out).read_bytes()
            for ranks in (1, 2, 3):
                for threads in (1, 2):
                    self.assertEqual(self.page(out, ranks=ranks, threads=threads).read_bytes(), first, (ranks, threads))
            self.assertEqual(self.page(out, "--memory-limit", "1M").read_bytes(), first)

    def check_map(self, path, out):
        """Axes by numpy from the scaled values, places of the customers drawn from their own projection."""
        page = document_of(self.page(out))
        m, d = page["map"], page["diagnostics"]["d"]
        with h5py.File(path) as f, h5py.File(out / "model.h5") as g, h5py.File(out / "assignments.h5") as a:
            x = np.array(f["features"], float)
            w = np.array(f["weight"], float) if "weight" in f else np.ones(len(x))
            x[:, 4] = np.log1p(x[:, 4])
            t = g["transform"]
            x = (x - np.array(t["center"])) * np.array(t["factor"])
            centroids, labels = np.array(g["centroids_scaled"]), np.array(a["segment"])
        mean = w @ x / w.sum()
        covariance = (x - mean).T @ ((x - mean) * w[:, None]) / w.sum()
        value, vector = np.linalg.eigh(covariance)
        value, vector = value[::-1], vector[:, ::-1]
        for axis in (0, 1):
            v = vector[:, axis] * np.sign(vector[np.argmax(np.abs(vector[:, axis])), axis])
            np.testing.assert_allclose(m["axes"][axis]["share"], value[axis] / value.sum(), rtol=1e-5)
            np.testing.assert_allclose(m["axes"][axis]["loading"], v, atol=1e-5)
            correlation = [np.cov(x[:, f], x @ v, aweights=w)[0, 1] / np.sqrt(np.cov(x[:, f], aweights=w) * np.cov(x @ v, aweights=w)) for f in range(d)]
            np.testing.assert_allclose(m["axes"][axis]["correlation"], correlation, atol=1e-5)
        axes = np.array([a["loading"] for a in m["axes"]])
        np.testing.assert_allclose(np.reshape(m["centroids"], (-1, 2)) * m["step"], (centroids - mean) @ axes.T, atol=m["step"])
        drawn = np.column_stack([m["x"], m["y"]]) * m["step"]
        self.assertEqual(len(drawn), min(3000, len(x)))
        self.assertEqual(m["of"], len(x))
        self.assertLessEqual(np.abs(np.array(m["x"] + m["y"] + m["centroids"])).max(), 8192)
        # Each point is a customer in row order, of the segment that the file says.
        mine = (x - mean) @ axes.T
        row = -1
        for point, segment in zip(drawn, m["segment"], strict=True):
            near = np.flatnonzero((np.abs(mine[row + 1:] - point).max(axis=1) <= m["step"]) & (labels[row + 1:] == segment))
            self.assertGreater(len(near), 0)
            row += 1 + near[0]

    def test_map_by_numpy(self):
        for weight in (False, True):
            with self.subTest(weight=weight):
                self.check_map(*self.fit(weight=weight, name=f"w{weight}"))

    def test_small_files_are_drawn_whole(self):
        self.check_map(*self.fit(n=200))

    def test_example_customers(self):
        for n, k in ((5000, 4), (7, 4)):
            path, out = self.fit(n=n, k=k, name=f"n{n}")
            page = document_of(self.page(out))
            with h5py.File(path) as f, h5py.File(out / "assignments.h5") as a:
                x, ids = np.array(f["features"]), [i.decode() for i in f["id"]]
                segment, distance = np.array(a["segment"]), np.array(a["distance"])
            for j in range(k):
                rows = np.flatnonzero(segment == j)
                nearest = rows[np.lexsort((rows, distance[rows]))][:3]
                found = page["examples"][j]
                self.assertEqual([e["row"] for e in found], list(nearest))
                self.assertEqual([e["id"] for e in found], [ids[r] for r in nearest])
                top = [f["name"] for f in page["diagnostics"]["segments"][j]["features"][:4]]
                for e in found:
                    self.assertEqual([v["name"] for v in e["values"]], top)
                    np.testing.assert_allclose([v["value"] for v in e["values"]], [x[e["row"], "abcde".index(name)] for name in top], rtol=1e-5, atol=1e-5)

    def test_ties_of_examples_go_to_the_lowest_row(self):
        x = np.repeat(np.array([[0.0, 0.0], [9.0, 9.0]]), 5000, axis=0)
        path, out = self.write("tied.h5", x), self.tmp / "tied"
        self.ok("fit", path, "--segments", 2, "--out", out)
        for ranks in (1, 3):
            rows = sorted([e["row"] for e in s] for s in document_of(self.page(out, ranks=ranks))["examples"])
            self.assertEqual(rows, [[0, 1, 2], [5000, 5001, 5002]])

    def test_documents_are_copied(self):
        path, out = self.fit(seed=3, n=2000)
        answer = json.loads(self.ok("boundary", "sweep", path, "--model", out / "model.h5", "--replicates", 20, "--json", "--seed", 2**60 + 1).stdout)
        files = [made_up.save(self.tmp / f"{i}.json", answer) for i in range(3)]
        options = ["--boundary", f"{files[0]},{files[1]}", "--boundary", files[2]]
        wanted = {}
        for name in ("select", "stability", "compare"):
            wanted[name] = getattr(made_up, name)(out)
            options += [f"--{name}", made_up.save(self.tmp / f"{name}.json", wanted[name])]
        page = document_of(self.page(out, *options))
        answer["seed"] = str(answer["seed"])  # beyond 2^53: its digits
        self.assertEqual(page["boundary"], [answer] * 3)
        for name, document in wanted.items():
            self.assertEqual(page[name], document)
        for name in ("diagnostics", "manifest"):
            self.assertEqual(page[name], json.loads((out / f"{name}.json").read_text()))

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_answer(self):
        _, out = self.fit(n=500)
        page = self.tmp / "p.html"
        found = json.loads(self.ok("report", out, "--out", page, "--json").stdout)
        jsonschema.Draft202012Validator(json.loads((SOURCE / "src/report/schema/report.schema.json").read_text())).validate(found)
        self.assertEqual((found["n"], found["d"], found["k"], found["bytes"]), (500, 5, 4, page.stat().st_size))
        self.assertEqual(found["parts"], {"map": True, "boundary": 0, "select": False, "stability": False, "compare": False})
        self.assertIn("500 customers in 4 segments", self.ok("report", out, "--out", page, "--force").stdout)
        self.assertIn("dry run, nothing", self.ok("report", out, "--out", self.tmp / "q.html", "--dry-run").stdout)
        self.assertFalse((self.tmp / "q.html").exists())

    def test_real_data(self):
        run = self.tmp / "run"
        self.ok("import", data("mall.csv"), self.tmp / "mall.h5", "--exclude", "Genre")
        self.ok("fit", self.tmp / "mall.h5", "--segments", 5, "--out", run)
        self.assertEqual(len(document_of(self.page(run))["map"]["x"]), 200)

    def refused(self, code, pattern, out, *options, **kw):
        page = self.tmp / "refused.html"
        before = sorted(p.name for p in self.tmp.iterdir())
        self.fails(code, pattern, "report", out, "--out", page, *options, **kw)
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), before)

    def test_bad_input(self):
        path, out = self.fit(n=600)
        other_data, other = self.fit(n=600, seed=9, name="other")
        (self.tmp / "sweep.json").write_text(self.ok("boundary", "sweep", other_data, "--model", other / "model.h5", "--replicates", 0, "--json").stdout)
        for name in ("select", "stability", "compare"):
            made_up.save(self.tmp / f"{name}.json", getattr(made_up, name)(other))
        for ranks in (1, 2):
            self.refused(3, "about another run: --boundary .*sweep.json", out, "--boundary", self.tmp / "sweep.json", ranks=ranks)
        self.refused(3, "about another run: --stability", out, "--stability", self.tmp / "stability.json")
        self.refused(3, "about another run: --compare", out, "--compare", self.tmp / "compare.json")
        self.refused(3, "another document: --select .*\"stability\"", out, "--select", self.tmp / "stability.json")
        self.refused(3, "cannot open file: .*absent.json: .*--json", out, "--select", self.tmp / "absent.json")
        (self.tmp / "broken.json").write_text('{"command": "select",')
        self.refused(3, "not JSON: .*broken.json, line 1", out, "--select", self.tmp / "broken.json")
        (self.tmp / "future.json").write_text('{"command": "select", "format_version": 2}')
        self.refused(3, "unknown format: --select", out, "--select", self.tmp / "future.json")
        document = made_up.select(other) | {"n": 601}
        self.refused(3, "about other customers: --select .*601 customers", out, "--select", made_up.save(self.tmp / "n.json", document))
        self.refused(2, "--boundary", out, "--boundary", "a.json,,b.json,")
        self.refused(2, "(?i)segment.*9", out, "--names", "9=Nobody")
        self.refused(2, "--data with --no-map", out, "--data", path, "--no-map")
        self.refused(3, "other data: .*--data FILE", out, "--data", other_data)
        self.refused(3, "manifest|cannot open", self.tmp / "absent")
        with h5py.File(other / "assignments.h5", "r+") as f:
            f["segment"][5] = 99
        self.refused(3, r"damaged assignments: \S*other/assignments\.h5, /segment of row 5 is 99", other)

    def test_missing_customer_file(self):
        path, out = self.fit(n=600)
        moved = self.tmp / "moved.h5"
        path.rename(moved)
        for ranks in (1, 2):
            self.refused(3, r"cannot open customer file: .*run\.h5: .*--data FILE.*--no-map", out, ranks=ranks)
        self.assertEqual(len(document_of(self.page(out, "--data", moved))["map"]["x"]), 600)
        page = document_of(self.page(out, "--no-map"))
        self.assertIsNone(page["map"])
        self.assertEqual(page["map_left_out"], "left out by --no-map")
        self.assertEqual([e["values"] for s in page["examples"] for e in s], [None] * 12)

    def test_half_deleted_run(self):
        _, out = self.fit(n=600)
        for name in ("model.h5", "assignments.h5", "manifest.json", "diagnostics.json"):
            part = self.tmp / "part"
            shutil.copytree(out, part)
            (part / name).unlink()
            self.refused(3, name, part)
            shutil.rmtree(part)
        _, other = self.fit(n=600, seed=5, name="other")
        shutil.copy(other / "model.h5", out / "model.h5")
        self.refused(3, "files of two runs", out)

    def test_output(self):
        path, out = self.fit(n=600)
        page = self.page(out)
        self.fails(2, "exists", "report", out, "--out", page)
        for target in (out / "model.h5", path):
            self.fails(2, ".", "report", out, "--out", target, "--force", "--data", path)
            self.fails(2, ".", "report", out, "--out", target, "--force")
        self.refused(2, "--out", out, "--out", "--force")
        self.assertEqual(demarc("verify", out).returncode, 0)
        self.fails(5, "no place for the output", "report", out, "--out", self.tmp / "no" / "such" / "page.html")

    def test_names(self):
        _, out = self.fit(n=600, names="0=Erste,2=Zweite")
        self.assertEqual([document_of(self.page(out))["names"][j] for j in (0, 2)], ["Erste", "Zweite"])
        self.assertEqual([document_of(self.page(out, "--names", "0=Größte"))["names"][j] for j in (0, 2)], ["Größte", "Zweite"])
        compare = made_up.compare(out)
        for s in compare["segments"]:
            if s["new"] in (0, 1):
                s["name"] = f"Once {s['new']}"
        names = document_of(self.page(out, "--compare", made_up.save(self.tmp / "c.json", compare)))["names"]
        self.assertEqual(names[:3], ["Erste", "Once 1", "Zweite"])


if __name__ == "__main__":
    main()
