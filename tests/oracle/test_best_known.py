"""Objectives reached on benchmark data against the best ones known (Fränti & Sieranoja 2018; UCI; TSPLIB).

Each bound is that of the project's goals: no worse than best known x 1.005 (birch1: x 1.02) with --restarts 10. What is
compared is computed here, in double precision, from the labels and centroids that the fit wrote.
"""
import csv

import numpy as np

import demarc_testing as t

# name: segments, best objective known, factor allowed
BEST_KNOWN = {
    "iris": (3, 7.8851441426e+01, 1.005),
    "bavaria1": (5, 5.9761526721e+10, 1.005),
    "mall": (5, 4.4448455448e+04, 1.005),
    "mcdonalds": (4, 1.6028994564e+03, 1.005),
    "s1": (15, 8.9176156169e+12, 1.005),
    "s3": (15, 1.6889571849e+13, 1.005),
    "a1": (20, 1.2146257522e+10, 1.005),
    "unbalance": (8, 2.1449206285e+11, 1.005),
    "tsplib1060": (10, 1.7548402141e+09, 1.005),
    "birch1": (100, 9.2772790058e+13, 1.02),
}


def text_table(name):
    return np.loadtxt(t.data(name + ".txt"), skiprows=1)


def packed_table(name):
    return np.loadtxt(t.data(name + ".data.gz"))


def survey_items():
    """The 11 yes/no items as 1/0."""
    with open(t.data("mcdonalds.csv"), encoding="utf-8", newline="") as f:
        rows = list(csv.reader(f))
    assert rows[0][:11][-1] == "disgusting" and {v for r in rows[1:] for v in r[:11]} == {"Yes", "No"}
    return np.array([[float(v == "Yes") for v in r[:11]] for r in rows[1:]])


SHAPES = {"iris": (150, 4), "bavaria1": (89, 3), "mall": (200, 2), "mcdonalds": (1453, 11), "s1": (5000, 2), "s3": (5000, 2),
          "a1": (3000, 2), "unbalance": (6500, 2), "tsplib1060": (1060, 2), "birch1": (100000, 2)}


class BestKnown(t.Case):
    def check(self, name, x):
        k, best, factor = BEST_KNOWN[name]
        self.assertEqual(x.shape, SHAPES[name])
        self.ok("fit", self.write(f"{name}.h5", x), "--segments", k, "--scale", "none", "--restarts", 10, "--out",
                self.tmp / "run", "--quiet")
        r = self.results(self.tmp / "run")
        label, centroids = r["segment"], r["centroids"]
        self.assertEqual((label.shape, centroids.shape), ((len(x),), (k, x.shape[1])))
        objective = ((x - centroids[label])**2).sum()
        print(f"{name}: objective {objective:.10g}, best known {best:.10g}, ratio {objective / best:.6f}", flush=True)
        self.assertLessEqual(objective, best * factor)
        self.assertGreaterEqual(objective, best * (1 - 1e-6), "better than the best known: is the objective right?")
        # What the program says of its own result. Features are float32 around their mean: 2^-24 a coordinate.
        self.assertAlmostEqual(r["diagnostics"]["objective"] / objective, 1.0, delta=2e-6)
        self.assertEqual(r["attrs"]["objective"], r["diagnostics"]["objective"])
        np.testing.assert_array_equal(np.bincount(label, minlength=k), r["size"])
        self.assertGreater(r["size"].min(), 0)
        # With the labels fixed no centroids are better than the means: the ones written must be as good.
        means = np.array([x[label == j].mean(axis=0) for j in range(k)])
        self.assertLessEqual(objective, ((x - means[label])**2).sum() * (1 + 1e-4))
        # And with the centroids fixed no labels are better.
        squared = np.array([((x - c)**2).sum(axis=1) for c in centroids])
        self.assertLessEqual(objective, squared.min(axis=0).sum() * (1 + 1e-9))
        return r

    def test_iris(self):
        self.check("iris", text_table("iris"))

    def test_bavaria1(self):
        self.check("bavaria1", text_table("bavaria1"))

    def test_tsplib1060(self):
        self.check("tsplib1060", text_table("tsplib1060"))

    def test_mall(self):
        self.check("mall", np.loadtxt(t.data("mall.csv"), delimiter=",", skiprows=1, usecols=(3, 4)))

    def test_mcdonalds(self):
        self.check("mcdonalds", survey_items())

    def test_s1(self):
        self.check("s1", packed_table("s1"))

    def test_s3(self):
        self.check("s3", packed_table("s3"))

    def test_a1(self):
        self.check("a1", packed_table("a1"))

    def test_unbalance(self):
        """Its clusters are so well apart that the best partition is the true one."""
        r = self.check("unbalance", packed_table("unbalance"))
        truth = np.loadtxt(t.data("unbalance.labels0.gz"), dtype=np.int64)
        pairs = set(zip(truth.tolist(), r["segment"].tolist()))
        self.assertEqual(len(pairs), len(set(truth.tolist())), "a true cluster was split or joined")

    def test_birch1(self):
        self.check("birch1", packed_table("birch1"))


if __name__ == "__main__":
    t.main()
