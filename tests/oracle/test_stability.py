"""Stability of segments against R's fpc::clusterboot, and against formulas and exact optima of our own."""
import gzip
import itertools
import json
import math
import shutil
import subprocess
import unittest

import h5py
import numpy as np

import demarc_testing as t

R = t.SOURCE / "tests" / "support" / "stability_oracle.R"


def has_fpc():
    if shutil.which("Rscript") is None:
        return False
    p = subprocess.run(["Rscript", "-e", 'quit(status = !requireNamespace("fpc", quietly = TRUE))'], capture_output=True)
    return p.returncode == 0


class Stability(t.Case):
    def fit(self, x, k, **columns):
        path = self.write("x.h5", x, **columns)
        self.ok("fit", path, "--segments", k, "--out", self.tmp / "run", "--quiet", "--scale", "none", "--restarts", 10,
                "--force")
        return path, self.tmp / "run" / "model.h5"

    def stability(self, path, model, *options, **kw):
        return json.loads(self.ok("stability", path, "--model", model, "--json", *options, **kw).stdout)


@unittest.skipUnless(has_fpc(), "R with fpc is not installed")
class Clusterboot(Stability):
    """The same segments, other random numbers, another k-means: equal within Monte Carlo error."""

    def agrees(self, x, k, replicates=100):
        path, model = self.fit(x, k)
        got = self.stability(path, model, "--replicates", replicates, "--seed", 3)
        label = self.results(self.tmp / "run")["segment"]
        np.savetxt(self.tmp / "x.txt", x, fmt="%.17g")
        np.savetxt(self.tmp / "label.txt", label, fmt="%d")
        p = subprocess.run(["Rscript", R, self.tmp / "x.txt", str(k), str(replicates), self.tmp / "label.txt"],
                           capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        other = {line.split()[0]: np.array(line.split()[1:], float) for line in p.stdout.splitlines()}
        for j, s in enumerate(got["segments"]):
            error = math.hypot(s["jaccard"]["sd"], other["multiple_sd"][j]) / math.sqrt(replicates)
            text = f"{x.shape} k={k} segment {j} ({s['size']}): {s['jaccard']['mean']:.3f} ours, " \
                   f"{other['multiple_mean'][j]:.3f} clusterboot, se {error:.3f}; within {s['within']['mean']:.3f}, {other['within_mean'][j]:.3f}"
            print(text)
            self.assertLess(abs(s["jaccard"]["mean"] - other["multiple_mean"][j]), 4 * error + 0.01, text)
            error = math.sqrt(2 / (replicates / 2)) * other["within_sd"][j]
            self.assertLess(abs(s["within"]["mean"] - other["within_mean"][j]), 4 * error + 0.01, text)
            for name, share in (("recovered", s["recovered_share"]), ("dissolved", s["dissolved_share"])):
                theirs = other[f"multiple_{name}"][j]
                p = (share + theirs) / 2
                self.assertLess(abs(share - theirs), 4 * math.sqrt(2 * p * (1 - p) / replicates) + 0.03, text)
        error = math.sqrt(2 / replicates) * other["ari_sd"][0]
        self.assertLess(abs(got["adjusted_rand"]["mean"] - other["ari_mean"][0]), 4 * error + 0.01)

    def test_iris(self):
        self.agrees(np.loadtxt(t.data("iris.txt"), skiprows=1)[:, :4], 3)

    def test_mall(self):
        raw = np.genfromtxt(t.data("mall.csv"), delimiter=",", skip_header=1, usecols=(3, 4))
        self.agrees((raw - raw.mean(0)) / raw.std(0), 5)

    def test_mcdonalds(self):
        with open(t.data("mcdonalds.csv"), encoding="utf-8") as f:
            rows = [line.split(",")[:11] for line in f.readlines()[1:]]
        self.agrees((np.array(rows) == "Yes").astype(float), 4, replicates=50)

    def test_s1(self):
        with gzip.open(t.data("s1.data.gz"), "rt") as f:
            x = np.loadtxt(f)
        self.agrees(x / x.std(), 15, replicates=20)


class Known(Stability):
    """Small one-dimensional customers whose best segments can be found exactly (Fisher 1958)."""

    @staticmethod
    def best(x, k):
        """Least within sum of squares of k segments of sorted x by dynamic programming, and its labels."""
        n = len(x)
        sums, squares = np.concatenate([[0], np.cumsum(x)]), np.concatenate([[0], np.cumsum(x * x)])
        cost = lambda a, b: squares[b] - squares[a] - (sums[b] - sums[a]) ** 2 / (b - a)
        value, cut = np.full((k + 1, n + 1), np.inf), np.zeros((k + 1, n + 1), int)
        value[0, 0] = 0
        for j in range(1, k + 1):
            for b in range(j, n + 1):
                tries = [value[j - 1, a] + cost(a, b) for a in range(j - 1, b)]
                cut[j, b] = j - 1 + int(np.argmin(tries))
                value[j, b] = min(tries)
        label, b = np.zeros(n, int), n
        for j in range(k, 0, -1):
            label[cut[j, b]:b] = j - 1
            b = cut[j, b]
        return value[k, n], label

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(5)
        self.x = np.sort(np.concatenate([rng.normal(m, 1, 40) for m in (0, 4, 7, 13)])).astype(np.float32)
        self.path, self.model = self.fit(self.x[:, None], 4)

    def test_across(self):
        got = self.stability(self.path, self.model, "--across", "1:6", "--replicates", 2)
        x = self.x.astype(float)
        model = self.results(self.tmp / "run")["segment"]
        before = None
        for s in got["across"]["solutions"]:
            value, label = self.best(x, s["k"])
            if s["k"] == 4:
                label = model
            if s["k"] > 4:  # many nearly as good
                self.assertTrue(1 - 1e-6 < s["objective"] / value < 1.01, (s["k"], s["objective"], value))
                continue
            self.assertAlmostEqual(s["objective"] / value, 1, places=6)
            sizes = [v["size"] for v in s["segments"]]
            self.assertEqual(sorted(sizes), sorted(np.bincount(label)))
            for j, segment in enumerate(got["segments"]):
                mine = [v["value"] for v in segment["across"] if v["k"] == s["k"]][0]
                self.same(mine, self.slsa(label[model == j], s["k"]))
            if before is not None:
                expected = sorted((int((label == j).sum()), round(self.slsa(before[label == j], s["k"] - 1) or -1, 9))
                                  for j in range(s["k"]))
                found = sorted((v["size"], round(-1 if v["value"] is None else v["value"], 9) or -1)
                               for v in s["segments"])
                self.assertEqual(found, expected)
                for v in s["segments"]:
                    self.assertEqual(sum(v["from"]), v["size"])
            before = label

    @staticmethod
    def slsa(label, k):
        if k == 1:
            return None
        p = np.bincount(label, minlength=k) / len(label)
        p = p[p > 0]
        return 1 + float((p * np.log(p)).sum()) / math.log(k)

    def same(self, a, b):
        if b is None:
            self.assertIsNone(a)
        else:
            self.assertAlmostEqual(a, b, places=9)

    def test_replicates_by_exact_optima(self):
        """Mean and spread of Jaccard, within and adjusted Rand over replicates that are solved exactly."""
        B, x = 100, self.x.astype(float)
        model = self.results(self.tmp / "run")["segment"]
        got = self.stability(self.path, self.model, "--replicates", 400)
        rng = np.random.default_rng(6)
        gamma, within, rand = np.zeros((B, 4)), np.zeros((B, 4)), np.zeros(B)
        for b in range(B):
            count = rng.poisson(1, len(x))
            xs = np.repeat(x, count)
            _, label = self.best(xs, 4)
            centre = np.array([xs[label == j].mean() for j in range(4)])
            part = np.abs(x[:, None] - centre).argmin(1)
            for rows, out in ((count > 0, gamma), (count >= 0, within)):
                for j in range(4):
                    mine = (model == j) & rows
                    out[b, j] = max((mine & (part == i)).sum() / ((mine | (part == i)) & rows).sum() for i in range(4))
            rand[b] = self.adjusted_rand(model[count > 0], part[count > 0])
        for j, s in enumerate(got["segments"]):
            error = gamma[:, j].std() * math.sqrt(1 / B + 1 / 400)
            self.assertLess(abs(s["jaccard"]["mean"] - gamma[:, j].mean()), 4 * error + 1e-9)
            self.assertLess(abs(s["jaccard"]["sd"] - gamma[:, j].std(ddof=1)), 0.3 * gamma[:, j].std() + 0.01)
            error = within[:, j].std() * math.sqrt(1 / B + 1 / 400)
            self.assertLess(abs(s["within"]["mean"] - within[:, j].mean()), 4 * error + 1e-9)
        error = rand.std() * math.sqrt(1 / B + 1 / 400)
        self.assertLess(abs(got["adjusted_rand"]["mean"] - rand.mean()), 4 * error)
        v = got["adjusted_rand"]["replicates"]
        self.assertEqual(len(v), 400)
        self.assertAlmostEqual(got["adjusted_rand"]["mean"], np.mean(v), places=12)
        self.assertAlmostEqual(got["adjusted_rand"]["low"], np.quantile(v, 0.025), places=12)
        self.assertAlmostEqual(got["adjusted_rand"]["high"], np.quantile(v, 0.975), places=12)

    @staticmethod
    def adjusted_rand(a, b):
        pairs = lambda v: (v * (v - 1) / 2).sum()
        table = np.zeros((a.max() + 1, b.max() + 1))
        np.add.at(table, (a, b), 1)
        rows, columns, n = pairs(table.sum(1)), pairs(table.sum(0)), len(a)
        expected = rows * columns / (n * (n - 1) / 2)
        return (pairs(table) - expected) / ((rows + columns) / 2 - expected)

    def test_probabilities(self):
        """Rows add up to 1; customers in the middle of a segment are sure, those at a cut are not."""
        out = self.tmp / "p.h5"
        self.stability(self.path, self.model, "--replicates", 200, "--probabilities", out)
        label = self.results(self.tmp / "run")["segment"]
        with h5py.File(out) as f:
            p, segment, ids = f["probability"][()], f["segment"][()], f["id"][()]
            self.assertEqual(f.attrs["kind"], "membership probabilities")
        np.testing.assert_array_equal(segment, label)
        np.testing.assert_array_equal(ids, np.arange(len(label)))
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
        np.testing.assert_allclose(p * 200, np.rint(p * 200), atol=1e-4)
        for j in range(4):
            x = self.x[label == j]
            own = p[label == j, j]
            self.assertGreater(own[np.abs(x - np.median(x)).argmin()], 0.95)
        change = np.flatnonzero(np.diff(label)) + 1
        self.assertLess(min(p[i, label[i]] for i in itertools.chain(change, change - 1)), 0.9)

    def test_shared_passes_leave_what_has_converged(self):
        """A replicate that Lloyd has nothing to do on stays: the same weights, labels and means in both places."""
        for columns in ({}, {"weight": np.random.default_rng(9).integers(1, 4, len(self.x)).astype(np.float32)}):
            path = self.write("w.h5", self.x[:, None], **columns)
            found = [self.stability(path, self.model, "--replicates", 130, "--polish", n) for n in (0, 1, 4)]
            first = np.array(found[0]["adjusted_rand"]["replicates"])
            self.assertGreater(len(set(first)), 20)
            for other in found[1:]:
                same = np.array(other["adjusted_rand"]["replicates"]) == first
                self.assertGreater(same.mean(), 0.97, columns.keys())

    def test_weights_are_repetitions(self):
        """Whole weights give other sizes the objectives of as many customers."""
        weight = np.random.default_rng(10).integers(1, 4, len(self.x))
        found = []
        for name, x, columns in (("w.h5", self.x, {"weight": weight.astype(np.float32)}),
                                 ("r.h5", np.repeat(self.x, weight), {})):
            path = self.write(name, x[:, None], **columns)
            got = self.stability(path, self.model, "--replicates", 2, "--across", "1:3", "--polish", 3)
            found.append([s["objective"] for s in got["across"]["solutions"]])
        np.testing.assert_allclose(found[0], found[1], rtol=1e-6)

    def test_separate_segments_come_back(self):
        rng = np.random.default_rng(7)
        x = np.concatenate([rng.normal(m, 0.1, (100, 2)) for m in (0, 5, 10)])
        path, model = self.fit(x, 3, id=np.array([f"c{i}" for i in range(300)], dtype="S"))
        got = self.stability(path, model, "--across", "2:3")
        for s in got["segments"]:
            self.assertEqual((s["jaccard"]["mean"], s["recovered_share"], s["dissolved_share"], s["word"]),
                             (1, 1, 0, "highly stable"))
            self.assertEqual(s["jaccard"]["sd"], 0)
            self.assertEqual([v["value"] for v in s["across"]], [1, 1])
        self.assertEqual(got["adjusted_rand"]["mean"], 1)

    def test_a_sample_with_passes_over_all_says_the_same(self):
        """Beyond 65,536 customers replicates start from a sample: as good as a refit of everybody."""
        rng = np.random.default_rng(8)
        centre = rng.normal(size=(4, 3)) * 1.6
        x = (centre[rng.integers(0, 4, 80000)] + rng.normal(size=(80000, 3))).astype(np.float32)
        path, model = self.fit(x, 4)
        got = self.stability(path, model, "--replicates", 30)
        self.assertEqual((got["sample"]["customers"], got["sample"]["of"], got["polish"]), (32768, 80000, 2))
        rough = self.stability(path, model, "--replicates", 30, "--polish", 0)
        fine = self.stability(path, model, "--replicates", 30, "--polish", 20)
        for a, b, c in zip(got["segments"], fine["segments"], rough["segments"]):
            self.assertLess(abs(a["jaccard"]["mean"] - b["jaccard"]["mean"]), 0.01)
            self.assertGreaterEqual(a["jaccard"]["mean"], c["jaccard"]["mean"] - 0.005)


if __name__ == "__main__":
    t.main()
