"""`demarc compare`: the same bytes for any ranks, threads, memory limit and order of the customers; with equal ids of any kind."""
import json

import h5py
import numpy as np

import demarc_testing as t

ROWS = 4 * 4096 + 333


class Layout(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(8)
        self.order = rng.permutation(ROWS)
        self.ids = rng.permutation(3 * ROWS)
        group = rng.integers(0, 3, 2 * ROWS)
        self.x = np.column_stack([4.0 * group + rng.normal(size=2 * ROWS), np.round(rng.normal(size=2 * ROWS) + group),
                                  rng.exponential(size=2 * ROWS) * 1e3]).astype(np.float32)
        self.x[ROWS:, 2] *= np.float32(1.2)
        self.y = rng.normal(size=(2 * ROWS, 2)) + np.column_stack([group, 1e5 + 0 * group])
        self.y[::7, 0] = np.nan
        self.w = rng.gamma(2.0, 1.0, 2 * ROWS)
        self.old = self.save("old", np.arange(ROWS))
        self.new = self.save("new", np.arange(ROWS) + ROWS)

    def save(self, name, rows, text=False, options=None):
        """The old customers have the first ROWS ids, the new ones from ROWS / 2 on."""
        ids = self.ids[np.where(rows < ROWS, rows, rows - ROWS // 2)]
        if text:
            ids = np.array([f"id {v}".encode() for v in ids])
        path = self.write(f"{name}.h5", self.x[rows], names=["a", "b", "c"], id=ids, weight=self.w[rows],
                          outcomes=self.y[rows], options=options or {"chunks": (1500, 3), "compression": 1})
        with h5py.File(path, "r+") as f:
            f["outcomes"].attrs["outcome_names"] = ["spend", "visit"]
        run = self.tmp / name
        self.ok("fit", path, "--segments", 3 if "old" in name else 4, "--out", run, "--quiet")
        return run

    def compare(self, *options, **kw):
        return self.ok("compare", self.old, self.new, "--json", "--quiet", *options, **kw).stdout

    def test_any_layout(self):
        want = self.compare(threads=1)
        self.assertGreater(json.loads(want)["decomposition"]["scaling_changed"], 0)
        for ranks, threads, limit in ((1, 2, None), (2, 1, None), (2, 2, None), (3, 1, None), (3, 2, None), (7, 1, None),
                                      (1, 2, "1M"), (3, 2, "1M")):
            with self.subTest(ranks=ranks, threads=threads, limit=limit):
                got = self.compare(*(("--memory-limit", limit) if limit else ()), ranks=ranks, threads=threads)
                self.assertTrue(got == want, "other bytes")

    def test_any_order(self):
        """Rows in another order: counts and tests are the same, and so is the file."""
        out = self.tmp / "a.json"
        want = json.loads(self.compare("--out", out))
        self.assertEqual(json.loads(out.read_text()), want)
        runs = self.old, self.new
        self.old, self.new = self.save("old 2", self.order), self.save("new 2", self.order + ROWS)
        for a, b in zip(runs, (self.old, self.new)):  # the same model, so the same labels, for the rows as they lie now
            self.ok("assign", self.tmp / f"{b.name}.h5", "--model", a / "model.h5", "--out", b / "assignments.h5", "--force",
                    "--quiet")
            (b / "model.h5").write_bytes((a / "model.h5").read_bytes())
        got = json.loads(self.compare())
        for d in (got, want):
            del d["old"]["run"], d["new"]["run"]
        for key in ("segments", "migration", "agreement", "decomposition"):
            self.assertEqual(got[key], want[key], key)
        for a, b in zip(got["drift"]["features"], want["drift"]["features"]):
            for key in a:
                if isinstance(a[key], float):
                    self.assertAlmostEqual(a[key], b[key], delta=1e-9 * abs(b[key]), msg=key)
                else:
                    self.assertEqual(a[key], b[key], key)

    def test_texts(self):
        """The same ids as texts, of fixed and of variable length."""
        want = json.loads(self.compare())
        self.old, self.new = self.save("old t", np.arange(ROWS), text=True), self.save("new t", np.arange(ROWS) + ROWS, text=True)
        with h5py.File(self.tmp / "new t.h5", "r+") as f:
            ids = f["id"][()]
            del f["id"]
            f["id"] = np.array([v.decode() for v in ids], dtype=h5py.string_dtype())
        got = json.loads(self.compare(ranks=2))
        for d in (got, want):
            del d["old"]["run"], d["new"]["run"]
        self.assertEqual(got, want)


if __name__ == "__main__":
    t.main()
