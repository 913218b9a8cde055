"""`demarc boundary replay`: the same bytes for any ranks, threads and memory limit, and for any order of the customers."""
import json

import h5py
import numpy as np

import boundary_data as data
import demarc_testing as t

ROWS = 5 * 4096 + 777  # six blocks


def campaign(rng):
    """Three groups along feature 0, at -4, 0, 4; weights, gaps; arm 1 helps below -0.8 only, so the left one is too narrow."""
    x = np.column_stack([4.0 * rng.integers(-1, 2, ROWS) + rng.normal(size=ROWS), np.round(rng.normal(size=ROWS)),
                         0.01 * rng.normal(size=(ROWS, 38))]).astype(np.float32)
    share = np.tile([0.3, 0.3, 0.4], (ROWS, 1))
    arm = (rng.random(ROWS)[:, None] > share.cumsum(1)).sum(1)
    effect = np.where(arm == 1, np.where(x[:, 0] < -0.8, 2.0, -2.0), 0.0)
    spend = 1e6 + x[:, 1] + effect + rng.normal(size=ROWS)
    spend[::9] = np.nan
    visit = (rng.random(ROWS) < 0.5 + 0.1 * effect).astype(float)
    return x, arm, np.column_stack([spend, visit, x[:, 0] * 3.0]), rng.gamma(2.0, 1.0, ROWS), share


class Layout(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(5)
        self.columns = campaign(rng)
        self.ids = np.array([f"c{v:x}".encode() for v in rng.permutation(10 * ROWS)[:ROWS]])
        self.data = self.save("c.h5", np.arange(ROWS))
        self.model = self.tmp / "run" / "model.h5"
        self.ok("fit", self.data, "--segments", 3, "--scale", "none", "--out", self.tmp / "run", "--quiet")

    def save(self, name, order):
        x, arm, y, w, share = (v[order] for v in self.columns)
        path = self.write(name, x, id=self.ids[order], arm=arm, outcomes=y, weight=w, propensity=share,
                          options={"chunks": (1000, 40), "compression": 1})
        with h5py.File(path, "r+") as f:
            f["outcomes"].attrs["outcome_names"] = ["spend", "visit", "copy"]
        return path

    def replay(self, data, *options, **kw):
        return self.ok("boundary", "replay", data, "--model", self.model, "--shifts", "-0.2,0.05,0.1", "--json", *options,
                       **kw).stdout

    def test_any_layout(self):
        want = self.replay(self.data, "--apply", self.tmp / "want.h5", threads=1)
        words = {v["verdict"] for o in json.loads(want)["outcomes"] for v in o["verdicts"] + o["shifts"]}
        self.assertGreaterEqual(words, {"gain", "loss", "widen", "undecided"})
        for ranks, threads, limit in ((1, 3, None), (2, 1, None), (3, 2, None), (7, 1, None), (1, 2, "1M"), (3, 1, "1M")):
            with self.subTest(ranks=ranks, threads=threads, limit=limit):
                memory = ("--memory-limit", limit) if limit else ()
                out = self.tmp / f"{ranks}-{threads}-{limit}.h5"
                got = self.replay(self.data, *memory, "--apply", out, ranks=ranks, threads=threads)
                self.assertTrue(got == want, "other bytes")
                with h5py.File(self.tmp / "want.h5") as a, h5py.File(out) as b:
                    np.testing.assert_array_equal(a["offsets"][()], b["offsets"][()])
                    np.testing.assert_array_equal(a["size"][()], b["size"][()])
                    self.assertEqual(a.attrs["digest"], b.attrs["digest"])

    def test_rounds_of_sums(self):
        """Sums of many segments, outcomes and shifts in one round or in many: the same bytes, with costs and weights."""
        rng = np.random.default_rng(8)
        centroids = rng.normal(size=(23, 2)) * [4.0, 1.0]
        model = data.write_model(self.tmp / "m.h5", centroids[np.argsort(centroids[:, 0])])
        x, arm, y, w, share = self.columns
        outcomes = {f"y{i}": y[:, i % 3] + i * x[:, 1] for i in range(4)}
        outcomes["y4"] = np.where(x[:, 0] > 0, y[:, 1], y[:, 0])  # 0 or 1 in the last segments only
        path = data.write_customers(self.tmp / "narrow.h5", x[:, :2], outcomes, (arm, None), weight=w.astype(np.float32),
                                    propensity=share)
        shifts = ("--shifts", "-0.3,-0.1,0.1,0.2,0.4")
        for options in ((), ("--outcome", "y3", "--policy", ",".join(f"{j}={j % 3}" for j in range(23)), "--arm-costs", "1=0.3")):
            def replay(*more, **kw):
                return self.ok("boundary", "replay", path, "--model", model, "--json", *shifts, *options, *more, **kw).stdout
            want = replay(threads=2)
            # Some outcomes at a time; one; some segments of one at a time; three.
            for limit, ranks, threads in (("20M", 1, 2), ("8M", 2, 1), ("1M", 1, 1), ("1M", 2, 3)):
                with self.subTest(options=options, limit=limit):
                    self.assertTrue(replay("--memory-limit", limit, ranks=ranks, threads=threads) == want, "other bytes")

    def test_order_of_customers(self):
        """Halves and cuts go by ids; sums within a block of rows are rounded, so the last digits may differ."""
        def near(a, b, at):
            if isinstance(a, float) or isinstance(b, float):
                self.assertAlmostEqual(a, b, delta=1e-9 + 1e-9 * abs(a), msg=at)
            elif isinstance(a, dict):
                self.assertEqual(list(a), list(b))
                for key in a:
                    near(a[key], b[key], f"{at}.{key}")
            elif isinstance(a, list):
                self.assertEqual(len(a), len(b))
                for i, pair in enumerate(zip(a, b)):
                    near(*pair, f"{at}[{i}]")
            else:
                self.assertEqual(a, b, at)
        shuffled = self.save("s.h5", np.random.default_rng(6).permutation(ROWS))
        near(json.loads(self.replay(self.data)), json.loads(self.replay(shuffled)), "")

    def test_seed_and_exploratory(self):
        a, b = (json.loads(self.replay(self.data, "--seed", s)) for s in (1, 2))
        self.assertNotEqual(a["outcomes"][0]["value"], b["outcomes"][0]["value"])
        for one, two in zip(a["outcomes"][0]["arms"], b["outcomes"][0]["arms"]):
            self.assertAlmostEqual(one["mean"], two["mean"], delta=1e-6)
            self.assertAlmostEqual(one["se"], two["se"], delta=1e-12)
        self.assertEqual([o["exploratory_feature"] for o in a["outcomes"]], [None, None, "f0"])
        self.assertEqual([o["exploratory"] for o in a["outcomes"]], [False, False, True])


if __name__ == "__main__":
    t.main()
