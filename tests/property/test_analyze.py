"""`demarc boundary analyze`: the same bytes on every layout and in any order of rows; a planted line is found and moved."""
import itertools
import json

import h5py
import numpy as np

import demarc_testing as t
from experiment_files import outcomes_of, write_experiment, write_results

LAYOUTS = [*itertools.product((1, 2, 3), (1, 2)), (4, 1)]


class SameBytes(t.Case):
    def analyze(self, *options, ranks=1, threads=1, env=None):
        return self.ok("boundary", "analyze", self.tmp / "e.h5", self.tmp / "r.h5", "--json", *options, ranks=ranks,
                       threads=threads, env=env).stdout

    def same_everywhere(self, *options, layouts=LAYOUTS):
        first = self.analyze(*options)
        for ranks, threads in layouts:
            with self.subTest(ranks=ranks, threads=threads):
                self.assertEqual(self.analyze(*options, ranks=ranks, threads=threads), first)
        return first

    def test_layouts_and_orders(self):
        """Three row blocks; results of most customers; rows of both files in other orders."""
        rng = np.random.default_rng(3)
        pairs, n = ((0, 1), (1, 2), (0, 4)), 11000
        e = write_experiment(self.tmp / "e.h5", n, pairs)
        y = outcomes_of(e, level=0.9, slope=0.4)
        y["before"][rng.random(n) < 0.1] = np.nan
        y["spend"][rng.random(n) < 0.02] = np.nan
        have = np.flatnonzero(rng.random(n) > 0.03)
        write_results(self.tmp / "r.h5", e["id"], y, have)
        first = self.same_everywhere("--pre", "before")
        self.assertTrue('"helps"' in first and '"theta"' in first)
        write_results(self.tmp / "r.h5", e["id"], y, rng.permutation(have))
        self.assertEqual(self.same_everywhere("--pre", "before", layouts=[(3, 2)]), first)
        order = rng.permutation(n)
        write_experiment(self.tmp / "e.h5", n, pairs, order=order)
        self.assertEqual(self.same_everywhere("--pre", "before", layouts=[(2, 1)]), first)

    def test_several_batches(self):
        """More results than one batch of the join, on one rank and on several."""
        n = 150000
        e = write_experiment(self.tmp / "e.h5", n, strata=7)
        write_results(self.tmp / "r.h5", e["id"], outcomes_of(e), np.random.default_rng(4).permutation(n))
        got = json.loads(self.same_everywhere(layouts=[(1, 2), (3, 1)]))
        self.assertEqual(got["attrition"]["missing"], 0)
        self.assertEqual(sum(p["n"] for p in got["boundaries"][0]["points"]), n)

    def test_kinds_of_ids(self):
        """One customer is one customer: signed or unsigned, fixed or variable length, padded or not."""
        n = 5000
        numbers = np.random.default_rng(5).permutation(n).astype(np.int64) * 1000003
        words = np.array([f"c{v}".encode() for v in numbers])
        for ids, others in ((numbers, (numbers.astype(np.uint64), numbers.astype(">i8"))),
                            (numbers.astype(np.uint64) + np.uint64(2**63), ()),
                            (np.where(np.arange(n) == 0, -1, numbers), ()),
                            (words, (words.astype("S40"), [w.decode() for w in words]))):
            e = write_experiment(self.tmp / "e.h5", n, ids=ids)
            y = outcomes_of(e, level=0.2)
            write_results(self.tmp / "r.h5", ids, y)
            first = self.same_everywhere(layouts=[(3, 1)])
            for other in others:
                write_results(self.tmp / "r.h5", other, y)
                self.assertEqual(self.analyze(ranks=2), first)

    def test_same_offsets_on_every_blas(self):
        """Contradicting wishes of many segments: the bits of the solution do not depend on OpenBLAS's kernels."""
        pairs = [(a, b) for a in range(9) for b in range(a + 1, 9)]
        e = write_experiment(self.tmp / "e.h5", 20000, pairs, strata=1)
        write_results(self.tmp / "r.h5", e["id"], outcomes_of(e, level=1.5, slope=0.05))
        first = self.analyze()
        self.assertGreater(first.count('"widen '), 5)
        for core in ("Prescott", "Haswell"):
            with self.subTest(core):
                self.assertEqual(self.analyze(env={"OPENBLAS_CORETYPE": core}), first)


class Planted(t.Case):
    """Customers between two centroids; being in segment 1 pays from a known distance on."""
    CROSSING = -1.25

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(6)
        n = 8000
        self.points = np.vstack([rng.normal((-2, 0), 0.8, (n // 2, 2)), rng.normal((2, 0), 0.8, (n // 2, 2))]).astype(np.float32)
        self.ids = rng.permutation(n) + 100
        self.data = self.write("c.h5", self.points, id=self.ids)
        self.ok("fit", self.data, "--segments", 2, "--scale", "none", "--out", self.tmp / "run", "--quiet")
        self.model = self.tmp / "run" / "model.h5"
        with h5py.File(self.model) as f:
            c = f["centroids"][()]
            digest = f.attrs["digest"]
        gap = np.linalg.norm(c[0] - c[1])
        q = ((self.points[:, None, :].astype(float) - c) ** 2).sum(-1)
        self.x = (q[:, 0] - q[:, 1]) / (2 * gap)  # positive: segment 1
        near = np.flatnonzero(np.abs(self.x) <= 1.5)
        columns = {"boundary": np.zeros(len(near), np.int32), "side": (self.x[near] > 0).astype(int),
                   "margin": np.abs(self.x[near]), "propensity": np.full(len(near), 0.5),
                   "arm": rng.integers(0, 2, len(near)).astype(np.int32)}
        self.e = write_experiment(self.tmp / "e.h5", columns=columns, ids=self.ids[near], gap=np.array([gap]),
                                  band=np.array([1.5]), digest=digest)
        spend = 3 * self.e["as_second"] * (self.x[near] - self.CROSSING) + rng.standard_normal(len(near))
        self.results = write_results(self.tmp / "r.h5", self.ids[near], {"spend": spend}, rng.permutation(len(near)))

    def test_line_is_found_and_moved(self):
        out = self.tmp / "moved.h5"
        got = json.loads(self.ok("boundary", "analyze", self.tmp / "e.h5", self.results, "--model", self.model, "--apply", out,
                                 "--json").stdout)
        b = got["boundaries"][0]
        self.assertEqual([s["verdict"] for s in b["sides"]], ["helps", "hurts"], b)
        self.assertEqual(b["decision"], "widen 1")
        self.assertTrue(b["curve"]["slope"]["low"] < 3 < b["curve"]["slope"]["high"], b["curve"])
        self.assertTrue(b["crossing"]["low"] < self.CROSSING < b["crossing"]["high"], b["crossing"])
        self.assertLess(b["crossing"]["high"] - b["crossing"]["low"], 0.2)
        self.assertEqual(b["move"]["distance"], b["crossing"]["value"])
        self.assertAlmostEqual(b["move"]["achieved"], b["crossing"]["value"], places=12)
        self.ok("assign", self.data, "--model", out, "--out", self.tmp / "a.h5")
        with h5py.File(self.tmp / "a.h5") as f:
            segment = f["segment"][()]
        sure = np.abs(self.x - b["crossing"]["value"]) > 1e-4  # float32 working space
        np.testing.assert_array_equal(segment[sure], (self.x > b["crossing"]["value"])[sure])
        with h5py.File(out) as f:
            self.assertEqual(f.attrs["moved_from"], got["model_digest"])
            np.testing.assert_array_equal(f["offsets"][()], got["offsets"])

    def test_dry_run_writes_nothing(self):
        p = self.ok("boundary", "analyze", self.tmp / "e.h5", self.results, "--model", self.model, "--apply", self.tmp / "no.h5",
                    "--dry-run")
        self.assertIn("not written (dry run)", p.stdout)
        self.assertFalse((self.tmp / "no.h5").exists())

    def test_tables_say_what_the_numbers_are(self):
        p = self.ok("boundary", "analyze", self.tmp / "e.h5", self.results, "--model", self.model)
        for words in ("checks", "sample ratio", "missing outcomes", "2 tests, p adjusted by Holm", "intervals 95%", "widen 1",
                      "crosses zero at", "scaled units", "new offsets"):
            self.assertIn(words, p.stdout)


t.main()
