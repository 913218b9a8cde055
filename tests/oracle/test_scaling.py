"""The transform of a fit (model.h5 /transform) against scikit-learn's scalers and NumPy, and what it does to hard columns.

scaled = (T(v) - center) * factor; scikit-learn's scalers say (v - center) / scale.
"""
import json
import math

import h5py
import numpy as np
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

import demarc_testing as t

EXACT = 1e-13  # relative: two roundings of the same double-precision formula


def columns(n, seed):
    """Columns of unlike scale and shape, among them ties, counts, dates, tiny and huge numbers."""
    rng = np.random.default_rng(seed)
    return np.column_stack([
        rng.standard_normal(n),
        rng.lognormal(3, 2, n),
        rng.poisson(2.0, n),
        1.7e9 + rng.integers(0, 90 * 86400, n),
        rng.standard_normal(n) * 1e-12 + 3e-9,
        rng.standard_normal(n) * 1e15,
        rng.random(n) < 0.4,
        -np.exp(rng.standard_normal(n)),
    ]).astype(np.float64)


class Scaling(t.Case):
    def transform(self, x, *options, k=2, **kw):
        """Fit and return everything of /transform plus the results."""
        path = self.write("x.h5", x, **kw)
        self.ok("fit", path, "--segments", k, "--out", self.tmp / "run", "--force", "--quiet", *options)
        r = self.results(self.tmp / "run")
        with h5py.File(self.tmp / "run" / "model.h5", "r") as f:
            r["scale"] = f["transform"].attrs["scale"]
        return r

    def check(self, r, center, scale, rtol=EXACT):
        scale = np.asarray(scale, dtype=np.float64)
        # A center is as good as its column's spread: a mean of 0 has no relative accuracy.
        bad = np.abs(r["transform/center"] - center) > rtol * (np.abs(center) + scale)
        self.assertFalse(bad.any(), (r["transform/center"], center))
        np.testing.assert_allclose(r["transform/factor"], 1 / scale, rtol=10 * rtol)

    def check_space(self, r, x):
        """Centroids in both spaces, and distances, agree with the transform that was written."""
        center, factor = r["transform/center"], r["transform/factor"]
        np.testing.assert_allclose((r["centroids"] - center) * factor, r["centroids_scaled"], rtol=1e-9, atol=1e-9)
        z = (x - center) * factor
        distance = np.sqrt(((z - r["centroids_scaled"][r["segment"]])**2).sum(axis=1))
        norm = np.sqrt(((z - z.mean(axis=0))**2).sum(axis=1))
        self.assertLessEqual((np.abs(distance - r["distance"]) - 2.0**-23 * (norm + distance)).max(), 0)


class AgainstScikitLearn(Scaling):
    def test_zscore(self):
        x = columns(10_000, 1)
        for scale in ((), ("--scale", "zscore")):  # and it is the default
            r = self.transform(x, *scale)
            right = StandardScaler().fit(x)
            self.check(r, right.mean_, right.scale_, 1e-12)
            self.assertEqual(r["scale"], "zscore")
        self.check_space(r, x)

    def test_robust(self):
        x = columns(10_001, 2)
        r = self.transform(x, "--scale", "robust")
        right = RobustScaler().fit(x)
        self.check(r, right.center_, right.scale_)
        self.check_space(r, x)

    def test_minmax(self):
        x = columns(5_000, 3)
        r = self.transform(x, "--scale", "minmax")
        right = MinMaxScaler().fit(x)
        self.check(r, right.data_min_, right.data_range_)
        self.check_space(r, x)

    def test_none(self):
        x = columns(5_000, 4)[:, [0, 2, 6]]
        r = self.transform(x, "--scale", "none")
        np.testing.assert_array_equal(r["transform/center"], 0)
        np.testing.assert_array_equal(r["transform/factor"], 1)
        np.testing.assert_array_equal(r["centroids"], r["centroids_scaled"])
        self.check_space(r, x)

    def test_weighted_zscore(self):
        x = columns(9_000, 5)
        rng = np.random.default_rng(5)
        weight = rng.gamma(1.0, 1.0, len(x)).astype(np.float32)
        weight[rng.random(len(x)) < 0.3] = 0
        r = self.transform(x, weight=weight)
        right = StandardScaler().fit(x, sample_weight=weight.astype(np.float64))
        self.check(r, right.mean_, right.scale_, 1e-12)
        plain = StandardScaler().fit(x)
        self.assertGreater(abs(right.mean_[1] / plain.mean_[1] - 1), 1e-3)

    def test_weight_zero_is_as_if_absent(self):
        """Also when such rows come first and hold numbers from another world."""
        x = columns(6_000, 6)
        weight = np.ones(len(x))
        weight[:2000] = 0
        for column, value in ((3, 0.0), (0, 1e5), (0, 1e9)):  # no date; a code for "unknown"
            with self.subTest(column=column, value=value):
                y = x.copy()
                y[:2000, column] = value
                right = StandardScaler().fit(y[2000:])
                self.check(self.transform(y, weight=weight), right.mean_, right.scale_, 1e-10)

    def test_every_type_of_features(self):
        """Scaled in double from the stored value, whatever its type."""
        whole = np.column_stack([np.arange(3000) % 100, np.arange(3000) // 7 % 50])
        for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64):
            x = whole.astype(dtype)
            with self.subTest(dtype=x.dtype):
                for how, right in (("zscore", StandardScaler()), ("robust", RobustScaler()), ("minmax", MinMaxScaler())):
                    r = self.transform(x, "--scale", how)
                    s = right.fit(x.astype(np.float64))
                    center = {"zscore": "mean_", "robust": "center_", "minmax": "data_min_"}[how]
                    scale = {"minmax": "data_range_"}.get(how, "scale_")
                    self.check(r, getattr(s, center), getattr(s, scale), 1e-12)

    def test_log1p_comes_before_the_scale(self):
        x = columns(5_000, 7)[:, :4]
        logged = x.copy()
        logged[:, 1:3] = np.log1p(x[:, 1:3])
        names = ["a", "b", "c", "d"]
        for how, scaler, center, scale in (("zscore", StandardScaler(), "mean_", "scale_"),
                                           ("robust", RobustScaler(), "center_", "scale_"),
                                           ("minmax", MinMaxScaler(), "data_min_", "data_range_")):
            right = scaler.fit(logged)
            r = self.transform(x, "--scale", how, "--log1p", "b,c", names=names)
            self.check(r, getattr(right, center), getattr(right, scale), 1e-12)
            np.testing.assert_array_equal(r["transform/log1p"], [0, 1, 1, 0])
            original = r["centroids_scaled"] / r["transform/factor"] + r["transform/center"]
            original[:, 1:3] = np.expm1(original[:, 1:3])
            np.testing.assert_allclose(r["centroids"], original, rtol=1e-9, atol=1e-9)

    def test_feature_weights_multiply(self):
        x = columns(5_000, 8)[:, :4]
        plain = self.transform(x, names=["a", "b", "c=1", "d"])
        r = self.transform(x, "--feature-weights", "b=2.5,c=1=0.25,d=0", names=["a", "b", "c=1", "d"])
        np.testing.assert_allclose(r["transform/factor"], plain["transform/factor"] * [1, 2.5, 0.25, 0], rtol=1e-15)
        np.testing.assert_array_equal(r["transform/center"], plain["transform/center"])
        self.check_space(r, x)


class Missing(Scaling):
    def test_figures_are_of_what_is_present(self):
        x = columns(8_000, 11)
        rng = np.random.default_rng(11)
        x[rng.random(x.shape) < 0.2] = np.nan
        for how, scaler, center, scale in (("zscore", StandardScaler(), "mean_", "scale_"),
                                           ("robust", RobustScaler(), "center_", "scale_"),
                                           ("minmax", MinMaxScaler(), "data_min_", "data_range_")):
            right = scaler.fit(x)  # scikit-learn leaves NaN out
            r = self.transform(x, "--scale", how, "--missing", "mean")
            self.check(r, getattr(right, center), getattr(right, scale), 1e-12)
            self.check_space(r, np.where(np.isnan(x), np.nanmean(x, axis=0), x))

    def test_weighted(self):
        x = columns(8_000, 12)
        rng = np.random.default_rng(12)
        x[rng.random(x.shape) < 0.2] = np.nan
        weight = rng.gamma(1.0, 1.0, len(x)).astype(np.float32)
        right = StandardScaler().fit(x, sample_weight=weight.astype(np.float64))
        r = self.transform(x, "--missing", "mean", weight=weight)
        # scikit-learn 1.2 divides the weighted sum of squares of present values rightly; recompute to be sure of both.
        for f, v in enumerate(x.T):
            p = ~np.isnan(v)
            mean = np.average(v[p] - v[p][0], weights=weight[p].astype(np.float64))
            sd = math.sqrt(np.average((v[p] - v[p][0] - mean)**2, weights=weight[p].astype(np.float64)))
            self.assertLessEqual(abs(r["transform/center"][f] - v[p][0] - mean), 1e-12 * (abs(v[p][0]) + sd))
            self.assertAlmostEqual(r["transform/factor"][f] * sd, 1.0, delta=1e-10)
        self.check(r, right.mean_, right.scale_, 1e-9)


class Quantiles(Scaling):
    """Median and quartiles are exact: numpy's linear interpolation between order statistics, not a sketch."""

    def check_robust(self, x, *options, **kw):
        r = self.transform(x, "--scale", "robust", *options, **kw)
        q = np.nanquantile(x.astype(np.float64), [0.25, 0.5, 0.75], axis=0)
        self.check_quartiles(r, q)
        return r

    def check_quartiles(self, r, q):
        """To the rounding of the interpolation between two exact neighbours."""
        spread = q[2] - q[0]
        self.assertLessEqual((np.abs(r["transform/center"] - q[1]) - 1e-15 * (np.abs(q[1]) + spread)).max(), 0)
        np.testing.assert_allclose(r["transform/factor"], 1 / spread, rtol=4e-15)

    def test_every_small_number_of_rows(self):
        """Each remainder of the interpolation."""
        rng = np.random.default_rng(21)
        for n in range(4, 16):
            self.check_robust(rng.standard_normal((n, 3)))

    def test_ties(self):
        rng = np.random.default_rng(22)
        n = 9_001
        self.check_robust(np.column_stack([rng.integers(0, 3, n), rng.integers(-2, 3, n), np.where(np.arange(n) % 3, 1.5, -0.5),
                                           np.repeat([0.0, 1e-300, 5.0, 1e30], [2300, 2200, 2301, 2200])]))

    def test_signs_and_negative_zero(self):
        x = np.concatenate([-np.geomspace(1e-9, 1e9, 3000), [0.0, -0.0], np.geomspace(1e-9, 1e9, 2500)])
        rng = np.random.default_rng(23)
        self.check_robust(np.column_stack([rng.permutation(x), rng.permutation(-x)]))

    def test_neighbours_in_the_last_bit(self):
        """Doubles that float32 cannot tell apart."""
        x = 1.0 + np.arange(8_000) * 2.0**-52
        rng = np.random.default_rng(24)
        self.check_robust(np.column_stack([rng.permutation(x), rng.standard_normal(len(x))]))

    def test_missing(self):
        rng = np.random.default_rng(25)
        x = rng.integers(0, 40, (9_000, 4)).astype(float)
        x[rng.random(x.shape) < [0.5, 0.01, 0.9, 0.0]] = np.nan
        self.check_robust(x, "--missing", "mean")

    def test_streamed_ranks_and_threads(self):
        rng = np.random.default_rng(26)
        x = rng.lognormal(0, 3, (20_000, 3)).astype(np.float32)
        streamed = self.check_robust(x, "--memory-limit", "1M")
        self.assertTrue(json.loads((self.tmp / "run" / "manifest.json").read_text())["layout"]["streamed"])
        path = self.write("ranks.h5", x)
        self.ok("fit", path, "--segments", 2, "--scale", "robust", "--out", self.tmp / "ranks", "--quiet", ranks=3, threads=2)
        r = self.results(self.tmp / "ranks")
        self.check_quartiles(r, np.quantile(x.astype(np.float64), [0.25, 0.5, 0.75], axis=0))
        for key in ("transform/center", "transform/factor"):
            np.testing.assert_array_equal(r[key], streamed[key])

    def test_mostly_one_value(self):
        """Quartiles that are equal give no scale: the feature keeps its unit, with a warning, as scikit-learn does."""
        rng = np.random.default_rng(27)
        x = np.column_stack([rng.standard_normal(2000), np.where(rng.random(2000) < 0.1, rng.random(2000), 0.0)])
        path = self.write("x.h5", x, names=["a", "rare"])
        p = self.ok("fit", path, "--segments", 2, "--scale", "robust", "--out", self.tmp / "run")
        self.assertRegex(p.stderr, "warning: .*rare")
        r = self.results(self.tmp / "run")
        right = RobustScaler().fit(x)
        self.check(r, right.center_, right.scale_)


class Dates(Scaling):
    def test_unix_times_keep_their_differences(self):
        """Seconds around 1.7e9 are 128 apart in float32: groups a few seconds apart must be told apart exactly."""
        rng = np.random.default_rng(31)
        group = rng.integers(0, 4, 4000)
        seconds = 1_700_000_000 + 40 * group + rng.integers(0, 8, len(group))
        for dtype in (np.int64, np.uint32, np.float64):
            for how in ("zscore", "robust", "minmax", "none"):
                x = seconds[:, None].astype(dtype)
                r = self.transform(x, "--scale", how, "--restarts", 3, k=4)
                self.assertEqual(len(set(zip(group.tolist(), r["segment"].tolist()))), 4, (dtype, how))
                means = np.array([seconds[r["segment"] == j].mean() for j in range(4)])
                np.testing.assert_allclose(r["centroids"][:, 0], means, rtol=0, atol=1e-6)
                unit = r["transform/factor"][0]
                right = np.abs(seconds - means[r["segment"]]) * unit
                np.testing.assert_allclose(r["distance"], right, rtol=1e-5, atol=1e-5 * unit)

    def test_a_date_beside_other_features(self):
        rng = np.random.default_rng(32)
        days = rng.integers(0, 365, 5000)
        x = np.column_stack([1.6e9 + 86400.0 * days, rng.gamma(2, 50, len(days))])
        r = self.transform(x, k=3)
        shifted = self.transform(np.column_stack([days.astype(float), x[:, 1]]), k=3)
        np.testing.assert_array_equal(r["segment"], shifted["segment"])
        np.testing.assert_allclose(r["distance"], shifted["distance"], rtol=1e-5, atol=1e-6)

    def test_microseconds(self):
        """Microseconds in int64, 1.7e15: groups ten seconds apart."""
        rng = np.random.default_rng(33)
        group = rng.integers(0, 3, 3000)
        x = (1_700_000_000_000_000 + 10_000_000 * group + rng.integers(0, 1_000_000, len(group)))[:, None]
        r = self.transform(x, k=3)
        self.assertEqual(len(set(zip(group.tolist(), r["segment"].tolist()))), 3)


if __name__ == "__main__":
    t.main()
