"""`demarc boundary analyze` against brute force (tests/support/experiment_oracle.py)."""
import json

import h5py
import numpy as np

import boundary_data as data
import boundary_oracle as oracle
import boundary_shapes as shapes
import demarc_testing as t
import experiment_oracle
from experiment_files import write_experiment


PAIRS = ((0, 1), (0, 2), (1, 2))


class Analyze(t.Case):
    def experiment(self, rng, n, pairs=PAIRS, **kw):
        """experiment.h5 of a plan that never was."""
        write_experiment(self.tmp / "e.h5", n, pairs, seed=int(rng.integers(2**31)), **kw)
        return self.tmp / "e.h5"

    def results(self, experiment, rng, slope=0.0, level=0.0, keep=None, name="results.h5"):
        """Outcomes with effect level + slope x of treating as b; rows in another order; some customers absent."""
        e = experiment_oracle.read_experiment(experiment)
        n = len(e["id"])
        pair = e["boundaries"][e["boundary"]]
        as_b = np.where(e["arm"] == 1, e["other"], e["segment"]) == pair[:, 1]
        x = np.where(e["segment"] == pair[:, 1], e["margin"], -e["margin"])
        before = rng.standard_normal(n) + 0.5 * x
        spend = 50 + 0.8 * before + as_b * (level + slope * x) + rng.standard_normal(n) * (1 + 0.3 * as_b)
        visit = (rng.random(n) < np.clip(0.4 + 0.2 * as_b * (level + slope * x), 0.02, 0.98)).astype(float)
        y = {"before": np.where(rng.random(n) < 0.1, np.nan, before), "spend": spend, "visit": visit}
        rows = rng.permutation(n if keep is None else np.flatnonzero(keep(rng.random(n), e)))
        return data.write_customers(self.tmp / name, None, {key: v[rows] for key, v in y.items()}, id=e["id"][rows])

    def agrees(self, experiment, results, *options, outcome="spend", pre=None, scale=100.0, model=None, **kw):
        named = (*(("--outcome", outcome) if outcome != "spend" else ()), *(("--pre", pre) if pre else ()),
                 *(("--model", model) if model else ()))
        p = self.ok("boundary", "analyze", experiment, results, "--json", *named, *options)
        got = json.loads(p.stdout)
        e = experiment_oracle.read_experiment(experiment)
        with h5py.File(results) as f:
            names, ids, y = oracle.texts(f["outcomes"].attrs["outcome_names"]), f["id"][()], f["outcomes"][()]
        columns = [experiment_oracle.joined(e, ids, y[:, names.index(name)]) if name else None for name in (outcome, pre)]
        if model:
            with h5py.File(model) as f:
                kw["model"] = (f["offsets"][()], f["size"][()])
        want = experiment_oracle.analyze(e, *columns, **kw)
        self.assertEqual(shapes.misshapen(got, shapes.ANALYZE), [])
        self.assertEqual(oracle.differences(got, want, scale), [])
        if got["offsets"] is not None:
            np.testing.assert_allclose(got["offsets"], want["_offsets"], rtol=1e-9, atol=1e-12)
        return got, want


class AgainstBruteForce(Analyze):
    def test_effects_curves_and_decisions(self):
        seen = set()
        for seed, level, slope in ((51, 0.0, 0.0), (52, 0.3, 0.9), (53, -0.6, 0.8), (54, 0.9, 0.0), (55, 0.0, -0.9)):
            with self.subTest(seed=seed):
                rng = np.random.default_rng(seed)
                experiment = self.experiment(rng, 2400)
                got, _ = self.agrees(experiment, self.results(experiment, rng, slope, level, lambda u, e: u > 0.04))
                seen |= {b["decision"] for b in got["boundaries"]} | {s["verdict"] for b in got["boundaries"] for s in b["sides"]}
                self.assertIsNone(got["stopped"])
        self.assertGreaterEqual(seen, {"helps", "hurts", "undecided", "keep"})
        self.assertTrue(any(word.startswith("widen") for word in seen), seen)

    def test_strings_and_shares(self):
        rng = np.random.default_rng(61)
        experiment = self.experiment(rng, 1500, pairs=((0, 1),), strata=3, share=0.3, ids=data.string_ids(1500, rng))
        results = self.results(experiment, rng, 0.5, 0.2)
        self.agrees(experiment, results, "--adjust", "bh", "--alpha", 0.2, how="bh", alpha=0.2)
        got, _ = self.agrees(experiment, results, outcome="visit")
        self.assertEqual(got["attrition"]["missing"], 0)

    def test_pre_period(self):
        rng = np.random.default_rng(62)
        experiment = self.experiment(rng, 1800)
        results = self.results(experiment, rng, 0.5, 0.2, lambda u, e: u > 0.05)
        got, _ = self.agrees(experiment, results, pre="before")
        for b in got["boundaries"]:
            for s in b["sides"]:
                self.assertGreater(s["cuped"]["variance_reduction"], 0.1)

    def test_strata_that_are_too_small_are_merged(self):
        """Many quantiles of few customers, most of them kept."""
        for seed in range(63, 69):
            rng = np.random.default_rng(seed)
            experiment = self.experiment(rng, 260, pairs=((0, 1),), strata=20, share=0.25)
            results = self.results(experiment, rng, 0.5, 0.2, lambda u, e: u > 0.06)
            got, want = self.agrees(experiment, results, "--min-cell", 10, min_cell=10)
            self.assertTrue(any(p["strata"][0] < p["strata"][1] for p in got["boundaries"][0]["points"]))

    def test_not_enough_data(self):
        rng = np.random.default_rng(70)
        experiment = self.experiment(rng, 900)
        results = self.results(experiment, rng)
        got, _ = self.agrees(experiment, results, "--min-cell", 75, min_cell=75)
        self.assertIn("not enough data", {s["verdict"] for b in got["boundaries"] for s in b["sides"]})
        self.agrees(experiment, results, "--min-events", 35, outcome="visit", min_events=35)

    def test_attrition_and_sample_ratio_stop(self):
        rng = np.random.default_rng(71)
        experiment = self.experiment(rng, 1500)
        for keep, name in ((lambda u, e: u > 0.3, "attrition"), (lambda u, e: (u > 0.09) | (e["arm"] == 0), "missing|attrition")):
            got, want = self.agrees(experiment, self.results(experiment, rng, 0.5, 0.9, keep, "r.h5"))
            self.assertRegex(got["stopped"], name)
            self.assertEqual({b["decision"] for b in got["boundaries"]}, {None})
        with h5py.File(experiment, "r+") as f:
            f["propensity"][...] = 0.4
        got, _ = self.agrees(experiment, self.results(experiment, rng, 0.5, 0.9, name="s.h5"))
        self.assertIn("sample ratio", got["stopped"])

    def test_offsets(self):
        """Boundaries that pull at one another: least squares; the largest segment stays."""
        model = data.write_model(self.tmp / "m.h5", [[-1, 0], [1, 0], [0, 1], [5, 5]], [0.1, 0.0, -0.1, 0.2],
                                 [500, 700, 700, 10], digest="ab" * 16)
        moves = 0
        for seed, slope, level in ((72, 0.5, 0.9), (73, 1.0, 0.8), (74, 0.5, -0.9), (75, 1.2, -0.9), (76, 0.0, 0.0)):
            rng = np.random.default_rng(seed)
            experiment = self.experiment(rng, 4800)
            results = self.results(experiment, rng, slope, level)
            out = self.tmp / f"moved{seed}.h5"
            got, want = self.agrees(experiment, results, "--apply", out, model=model)
            if want["_offsets"] is None:
                self.assertFalse(out.exists())
                continue
            moves += 1
            with h5py.File(out) as f:
                np.testing.assert_allclose(f["offsets"][()], want["_offsets"], rtol=1e-9, atol=1e-12)
                self.assertEqual([f["offsets"][1], f["offsets"][3]], [0.0, 0.2])
        self.assertGreater(moves, 2)


if __name__ == "__main__":
    t.main()
