"""`demarc boundary sweep` against brute force (tests/support/boundary_oracle.py), its bootstrap against NumPy's."""
import json
import math

import numpy as np

import boundary_data as data
import boundary_oracle as oracle
import boundary_shapes as shapes
import demarc_testing as t


class Sweep(t.Case):
    def sweep(self, model, customers, *options):
        p = self.ok("boundary", "sweep", customers, "--model", model, "--json", *options)
        return json.loads(p.stdout)

    def fitted(self, customers, k, *options):
        self.ok("fit", customers, "--segments", k, "--out", self.tmp / "run", "--quiet", "--force", *options)
        return self.tmp / "run" / "model.h5"

    def agrees(self, model, customers, *options, shifts=oracle.SHIFTS, scale=1.0, **kw):
        """Members, counts and figures of a run, and that its verdicts follow from its figures. @return its JSON"""
        shown = ("--shifts", ",".join(map(str, shifts))) if shifts is not oracle.SHIFTS else ()
        got = self.sweep(model, customers, "--replicates", 50, *shown, *options)
        f = oracle.Frozen(model, customers)
        want = oracle.sweep(f, shifts, **kw)
        self.assertEqual(len(got["shifts"]), len(want["shifts"]))
        self.assertEqual(shapes.misshapen(got, shapes.SWEEP), [])
        self.assertEqual(oracle.differences(got, want, scale), [])
        for have, should in zip(got["shifts"], want["shifts"]):
            if should["status"] == "ok":
                self.assertTrue(should["_move"].offset_is_right(have["offset"]), (have, should["_move"].inside))
        self.verdicts_follow(got, want)
        return got

    def verdicts_follow(self, got, want):
        """p from the values and standard errors that are given, adjusted over the command, and the words."""
        pairs = [(o, w) for have, should in zip(got["shifts"], want["shifts"]) if should["status"] == "ok"
                 for o, w in zip(have["outcomes"], should["outcomes"])]
        for o, w in pairs:
            if o["p"] is None:
                self.assertTrue(not w["_testable"] or not (o["difference"]["se"] or 0) > 0
                                or not (o["contrast"]["se"] or 0) > 0, o)
                continue
            self.assertTrue(w["_testable"], o)
            p = max(oracle.two_sided(o[key]["value"] / o[key]["se"]) for key in ("difference", "contrast"))
            self.assertTrue(math.isclose(o["p"], p, rel_tol=1e-9, abs_tol=1e-300), (o, p))
        adjusted = oracle.adjust([o["p"] for o, _ in pairs], got["adjust"])
        self.assertEqual(got["tests"], sum(v is not None for v in adjusted))
        for (o, w), a in zip(pairs, adjusted):
            self.assertEqual(oracle.differences(o["p_adjusted"], a), [])
            self.assertEqual(o["verdict"], oracle.sweep_verdict(o["difference"]["value"], o["contrast"]["value"],
                                                                o["p"] is not None, a, got["alpha"]))


class AgainstBruteForce(Sweep):
    def test_fitted_models(self):
        for k, n, d, options in ((2, 300, 2, ()), (3, 700, 9, ("--scale", "robust")), (6, 1500, 4, ("--scale", "minmax"))):
            with self.subTest(k=k):
                rng = np.random.default_rng(k)
                x, group = data.clusters(rng, n, d, k)
                path = data.write_customers(self.tmp / f"{k}.h5", x, data.outcomes_of(rng, x, group))
                got = self.agrees(self.fitted(path, k, *options), path, scale=1e5)
                self.assertEqual([o["exploratory"] for o in got["outcomes"]], [False] * 3)

    def test_weights_ids_and_offsets(self):
        rng = np.random.default_rng(11)
        x, group = data.clusters(rng, 900, 3, 4)
        weight = rng.gamma(1.0, 1.0, len(x)).astype(np.float32)
        weight[rng.random(len(x)) < 0.2] = 0
        path = data.write_customers(self.tmp / "x.h5", x.astype(np.float32), data.outcomes_of(rng, x, group),
                                    id=data.string_ids(len(x), rng), weight=weight)
        model = self.fitted(path, 4, "--feature-weights", "f1=0.5")
        self.agrees(model, path, scale=1e5)
        data.move_offsets(model, [0.4, -0.3, 0.0, 0.7])
        self.agrees(model, path, "--adjust", "bh", "--alpha", 0.2, scale=1e5)

    def test_ties_go_by_id(self):
        """Customers on a grid: most cuts fall among equals; -0 and +0 are equal."""
        rng = np.random.default_rng(12)
        x = rng.integers(-2, 3, (800, 2)).astype(float)
        x[x == 0] *= rng.choice([-1.0, 1.0], (x == 0).sum())
        y = {"visit": (rng.random(800) < 0.3 + 0.1 * x[:, 0]).astype(float)}
        for ids in (None, rng.permutation(np.arange(-400, 400)), data.string_ids(800, rng),
                    rng.permutation(np.arange(800).astype(np.uint64) + np.uint64(2**63 - 400))):
            for offsets in (None, [0.5, 0.0, -1.0]):
                with self.subTest(ids=None if ids is None else ids.dtype, offsets=offsets):
                    path = data.write_customers(self.tmp / "g.h5", x, y, **({} if ids is None else {"id": ids}))
                    model = data.write_model(self.tmp / "m.h5", [[-1, -1], [1, 0], [0, 1]], offsets)
                    got = self.agrees(model, path)
                    self.assertGreater(sum(s["tied"] > 0 for s in got["shifts"]), 5)

    def test_shifts_at_the_limits(self):
        """Nobody moves, all but one move, everyone comes, more than there are."""
        rng = np.random.default_rng(13)
        x, group = data.clusters(rng, 400, 2, 3)
        path = data.write_customers(self.tmp / "x.h5", x, data.outcomes_of(rng, x, group))
        model = self.fitted(path, 3)
        size = np.bincount(oracle.Frozen(model, path).segment)[0]
        shifts = (0.001, -0.001, -0.999, 400 / size - 1, 30.0, -0.5, 1.0)
        got = self.agrees(model, path, shifts=shifts, scale=1e5)
        self.assertEqual({s["status"] for s in got["shifts"]}, {"ok", "impossible"})

    def test_min_cell_and_events(self):
        rng = np.random.default_rng(14)
        x, group = data.clusters(rng, 1000, 2, 3)
        y = data.outcomes_of(rng, x, group)
        y["rare"] = (rng.random(1000) < 0.03).astype(float)
        path = data.write_customers(self.tmp / "x.h5", x, y)
        model = self.fitted(path, 3)
        for cell, events in ((10, 1), (60, 5)):
            got = self.agrees(model, path, "--min-cell", cell, "--min-events", events, scale=1e5, min_cell=cell,
                              min_events=events)
            verdicts = {o["verdict"] for s in got["shifts"] for o in s["outcomes"]}
            self.assertIn("not enough data", verdicts)
            self.assertGreater(len(verdicts), 1)


class AgainstBootstrap(Sweep):
    def test_intervals_and_standard_errors(self):
        """Both ends within 4.5 Monte Carlo standard errors of those of a Poisson bootstrap in NumPy."""
        rng = np.random.default_rng(21)
        x, group = data.clusters(rng, 600, 2, 3)
        y = data.outcomes_of(rng, x, group) | {"gain": x[:, 1] + rng.standard_normal(600)}
        weight = rng.gamma(4.0, 0.25, 600).astype(np.float32)
        path = data.write_customers(self.tmp / "x.h5", x, {"gain": y["gain"], "tenure": y["tenure"]}, weight=weight)
        model = self.fitted(path, 3)
        many, few = 8000, 1000
        got = self.sweep(model, path, "--replicates", many, "--shifts", "-0.3,0.4")
        f = oracle.Frozen(model, path)
        for have in got["shifts"][1:3]:  # segment 0 wider, segment 1 narrower
            move = oracle.Move(f, have["segment"], have["shift"])
            factor = rng.poisson(1.0, (few, f.n)).astype(float)
            change = [oracle.objective_change(f, move, f.w * r) for r in factor]
            self.close(have["objective_change"], change, many)
            for o, out in enumerate(have["outcomes"]):
                figures = [oracle.sweep_figures(f, move, f.y[:, o], f.w * r) for r in factor]
                for key in ("movers", "left", "joined", "eta_squared_change"):
                    self.close(out[key], [v[key] for v in figures], many, (have["segment"], have["shift"], key))
                for key in ("difference", "contrast"):
                    sd = np.std([v[key] for v in figures], ddof=1)
                    self.assertLess(abs(out[key]["se"] / sd - 1), 4.5 * math.sqrt(1 / (2 * few) + 1 / (2 * many)) * 1.2,
                                    (have["segment"], have["shift"], key))

    def close(self, interval, replicates, many, where=None):
        sd = np.std(replicates, ddof=1)
        low, high = np.quantile(replicates, [0.025, 0.975])
        # A quantile's standard error is sqrt(q (1 - q) / R) / density; of a normal one at 2.5% that is 2.67 sd / sqrt(R).
        bound = 4.5 * 2.67 * sd * math.sqrt(1 / len(replicates) + 1 / many)
        self.assertLess(abs(interval["low"] - low), bound, where)
        self.assertLess(abs(interval["high"] - high), bound, where)

    def test_the_same_for_any_weights_that_do_not_matter(self):
        """An outcome that is constant has no spread: intervals of no width, no test."""
        rng = np.random.default_rng(22)
        x, _ = data.clusters(rng, 500, 2, 2)
        path = data.write_customers(self.tmp / "x.h5", x, {"one": np.full(500, 7.25)})
        got = self.sweep(self.fitted(path, 2), path, "--replicates", 100)
        for s in got["shifts"]:
            out = s["outcomes"][0]
            self.assertEqual([out["movers"][key] for key in ("value", "low", "high")], [7.25] * 3)
            self.assertIsNone(out["p"])
            self.assertEqual(out["verdict"], "not enough data")


if __name__ == "__main__":
    t.main()
