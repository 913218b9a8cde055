"""`demarc compare` against an independent computation of its whole document: numpy, scipy, scikit-learn."""
import json
import math
import unittest

import h5py
import numpy as np

import compare_oracle as oracle
import demarc_testing as t


class Compared(t.Case):
    def compare(self, old, new, *options, **kw):
        return json.loads(self.ok("compare", old, new, "--json", "--quiet", *options, **kw).stdout)

    def same(self, found, wanted, where="", tolerance=1e-9):
        """Every value of `wanted` is in `found`; NaN is null."""
        if isinstance(wanted, dict):
            for key, value in wanted.items():
                self.assertIn(key, found, where)
                self.same(found[key], value, f"{where}/{key}", tolerance)
        elif isinstance(wanted, list):
            self.assertEqual(len(found), len(wanted), where)
            for i, value in enumerate(wanted):
                self.same(found[i], value, f"{where}/{i}", tolerance)
        elif isinstance(wanted, float) and math.isnan(wanted):
            self.assertIsNone(found, where)
        elif isinstance(wanted, float):
            self.assertTrue(found is not None and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance),
                            f"{where}: {found!r}, should be {wanted!r}")
        else:
            self.assertEqual(found, wanted, where)

    def check_sums(self, d):
        """Parts sum to the whole, whatever the oracle says."""
        counts = np.array(d["migration"]["counts"])
        self.assertEqual(counts.sum(), d["customers"]["common"])
        self.assertEqual(d["customers"]["common"] + d["customers"]["entered"], d["new"]["n"])
        self.assertEqual(d["customers"]["common"] + d["customers"]["left"], d["old"]["n"])
        moves = d["decomposition"]
        for m in (moves, *moves["segments"]):
            self.assertEqual(m["moved"], m["customer_changed"] + m["scaling_changed"] + m["model_changed"])
        self.assertEqual(moves["moved"], d["migration"]["moved"])
        stay = sum(counts[s["old"]][s["new"]] for s in d["segments"] if s["status"] == "matched")
        self.assertEqual(moves["moved"], d["customers"]["common"] - stay)
        self.assertEqual(len({s["name"] for s in d["segments"]}), len(d["segments"]))
        self.assertEqual(len({s["colour"] for s in d["segments"]}), len(d["segments"]))


class RealSnapshots(Compared):
    def test_online_retail(self):
        files = {}
        for half in ("first", "second"):
            files[half] = self.tmp / f"{half}.h5"
            self.ok("import", t.data(f"online_retail_rfm_{half}_half.csv"), files[half], "--id", "CustomerID", "--outcomes",
                    "monetary", "--features", "frequency,monetary,recency", "--quiet")
            self.ok("fit", files[half], "--segments", 4 if half == "first" else 6, "--log1p", "frequency,monetary,recency",
                    "--out", self.tmp / half, "--quiet")
        found = self.compare(self.tmp / "first", self.tmp / "second", ranks=3)
        self.check_sums(found)
        self.assertEqual(found["customers"]["common"], 1927)
        self.same(found, oracle.compare(self.tmp / "first", self.tmp / "second", files["first"], files["second"]))
        self.assertGreater(found["decomposition"]["customer_changed"], 0)
        self.assertGreater(found["decomposition"]["scaling_changed"], 0)
        self.assertEqual(sum(s["status"] == "born" for s in found["segments"]), 2)


def customers(rng, n, shift):
    """Four groups; ties, gaps and skew among the features; outcomes that go with the groups."""
    group = rng.integers(0, 4, n)
    x = np.column_stack([3.0 * (group % 2) + rng.normal(size=n) + shift, np.round(4.0 * (group // 2) + rng.normal(size=n)),
                         rng.exponential(size=n) * (1.0 + group), (rng.random(n) < 0.3).astype(float)])
    x[rng.random(n) < 0.03, 2] = np.nan
    y = np.column_stack([10.0 * (group == 1) + rng.normal(size=n) + shift, (rng.random(n) < 0.4).astype(float),
                         rng.normal(size=n) + 1e6])
    y[rng.random(n) < 0.1, 0] = np.nan
    return x, y, rng.gamma(2.0, 1.0, n)


class Synthetic(Compared):
    NAMES = ["a", "b", "c", "d"]

    def pair(self, rng, old_ids, new_ids, weight=(True, True), segments=(4, 5), scales=("zscore", "robust")):
        """Two snapshots; the new one has its columns in another order."""
        folders, files = [], []
        for i, ids in enumerate((old_ids, new_ids)):
            x, y, w = customers(rng, len(ids), 0.4 * i)
            names = self.NAMES
            if i == 1:
                x, names = x[:, [2, 0, 3, 1]], ["c", "a", "d", "b"]
            columns = {"weight": w} if weight[i] else {}
            path = self.write(f"{i}.h5", x, names=names, id=ids, outcomes=y[:, [1, 0, 2]] if i else y, **columns)
            with h5py.File(path, "r+") as f:
                f["outcomes"].attrs["outcome_names"] = ["visit", "spend", "later"] if i else ["spend", "visit", "before"]
            files.append(path)
            folders.append(self.tmp / f"run{i}")
            self.ok("fit", path, "--segments", segments[i], "--scale", scales[i], "--missing", "mean", "--log1p", "c",
                    "--out", folders[i], "--quiet")
        return folders, files

    def check(self, rng, old_ids, new_ids, tolerance=1e-9, options=(), known=None, **kw):
        folders, files = self.pair(rng, old_ids, new_ids, **kw)
        found = self.compare(*folders, *options)
        self.check_sums(found)
        self.same(found, oracle.compare(*folders, *files, **(known or {})), tolerance=tolerance)
        return found

    def test_strings_weights_gaps(self):
        """Weights are used with 30 bits of the largest, so figures that count them are as near as that."""
        rng = np.random.default_rng(1)
        ids = np.array([f"customer {v}".encode() for v in rng.permutation(20000)])
        found = self.check(rng, ids[:5000], ids[2000:8000][::-1], tolerance=3e-7)
        self.assertEqual([r["word"] for r in found["calibration"]["segments"]].count("shifted") > 0, True)

    def test_integers_without_weights(self):
        rng = np.random.default_rng(2)
        found = self.check(rng, np.arange(4000), np.arange(1500, 7000), weight=(False, False), segments=(5, 3),
                           options=("--bins", 7, "--alpha", 0.2, "--equivalence", 0.5),
                           known=dict(bins=7, alpha=0.2, margin=0.5))
        self.assertEqual(sum(s["status"] == "died" for s in found["segments"]), 2)
        words = {r["word"] for r in found["calibration"]["segments"]}
        self.assertGreaterEqual(words, {"as expected", "shifted"})

    def test_ids_as_numbers_of_two_kinds(self):
        """int64 and uint64 agree below 2^63 and nowhere else."""
        rng = np.random.default_rng(3)
        old = np.arange(-1500, 1500)
        new = np.concatenate([np.arange(0, 2000), 2**64 - np.arange(1, 1000, dtype=object)]).astype(np.uint64)
        folders, files = self.pair(rng, old, new, weight=(False, True))
        found = self.compare(*folders)
        self.assertEqual(found["customers"], {"common": 1500, "entered": len(new) - 1500, "left": 1500})


class KnownAnswers(Compared):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(4)
        x, y, _ = customers(rng, 6000, 0.0)
        self.x, self.y = np.nan_to_num(x), y
        self.data = self.save("x.h5", self.x)
        self.run4 = self.fit(self.data, "run4", 4)

    def save(self, name, x):
        path = self.write(name, x, names=["a", "b", "c", "d"], id=np.arange(len(x)), outcomes=self.y)
        with h5py.File(path, "r+") as f:
            f["outcomes"].attrs["outcome_names"] = ["spend", "visit", "later"]
        return path

    def fit(self, data, name, k, *options):
        self.ok("fit", data, "--segments", k, "--out", self.tmp / name, "--quiet", *options)
        return self.tmp / name

    def test_a_run_with_itself(self):
        d = self.compare(self.run4, self.run4)
        self.check_sums(d)
        self.assertEqual(d["agreement"]["adjusted_rand"], 1.0)
        self.assertEqual(d["agreement"]["variation_of_information"], 0.0)
        self.assertEqual(d["decomposition"]["moved"], 0)
        self.assertEqual(d["customers"], {"common": 6000, "entered": 0, "left": 0})
        for s in d["segments"]:
            self.assertEqual((s["old"], s["jaccard"], s["status"]), (s["new"], 1.0, "matched"))
        for row in (*d["drift"]["features"], *[f for s in d["drift"]["segments"] for f in s["features"]]):
            for key in ("psi", "ks", "wasserstein", "wasserstein_sd"):
                self.assertIn(row[key], (0.0, None), row)
            self.assertEqual(row["old_mean"], row["new_mean"])
            self.assertEqual(row["ks_p_adjusted"], 1.0)
        for row in d["calibration"]["segments"]:
            self.assertEqual(row["difference"], 0.0)
            self.assertNotEqual(row["word"], "shifted")

    def test_another_model_of_unchanged_customers(self):
        """Nobody changed: rows in another order, stored in another type, make no move of customers."""
        order = np.random.default_rng(5).permutation(6000)
        path = self.tmp / "y.h5"
        with h5py.File(path, "w") as f:
            f["features"] = self.x[order]
            f["features"].attrs["feature_names"] = ["a", "b", "c", "d"]
            f["id"] = order.astype(np.int32).astype(np.int64)
        for name, options in (("scaling and model", ("--scale", "robust")), ("model", ())):
            with self.subTest(name):
                d = self.compare(self.run4, self.fit(path, name, 6, *options))
                self.check_sums(d)
                self.assertEqual(d["decomposition"]["customer_changed"], 0)
                self.assertGreater(d["decomposition"]["model_changed"], 0)
                if name == "model":
                    self.assertEqual(d["decomposition"]["scaling_changed"], 0)
                self.assertIsNone(d["calibration"])

    def test_changed_customers_alone(self):
        """The same scaling and centroids: what moves, moves because of the customers."""
        path = self.save("moved.h5", self.x[np.random.default_rng(6).permutation(6000)])
        run = self.tmp / "again"
        self.ok("assign", path, "--model", self.run4 / "model.h5", "--out", self.tmp / "a.h5", "--quiet")
        run.mkdir()
        for name in ("model.h5", "manifest.json"):
            (run / name).write_bytes((self.run4 / name).read_bytes())
        (run / "assignments.h5").write_bytes((self.tmp / "a.h5").read_bytes())
        d = self.compare(self.run4, run, "--new-data", path)
        self.check_sums(d)
        self.assertGreater(d["decomposition"]["moved"], 1000)
        self.assertEqual(d["decomposition"]["moved"], d["decomposition"]["customer_changed"])
        self.same(d, oracle.compare(self.run4, run, self.data, path))

    def test_segments_that_are_one(self):
        """A group cut in two by a feature that outcomes know nothing of: to be merged."""
        rng = np.random.default_rng(7)
        x = np.column_stack([np.repeat([0.0, 10.0, 20.0], 2000), np.repeat([0.0, 0.0, 30.0], 2000)]) + rng.normal(
            size=(6000, 2))
        self.y = np.column_stack([rng.normal(size=6000) + 5.0 * (x[:, 1] > 15)] * 3)
        run = self.fit(self.save("cut.h5", np.column_stack([x, x])), "cut", 3)
        d = self.compare(run, run, "--equivalence", 0.3)
        label = self.results(run)["segment"]
        halves = sorted({int(label[0]), int(label[2000])})
        merges = [a["segments"] for a in d["calibration"]["advice"] if a["advice"] == "merge"]
        self.assertEqual(merges, [halves])


if __name__ == "__main__":
    t.main()
