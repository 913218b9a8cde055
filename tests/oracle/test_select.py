"""demarc select against independent implementations: criteria by scikit-learn, gap statistic by cluster::clusGap, prediction
strength by fpc::prediction.strength, bootstrap by fpc::clusterboot, all of them R where said; known answers on known data."""
import csv
import gzip
import json
import shutil
import subprocess
import unittest

import numpy as np

try:
    from sklearn import metrics
except ImportError:
    metrics = None

from demarc_testing import Case, data, main


def benchmark(name):
    with gzip.open(data(f"{name}.data.gz")) as f:
        return np.loadtxt(f)


def table(name, keep):
    with open(data(name), newline="") as f:
        return np.array([keep(row) for row in list(csv.reader(f))[1:]], dtype=float)


def iris():
    return np.loadtxt(data("iris.txt"), skiprows=1)[:, :4]


def mall():
    return table("mall.csv", lambda row: (row[3], row[4]))


def mcdonalds():
    return table("mcdonalds.csv", lambda row: [value == "Yes" for value in row[:11]])


def r_available(*packages):
    if shutil.which("Rscript") is None:
        return False
    test = ";".join(f"stopifnot(requireNamespace('{p}', quietly=TRUE))" for p in packages)
    return subprocess.run(["Rscript", "-e", test], capture_output=True).returncode == 0


class Select(Case):
    def select(self, x, segments, *more):
        path = self.write("x.h5", np.asarray(x, dtype=float))
        return json.loads(self.ok("select", path, "--segments", segments, "--json", *more).stdout)

    def r(self, x, script):
        """What an R script prints as numbers, given the scaled rows as matrix x."""
        path = self.tmp / "x.csv"
        x = np.asarray(x, dtype=float)
        np.savetxt(path, (x - x.mean(0)) / x.std(0), delimiter=",", fmt="%.17g")
        p = subprocess.run(["Rscript", "-e", f"x <- as.matrix(read.csv('{path}', header=FALSE)); set.seed(1); {script}"],
                           capture_output=True, text=True, timeout=300)
        self.assertEqual(p.returncode, 0, p.stderr)
        return [[float(v) for v in line.split()] for line in p.stdout.splitlines() if line.strip()]

    def column(self, found, key):
        return [row[key] for row in found["per_k"]]


class KnownAnswers(Select):
    def test_benchmarks(self):
        for name, x, segments, k in (("s1", benchmark("s1"), "2:18", 15), ("unbalance", benchmark("unbalance"), "2:12", 8),
                                     ("a1", benchmark("a1"), "2:22", 20), ("mall", mall(), "2:10", 5)):
            for seed in (0, 1):
                with self.subTest(name, seed=seed):
                    found = self.select(x, segments, "--seed", seed, "--replicates", 10, "--gap-draws", 10, "--halvings",
                                        10)["recommendation"]
                    self.assertEqual((found["k"], found["structure"]), (k, True), found)
                    self.assertRegex(found["sentence"], f"^{k} segments: ")

    def test_noise_beside_clusters(self):
        """A feature of noise, scaled up to the others' variance, splits clear clusters again and again: they stay three."""
        rng = np.random.default_rng(1)
        centre = np.repeat(np.array([[0, 0, 0], [8, 0, 0], [0, 8, 0]]), 200, axis=0)
        found = self.select(centre + rng.normal(size=(600, 3)), "2:8", "--replicates", 20, "--gap-draws", 10, "--halvings", 10)
        self.assertEqual(found["recommendation"]["k"], 3)

    def test_clouds_have_no_structure(self):
        for d, n, seed in ((2, 500, 1), (2, 3000, 2), (5, 300, 3), (10, 1500, 4), (3, 1000, 5)):
            x = np.random.default_rng(seed).normal(size=(n, d))
            for what, y in (("gauss", x), ("squeezed", x @ np.diag(np.geomspace(1, 5, d)))):
                with self.subTest(what, n=n, d=d):
                    path = self.write("cloud.h5", y)
                    found = json.loads(self.ok("select", path, "--segments", "1:8", "--scale", "none", "--replicates", 20,
                                               "--halvings", 10, "--json").stdout)["recommendation"]
                    self.assertEqual((found["k"], found["structure"]), (None, False), found)
                    self.assertRegex(found["sentence"], "^no structure to segment: ")

    def test_fit_says_so_and_goes_on(self):
        x = np.random.default_rng(5).normal(size=(800, 3))
        path, out = self.write("cloud.h5", x), self.tmp / "run"
        p = self.ok("fit", path, "--segments", "2:6", "--out", out)
        self.assertRegex(p.stderr, "warning: no structure to segment: .* made all the same")
        g = json.loads((out / "diagnostics.json").read_text())
        self.assertIs(g["recommendation"]["structure"], False)
        self.assertIsNone(g["recommendation"]["k"])
        best = max(g["per_k"], key=lambda row: row["simplified_silhouette"])
        self.assertEqual(g["k"], best["k"])
        self.assertEqual([row["k"] for row in g["per_k"] if row["chosen"]], [best["k"]])

    def test_fit_takes_what_is_recommended(self):
        path, out = self.write("mall.h5", mall()), self.tmp / "run"
        self.ok("fit", path, "--segments", "3:8", "--out", out)
        g = json.loads((out / "diagnostics.json").read_text())
        self.assertEqual((g["k"], g["recommendation"]["k"]), (5, 5))


class Independent(Select):
    @unittest.skipIf(metrics is None, "scikit-learn is not installed")
    def test_criteria_of_all_customers(self):
        """Of the labels that a fit of that k gives; ours are of float32 features and of centroids within its tolerance."""
        for name, x in (("iris", iris()), ("s1", benchmark("s1")), ("mcdonalds", mcdonalds()), ("mall", mall())):
            with self.subTest(name):
                path = self.write("x.h5", x)
                quick = ("--replicates", 0, "--gap-draws", 0, "--halvings", 0)
                rows = json.loads(self.ok("select", path, "--segments", "2:5", "--json", *quick).stdout)["per_k"]
                z = (x - x.mean(0)) / x.std(0)
                for row in rows:
                    out = self.tmp / f"{name}{row['k']}"
                    self.ok("fit", path, "--segments", row["k"], "--out", out)
                    label = self.results(out)["segment"]
                    self.assertAlmostEqual(row["calinski_harabasz"] / metrics.calinski_harabasz_score(z, label), 1, 4)
                    self.assertAlmostEqual(row["davies_bouldin"] / metrics.davies_bouldin_score(z, label), 1, 3)
                    self.assertAlmostEqual(row["smallest_share"], np.bincount(label).min() / len(label), 12)
                    self.assertIsNone(row["gap"])

    @unittest.skipUnless(r_available("cluster"), "R's cluster is not installed")
    def test_gap(self):
        """Within Monte Carlo error of clusGap: both are means of B draws, W_k is of several searches for the least."""
        for name, x in (("iris", iris()), ("mcdonalds", mcdonalds()), ("mall", mall()), ("s1", benchmark("s1")[::4])):
            with self.subTest(name):
                draws = 20
                found = self.select(x, "1:5", "--gap-draws", draws, "--replicates", 0, "--halvings", 0)
                tab = self.r(x, "km <- function(x, k) list(cluster=kmeans(x, k, nstart=8, iter.max=50)$cluster);"
                                f"t <- cluster::clusGap(x, km, K.max=5, B={draws}, d.power=2, spaceH0='scaledPCA')$Tab;"
                                "write.table(t[, 3:4], row.names=FALSE, col.names=FALSE)")
                for k, (gap, se), row in zip(range(1, 6), tab, found["per_k"]):
                    if k == 1:
                        continue  # a row of its own has no gap: it is what the others are compared with
                    error = np.hypot(se, row["gap_se"]) / np.sqrt(draws)
                    self.assertLess(abs(row["gap"] - gap), 4 * error + 0.004, (k, gap, row))
                    self.assertLess(abs(np.log(row["gap_se"] / se)), 0.6, (k, se, row))

    @unittest.skipUnless(r_available("fpc"), "R's fpc is not installed")
    def test_prediction_strength(self):
        """mcdonalds up to 4: the best of 5 is found too seldom by their random starts, so their halves agree less."""
        for name, x, to in (("iris", iris(), 5), ("mcdonalds", mcdonalds(), 4), ("mall", mall(), 5),
                            ("s1", benchmark("s1")[::4], 5)):
            with self.subTest(name):
                halvings = 20
                found = self.select(x, f"2:{to}", "--halvings", halvings, "--replicates", 0, "--gap-draws", 0)
                theirs = self.r(x, f"p <- fpc::prediction.strength(x, Gmin=2, Gmax={to}, M={halvings}, runs=8)$predcorr;"
                                   f"for (k in 2:{to}) cat(mean(p[[k]]), sd(p[[k]]), '\\n')")
                for (mean, sd), row in zip(theirs, found["per_k"]):
                    error = np.hypot(sd / np.sqrt(halvings), row["prediction_strength_se"])
                    self.assertLess(abs(row["prediction_strength"] - mean), 4 * error + 0.005, (mean, sd, row))

    @unittest.skipUnless(r_available("fpc"), "R's fpc is not installed")
    def test_bootstrap(self):
        """clusterboot draws n customers with replacement, here weights are Poisson: the same up to terms of 1 / n."""
        for name, x, k in (("iris", iris(), 3), ("mall", mall(), 5), ("s1", benchmark("s1")[::4], 5)):
            with self.subTest(name):
                found = self.select(x, f"{k}:{k}", "--replicates", 100, "--halvings", 0, "--gap-draws", 0)["per_k"][0]
                theirs = self.r(x, f"b <- fpc::clusterboot(x, B=100, bootmethod='boot', clustermethod=fpc::kmeansCBI, "
                                   f"krange={k}, runs=8, count=FALSE); cat(b$bootmean, '\\n')")[0]
                self.assertLess(abs(found["stability"] - np.mean(theirs)), 0.05, (found, theirs))
                self.assertLess(abs(found["stability_lowest"] - min(theirs)), 0.08, (found, theirs))


if __name__ == "__main__":
    main()
