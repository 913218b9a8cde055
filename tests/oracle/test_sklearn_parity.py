"""Lloyd's algorithm from given centroids against scikit-learn's, pass by pass the same: labels and objective.

scikit-learn moves the data to their mean and works in the type of its input: on float32 its centroids carry float32
sums. So the same run in double is compared as well, where the two differ by nothing but rows on a boundary.
Objectives are computed here in double from the labels and centroids of either side.
"""
import h5py
import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

import demarc_testing as t

PASSES = 20


def overlapping(n, d, clusters, separation, seed, dtype):
    """Gaussian customers in more clusters than segments, so that 20 passes do not suffice; features of unlike scale."""
    rng = np.random.default_rng(seed)
    centers = (rng.standard_normal((clusters, d)) * separation).astype(dtype)
    x = rng.standard_normal((n, d), dtype=dtype)
    x += centers[rng.integers(0, clusters, n)]
    x *= (rng.random(d) * 3 + 0.2).astype(dtype)
    return x


def objective(x, label, centroids, weight=None, rows=100_000):
    """Sum of w ||x - c||^2 in double."""
    total = 0.0
    for i in range(0, len(x), rows):
        squared = ((x[i:i + rows].astype(np.float64) - centroids[label[i:i + rows]])**2).sum(axis=1)
        total += squared.sum() if weight is None else (weight[i:i + rows] * squared).sum()
    return total


class Parity(t.Case):
    def fit(self, x, init, *options, **columns):
        with h5py.File(self.tmp / "init.h5", "w") as f:
            f["centroids"] = init
        path = self.write("x.h5", x, **columns)
        self.ok("fit", path, "--segments", len(init), "--algorithm", "lloyd", "--max-iterations", PASSES, "--tolerance", 0,
                "--init", self.tmp / "init.h5", "--out", self.tmp / "run", "--force", "--quiet", *options)
        r = self.results(self.tmp / "run")
        self.assertEqual(r["diagnostics"]["iterations"], PASSES)
        self.assertFalse(r["diagnostics"]["converged"], "converged: the comparison would be too easy")
        return r

    def sklearn(self, x, init, weight=None):
        km = KMeans(len(init), algorithm="lloyd", n_init=1, init=init.astype(x.dtype), max_iter=PASSES, tol=0)
        km.fit(x, sample_weight=weight)
        self.assertEqual(km.n_iter_, PASSES)
        return km.labels_, km.cluster_centers_.astype(np.float64)

    def compare(self, what, ours, theirs, x, weight=None, labels=0.9999, relative=1e-6):
        same = np.count_nonzero(ours[0] == theirs[0])
        a, b = objective(x, *ours, weight), objective(x, *theirs, weight)
        print(f"{what}: {len(x) - same} of {len(x)} labels differ, objective {a:.10g} against {b:.10g} ({a / b - 1:+.1e})",
              flush=True)
        self.assertGreaterEqual(same, labels * len(x))
        self.assertLessEqual(abs(a / b - 1), relative)
        return a

    def test_million_rows_float32(self):
        x = overlapping(1_000_000, 32, 16, 1.0, seed=2, dtype=np.float32)
        init = x[:8]
        r = self.fit(x, init, "--scale", "none")
        ours = r["segment"], r["centroids"]
        a = self.compare("float32", ours, self.sklearn(x, init), x)
        self.assertLessEqual(abs(r["diagnostics"]["objective"] / a - 1), 1e-6)
        double = x.astype(np.float64)
        self.compare("float32, scikit-learn in double", ours, self.sklearn(double, init), double, labels=0.99999,
                     relative=1e-7)

    def test_no_structure_float32(self):
        """One cloud cut into 8: every pass carries a difference on. Against double, since sums in float32 drift here."""
        x = overlapping(200_000, 16, 1, 0.0, seed=3, dtype=np.float32)
        init = x[:8]
        r = self.fit(x, init, "--scale", "none")
        self.compare("no structure", (r["segment"], r["centroids"]), self.sklearn(x.astype(np.float64), init), x)

    def test_many_segments_weights_double(self):
        """k = 64, float64 features far from zero, weights of which some are zero."""
        x = overlapping(60_000, 12, 100, 1.0, seed=5, dtype=np.float64) + 1000.0
        rng = np.random.default_rng(6)
        weight = rng.gamma(1.5, 2.0, len(x)).astype(np.float32).astype(np.float64)
        weight[rng.random(len(x)) < 0.05] = 0.0
        init = x[np.flatnonzero(weight > 0)[:64]]
        r = self.fit(x, init, "--scale", "none", weight=weight)
        a = self.compare("k = 64, weights", (r["segment"], r["centroids"]), self.sklearn(x, init, weight), x, weight)
        self.assertLessEqual(abs(r["diagnostics"]["objective"] / a - 1), 1e-6)
        plain = self.fit(x, init, "--scale", "none")["segment"]
        self.assertLess(np.count_nonzero(plain == r["segment"]), 0.99 * len(x), "weights change nothing: the test shows little")

    def test_zscore_from_original_units(self):
        """Starting centroids are in original units; scikit-learn gets everything scaled."""
        x = overlapping(50_000, 10, 30, 0.7, seed=8, dtype=np.float64) * 37.0 - 500.0
        init = x[:12]
        r = self.fit(x, init)
        scaler = StandardScaler().fit(x)
        z = scaler.transform(x)
        self.compare("zscore", (r["segment"], r["centroids_scaled"]), self.sklearn(z, scaler.transform(init)), z)
        np.testing.assert_allclose(r["centroids"], scaler.inverse_transform(r["centroids_scaled"]), rtol=1e-12, atol=1e-9)


if __name__ == "__main__":
    t.main()
