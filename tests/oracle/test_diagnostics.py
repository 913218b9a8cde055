"""assignments.h5 and diagnostics.json against NumPy in double and scikit-learn.

The fit keeps each feature as float32 around its mean, so a row lies within e = 2^-24 ||x - mean|| of where double
arithmetic puts it. A distance, and a margin (the distance to a plane), moves by no more than the row does: that bounds
every comparison below, with no further slack than `TINY` for the double precision of either side.
"""
import itertools
import json
import math

import h5py
import numpy as np
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

import demarc_testing as t

U = 2.0**-24    # rounding to float32, relative
TINY = 1e-11    # relative to the size of what is compared
NEAR = 0.1      # "near a boundary": margin below this share of half the distance of the two centroids


def customers(n, seed, skewed=False):
    """Six features of unlike scale and place; some groups; a date as Unix time; spend with a long tail."""
    rng = np.random.default_rng(seed)
    group = rng.choice(4, n, p=[0.45, 0.3, 0.2, 0.05])
    x = np.empty((n, 6))
    x[:, 0] = rng.integers(1, 366, n) * np.array([0.3, 1.0, 0.5, 0.1])[group]
    x[:, 1] = np.round(rng.lognormal(np.array([0.5, 1.5, 2.5, 4.0])[group], 0.6)) + 1
    x[:, 2] = np.round(rng.lognormal(np.array([3.0, 4.0, 5.0, 7.0])[group], 1.0), 2)
    x[:, 3] = 1.6e9 + 86400.0 * rng.normal(np.array([0, 100, 30, 300])[group], 40)
    x[:, 4] = rng.beta(2, 5, n) + 0.1 * (group == 2)
    x[:, 5] = rng.standard_normal(n) * 1e-4 + 1e-3 * group
    if not skewed:
        x[:, 1:3] = np.log1p(x[:, 1:3])
    return x, rng


NAMES = ["recency", "frequency", "monetary", "last_seen", "discount", "tiny"]


class Reference:
    """All that is said of a fit, computed from raw features, centroids in scaled space, weights and labels."""

    def __init__(self, raw, centroids, center, factor, log1p=(), weight=None):
        value = raw.astype(np.float64).copy()
        self.log1p = list(log1p)
        value[:, self.log1p] = np.log1p(value[:, self.log1p])
        w = np.ones(len(value)) if weight is None else weight
        present = ~np.isnan(value)
        self.mean = np.array([np.average(v[p], weights=w[p]) for v, p in zip(value.T, present.T)])
        value = np.where(present, value, self.mean)  # --missing mean
        self.value, self.weight, self.center, self.factor = value, w, center, factor
        self.x = (value - center) * factor
        self.c = centroids
        k = len(centroids)
        self.error = 1.001 * U * np.sqrt((((value - self.mean) * factor)**2).sum(axis=1))
        self.error += TINY * np.sqrt((self.x**2).sum(axis=1))
        self.squared = np.array([((self.x - c)**2).sum(axis=1) for c in centroids]).T
        self.gap = np.sqrt(((centroids[:, None] - centroids[None])**2).sum(axis=2))
        order = np.argsort(self.squared, axis=1, kind="stable")
        self.label, self.runner = order[:, 0], order[:, 1] if k > 1 else np.full(len(value), -1)

    def original(self):
        """Features in original units (with missing ones filled) and the bound on what float32 does to them."""
        moved = U * np.abs(self.value - self.mean)
        v = self.value.copy()
        v[:, self.log1p] = np.expm1(v[:, self.log1p])
        moved[:, self.log1p] *= 1.0 + v[:, self.log1p]
        return v, moved


class Diagnostics(t.Case):
    def near(self, got, right, bound, what=""):
        """|got - right| <= bound, plus the double precision of either side; element by element."""
        got, right = np.asarray(got, dtype=np.float64), np.asarray(right, dtype=np.float64)
        self.assertEqual(got.shape, right.shape, what)
        self.assertTrue(np.isfinite(got).all() and np.isfinite(right).all(), what)
        bad = np.abs(got - right) > bound + TINY * np.abs(right)
        if bad.any():
            i = np.unravel_index(np.argmax(bad), bad.shape)
            limit = np.broadcast_to(bound, bad.shape)[i]
            self.fail(f"{what} at {i}: {got[i]!r}, should be {right[i]!r}, allowed {limit:.3g}; {bad.sum()} in all")

    def fit(self, raw, k, *options, names=tuple(NAMES), **columns):
        path = self.write("x.h5", raw, names=list(names), **columns)
        self.ok("fit", path, "--segments", k, "--tolerance", 0, "--max-iterations", 2000, "--out", self.tmp / "run", "--force",
                "--quiet", *options)
        r = self.results(self.tmp / "run")
        self.assertTrue(r["diagnostics"]["converged"])
        return r

    def check_rows(self, r, ref):
        """assignments.h5 by brute force."""
        label, runner, distance, margin = (r[s] for s in ("segment", "runner_up", "distance", "margin"))
        rows = np.arange(len(label))
        e = ref.error
        self.near(distance, np.sqrt(ref.squared[rows, label]), e + 1.001 * U * distance, "distance")
        if len(ref.c) == 1:
            self.assertTrue((label == 0).all() and (runner == -1).all() and np.isposinf(margin).all())
            return
        self.assertTrue((label != runner).all())
        self.assertGreaterEqual(margin.min(), 0)
        gap = ref.gap[label, runner]
        right = (ref.squared[rows, runner] - ref.squared[rows, label]) / (2 * gap)
        self.near(margin, right, e + 1.001 * U * margin, "margin")
        # A label or runner-up that differs from the brute force one must be a tie within the bound.
        other = np.sqrt(ref.squared[rows, ref.label])
        self.near(np.sqrt(ref.squared[rows, label]), other, 2 * e, "nearest")
        other = np.sqrt(np.sort(ref.squared, axis=1)[:, 1])
        self.near(np.sqrt(ref.squared[rows, runner]), other, 2 * e, "second nearest")
        self.assertLessEqual(np.count_nonzero((label != ref.label) | (runner != ref.runner)), 0.001 * len(label) + 2)

    def check_segments(self, r, ref):
        g, label, runner = r["diagnostics"], r["segment"], r["runner_up"]
        k, w, e = len(ref.c), ref.weight, ref.error
        n, rows = len(label), np.arange(len(label))
        squared = ref.squared[rows, label]
        own = np.sqrt(squared)
        slack = 2 * own * e + e * e  # of a squared distance
        self.assertEqual((g["n"], g["d"], g["k"]), (n, ref.x.shape[1], k))
        self.near(g["objective"], (w * squared).sum(), (w * slack).sum(), "objective")
        spread = ((ref.value - ref.mean) * ref.factor)
        total = (w[:, None] * spread**2).sum()
        self.near(g["total"], total, (w * (2 * np.sqrt((spread**2).sum(axis=1)) * e + e * e)).sum(), "total")
        self.assertEqual(g["explained_share"], 1 - g["objective"] / g["total"])
        self.assertEqual(g["near_boundary_rule"]["share"], NEAR)
        self.assertEqual([s["segment"] for s in g["segments"]], list(range(k)))
        for j, s in enumerate(g["segments"]):
            m = label == j
            wj, W = w[m], w[m].sum()
            self.assertEqual(s["size"], int(m.sum()))
            self.assertEqual(s["size"], r["size"][j])
            self.near(s["share"], m.sum() / n, 0, "share")
            self.near(s["weight"], W, 0, "weight")
            self.near(s["weight_share"], W / w.sum(), 0, "weight share")
            self.near(s["objective"], (wj * squared[m]).sum(), (wj * slack[m]).sum(), "segment objective")
            self.near(s["objective_share"], s["objective"] / g["objective"], 0, "objective share")
            self.near(s["mean_distance"], (wj * own[m]).sum() / W, (wj * e[m]).sum() / W, "mean distance")
            if k == 1:
                for key in ("mean_margin", "near_boundary_share", "simplified_silhouette", "nearest_segment",
                            "nearest_distance"):
                    self.assertIsNone(s[key], key)
                continue
            away = np.sqrt(ref.squared[rows, runner])[m]
            gap = ref.gap[label, runner][m]
            margin = (ref.squared[rows, runner] - squared)[m] / (2 * gap)
            self.near(s["mean_margin"], (wj * margin).sum() / W, (wj * e[m]).sum() / W, "mean margin")
            low, high = ((wj * (margin + sign * e[m] < NEAR * gap / 2)).sum() / W for sign in (1, -1))
            self.assertTrue(low * (1 - TINY) <= s["near_boundary_share"] <= high * (1 + TINY),
                            (low, s["near_boundary_share"], high))
            silhouette = (away - own[m]) / np.maximum(away, own[m])
            bound = np.minimum(2 * e[m] / np.maximum(away, own[m]), 2)
            self.near(s["simplified_silhouette"], (wj * silhouette).sum() / W, (wj * bound).sum() / W, "segment silhouette")
            others = np.where(np.arange(k) == j, np.inf, ref.gap[j])
            self.assertEqual(s["nearest_segment"], int(np.argmin(others)))
            self.near(s["nearest_distance"], others.min(), 0, "nearest distance")
        if k == 1:
            self.assertEqual(set(g["criteria"].values()), {None})
            self.near(g["objective"], g["total"], 2 * (w * slack).sum())
            return
        # Simplified silhouette of all, from every pair of row and centroid: no use of the fit's own runner-up.
        two = np.sort(np.sqrt(ref.squared), axis=1)[:, :2]
        silhouette = (two[:, 1] - two[:, 0]) / two[:, 1]
        self.near(g["criteria"]["simplified_silhouette"], np.average(silhouette, weights=w),
                  np.average(np.minimum(2 * e / two[:, 1], 2), weights=w), "silhouette")

    def check_criteria(self, r, ref, repeat=None):
        """scikit-learn knows no weights: whole-numbered ones become repeated rows."""
        x, label = ref.x, r["segment"]
        if repeat is not None:
            x, label = np.repeat(x, repeat, axis=0), np.repeat(label, repeat)
        criteria = r["diagnostics"]["criteria"]
        # scikit-learn measures from the means of the labelled rows, the fit from its centroids: after convergence they
        # are the same to the rounding of the rows. Relative slack of both scores: that of squared and of plain distances.
        right = calinski_harabasz_score(x, label)
        self.near(criteria["calinski_harabasz"], right, 2e-7 * right, "Calinski-Harabasz")
        right = davies_bouldin_score(x, label)
        self.near(criteria["davies_bouldin"], right, 2e-7 * right, "Davies-Bouldin")

    def check_features(self, r, ref, names=tuple(NAMES), ignored=()):
        g, label, w = r["diagnostics"], r["segment"], ref.weight
        v, moved = ref.original()
        center = np.average(v, axis=0, weights=w)
        far = np.abs(v - center).max(axis=0)

        def moments(f, m):
            W = w[m].sum()
            mean = (w[m] * (v[m, f] - v[0, f])).sum() / W + v[0, f]
            sd = math.sqrt((w[m] * (v[m, f] - mean)**2).sum() / W)
            # A mean moves with the mean move of its rows (and the grid of sums is 2^-40 of the largest value), a standard
            # deviation with their root mean square at most. A mean of squares minus a squared mean costs half the digits of a
            # sum of 4096 doubles.
            dm = (w[m] * moved[m, f]).sum() / W + 1e-12 * far[f]
            ds = math.sqrt((w[m] * moved[m, f]**2).sum() / W) + 1e-6 * math.sqrt((w[m] * (v[m, f] - center[f])**2).sum() / W)
            return mean, sd, dm, ds
        self.assertEqual(g["features"], list(names))
        everyone = np.ones(len(label), dtype=bool)
        for f, name in enumerate(names):
            if name in ignored:
                continue
            mean, sd, dm, ds = moments(f, everyone)
            self.near(g["overall"]["mean"][name], mean, dm, f"mean of {name}")
            self.near(g["overall"]["sd"][name], sd, ds, f"sd of {name}")
            for j, s in enumerate(g["segments"]):
                entry, = [o for o in s["features"] if o["name"] == name]
                what = f"{name} in segment {j}"
                own, own_sd, own_dm, own_ds = moments(f, label == j)
                self.near(entry["mean"], own, own_dm, "mean of " + what)
                self.near(entry["sd"], own_sd, own_ds, "sd of " + what)
                if len(g["segments"]) > 1:
                    rest, _, rest_dm, _ = moments(f, label != j)
                    right = (own - rest) / sd
                    self.near(entry["difference"], right, (own_dm + rest_dm) / sd + abs(right) * ds / sd, "difference of " + what)
        for s in g["segments"]:
            self.assertEqual(sorted(o["name"] for o in s["features"]), sorted(names))
            size = [-1 if o["difference"] is None else abs(o["difference"]) for o in s["features"]]
            self.assertEqual(size, sorted(size, reverse=True), "largest difference first")

    def check_all(self, r, ref, **kw):
        self.check_rows(r, ref)
        self.check_segments(r, ref)
        self.check_features(r, ref, **kw)


def zscore(raw, log1p=(), weight=None):
    """Center and factor: weighted mean and 1 / population standard deviation of what is present."""
    v = raw.astype(np.float64).copy()
    v[:, list(log1p)] = np.log1p(v[:, list(log1p)])
    w = np.ones(len(v)) if weight is None else weight
    center, factor = np.empty(v.shape[1]), np.empty(v.shape[1])
    for f, column in enumerate(v.T):
        p = ~np.isnan(column)
        shifted = column[p] - column[p][0]
        mean = np.average(shifted, weights=w[p])
        center[f] = column[p][0] + mean
        factor[f] = 1 / math.sqrt(np.average((shifted - mean)**2, weights=w[p]))
    return center, factor


class Figures(Diagnostics):
    def test_zscore(self):
        raw, _ = customers(9000, 1)
        r = self.fit(raw, 5)
        ref = Reference(raw, r["centroids_scaled"], *zscore(raw))
        self.check_all(r, ref)
        self.check_criteria(r, ref)
        self.assertFalse(r["diagnostics"]["weighted"])
        for s in r["diagnostics"]["segments"]:
            self.assertEqual((s["outcomes"], s["reach"]), ([], None))

    def test_log1p_weights_and_missing(self):
        raw, rng = customers(9000, 2, skewed=True)
        raw[rng.random(raw.shape) < 0.02] = np.nan
        weight = rng.integers(0, 6, len(raw)).astype(np.float64)
        r = self.fit(raw, 4, "--log1p", "frequency,monetary", "--missing", "mean", weight=weight)
        ref = Reference(raw, r["centroids_scaled"], *zscore(raw, (1, 2), weight), log1p=(1, 2), weight=weight)
        self.check_all(r, ref)
        self.check_criteria(r, ref, repeat=weight.astype(int))
        self.assertTrue(r["diagnostics"]["weighted"])

    def test_unscaled_float32(self):
        raw, rng = customers(6000, 3)
        raw = (raw[:, [0, 1, 2, 4]] + [0, 0, 500, 3]).astype(np.float32)
        weight = rng.gamma(2.0, 1.0, len(raw)).astype(np.float32)
        names = ["recency", "frequency", "monetary", "discount"]
        r = self.fit(raw, 7, "--scale", "none", names=names, weight=weight)
        ref = Reference(raw, r["centroids_scaled"], np.zeros(4), np.ones(4), weight=weight.astype(np.float64))
        self.check_all(r, ref, names=names)
        np.testing.assert_array_equal(r["centroids"], r["centroids_scaled"])

    def test_feature_weights_and_a_feature_left_out(self):
        raw, _ = customers(5000, 4)
        r = self.fit(raw, 3, "--feature-weights", "recency=2,discount=0.5,tiny=0")
        center, factor = zscore(raw)
        factor *= [2, 1, 1, 1, 0.5, 0]
        ref = Reference(raw, r["centroids_scaled"], center, factor)
        self.check_all(r, ref, ignored=["tiny"])
        self.check_criteria(r, ref)
        g = r["diagnostics"]
        self.assertIsNone(g["overall"]["mean"]["tiny"])
        for s in g["segments"]:
            self.assertEqual(s["features"][-1], {"name": "tiny", "mean": None, "sd": None, "difference": None})

    def test_one_segment(self):
        raw, _ = customers(5000, 5)
        r = self.fit(raw, 1)
        self.check_all(r, Reference(raw, r["centroids_scaled"], *zscore(raw)))
        self.near(r["diagnostics"]["total"], raw.size, 1e-6 * raw.size, "total of standardised features")

    def test_log1p_with_a_long_tail(self):
        """One customer spends a million times the others: the small spenders' figures must not feel it."""
        raw, _ = customers(5000, 6, skewed=True)
        raw[17, 2] = 2e9
        r = self.fit(raw, 3, "--log1p", "frequency,monetary")
        self.check_all(r, Reference(raw, r["centroids_scaled"], *zscore(raw, (1, 2)), log1p=(1, 2)))

    def test_long_tail(self):
        """The same without logarithms: it is a segment of its own, the others keep their means and spreads."""
        raw, _ = customers(5000, 7, skewed=True)
        raw[17, 2] = 2e9
        r = self.fit(raw, 3)
        self.check_all(r, Reference(raw, r["centroids_scaled"], *zscore(raw)))

    def test_weighted_like_repeated(self):
        """A weight of 3 is three customers: the same centroids give the same figures."""
        raw, rng = customers(3000, 8)
        weight = rng.integers(1, 4, len(raw))
        a = self.fit(raw, 3, weight=weight.astype(np.float64))
        with h5py.File(self.tmp / "init.h5", "w") as f:
            f["centroids"] = a["centroids"]
        b = self.fit(np.repeat(raw, weight, axis=0), 3, "--init", self.tmp / "init.h5")["diagnostics"]
        a = a["diagnostics"]
        for key in ("objective", "total", "explained_share"):
            self.near(a[key], b[key], 1e-9 * abs(b[key]), key)
        for key in a["criteria"]:
            self.near(a["criteria"][key], b["criteria"][key], 1e-9 * abs(b["criteria"][key]), key)
        for s, u in zip(a["segments"], b["segments"]):
            self.assertEqual(s["weight"], u["size"])
            for key in ("mean_distance", "mean_margin", "near_boundary_share", "simplified_silhouette", "nearest_distance"):
                self.near(s[key], u[key], 1e-9, key)


class OutcomesAndReach(Diagnostics):
    def check(self, weighted):
        raw, rng = customers(9000, 9)
        n = len(raw)
        outcomes = np.column_stack([rng.random(n) < 0.1 + 0.1 * (raw[:, 1] > 2), rng.gamma(0.1, 50, n), np.full(n, np.nan)])
        outcomes[rng.random(n) < 0.3, 1] = np.nan
        reachable = (rng.random((n, 3)) < [0.7, 0.4, 0.0]).astype(np.uint8)
        weight = rng.gamma(2.0, 1.0, n).astype(np.float32)
        weight[::7] = 0
        columns = {"weight": weight} if weighted else {}
        path = self.write("x.h5", raw, names=NAMES, outcomes=outcomes, reachable=reachable, **columns)
        with h5py.File(path, "r+") as f:
            f["outcomes"].attrs["outcome_names"] = ["visit", "spend", "never"]
            f["reachable"].attrs["channel_names"] = ["mail", "sms", "fax"]
        self.ok("fit", path, "--segments", 4, "--out", self.tmp / "run", "--quiet")
        r = self.results(self.tmp / "run")
        w = weight.astype(np.float64) if weighted else np.ones(n)
        for j, s in enumerate(r["diagnostics"]["segments"]):
            m = r["segment"] == j
            self.assertEqual([o["name"] for o in s["outcomes"]], ["visit", "spend", "never"])
            for i, o in enumerate(s["outcomes"]):
                p = m & ~np.isnan(outcomes[:, i])
                self.assertEqual(o["count"], int(p.sum()))
                if p.any():
                    self.near(o["mean"], np.average(outcomes[p, i], weights=w[p]), 0, o["name"])
                else:
                    self.assertIsNone(o["mean"])
            self.assertEqual([c["name"] for c in s["reach"]["channels"]], ["mail", "sms", "fax"])
            for i, c in enumerate(s["reach"]["channels"]):
                self.near(c["share"], np.average(reachable[m, i], weights=w[m]), 0, c["name"])
            self.near(s["reach"]["any"], np.average(reachable[m].any(axis=1), weights=w[m]), 0, "any channel")

    def test_plain(self):
        self.check(False)

    def test_weighted(self):
        self.check(True)


class Range(Diagnostics):
    def test_each_k_as_if_alone(self):
        """--segments LO:HI: a row per k with the figures of a fit of that k; what is recommended is kept."""
        raw, _ = customers(4000, 10)
        path = self.write("x.h5", raw, names=NAMES)
        self.ok("fit", path, "--segments", "2:5", "--out", self.tmp / "range", "--quiet")
        g = json.loads((self.tmp / "range" / "diagnostics.json").read_text())
        self.assertEqual([row["k"] for row in g["per_k"]], [2, 3, 4, 5])
        for row in g["per_k"]:
            self.ok("fit", path, "--segments", row["k"], "--out", self.tmp / "one", "--quiet", "--force")
            one = json.loads((self.tmp / "one" / "diagnostics.json").read_text())
            self.assertEqual(one["per_k"], [])
            self.assertEqual(row["objective"], one["objective"])
            for key, value in one["criteria"].items():
                self.assertEqual(row[key], value)
            self.assertEqual(row["smallest_share"], min(s["share"] for s in one["segments"]))
            self.assertEqual(row["chosen"], row["k"] == g["k"])
            if row["chosen"]:
                self.assertEqual((one["digest"], one["segments"]), (g["digest"], g["segments"]))
        best = max(g["per_k"], key=lambda row: row["simplified_silhouette"])["k"]
        self.assertEqual([row["k"] for row in g["per_k"] if row["chosen"]], [g["recommendation"]["k"] or best])
        for a, b in itertools.pairwise(g["per_k"]):
            self.assertLess(b["objective"], a["objective"])


if __name__ == "__main__":
    t.main()
