"""Real customers from CSV to verified segments: import, fit, verify, and the results recomputed by NumPy.

No tolerance here is tuned to a data set: rows are bounded by what float32 around the mean allows (test_diagnostics.py
says how), and the objective must be no worse than scikit-learn's from its own random starts by more than 2%.
"""
import csv
import gzip
import json

import h5py
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import demarc_testing as t

U = 2.0**-24  # rounding to float32, relative


class RealData(t.Case):
    def raw(self, path):
        """Features and their names as imported."""
        with h5py.File(path, "r") as f:
            return f["features"][()].astype(np.float64), [str(s) for s in f["features"].attrs["feature_names"]]

    def fit(self, path, k, *options):
        """Fit, verify, recompute; returns the results and the rows in scaled space."""
        run = self.tmp / "run"
        self.ok("fit", path, "--segments", k, "--out", run, "--quiet", *options)
        p = self.ok("verify", run)
        r = self.results(run)
        self.assertIn(r["diagnostics"]["digest"], p.stdout)
        self.assertTrue(r["diagnostics"]["converged"])
        x, names = self.raw(path)
        self.assertEqual([s.decode() for s in r["feature_names"]], names)
        return r, self.check(r, x, names)

    def check(self, r, x, names):
        g, label = r["diagnostics"], r["segment"]
        n, k = len(x), g["k"]
        self.assertEqual((g["n"], len(label), r["centroids"].shape), (n, n, (k, len(names))))
        np.testing.assert_array_equal(np.bincount(label, minlength=k), r["size"])
        self.assertEqual([s["size"] for s in g["segments"]], r["size"].tolist())
        logged = r["transform/log1p"] == 1
        v = np.where(logged, np.log1p(np.where(logged, x, 0)), x)
        mean = np.nanmean(v, axis=0)
        v = np.where(np.isnan(v), mean, v)
        z = (v - r["transform/center"]) * r["transform/factor"]
        c = r["centroids_scaled"]
        e = 1.001 * U * np.sqrt((((v - mean) * r["transform/factor"])**2).sum(axis=1)) + 1e-9
        distance = np.sqrt([((z - cj)**2).sum(axis=1) for cj in c])
        own = distance[label, np.arange(n)]
        self.assertLessEqual((np.abs(own - r["distance"]) - e - U * own).max(), 0, "distance")
        self.assertLessEqual((own - distance.min(axis=0) - 2 * e).max(), 0, "not the nearest centroid")
        two = np.sort(distance, axis=0)[:2]
        runner = distance[r["runner_up"], np.arange(n)]
        self.assertLessEqual(np.abs(runner - two[1]).max(), 2 * e.max(), "not the runner-up")
        gap = np.sqrt(((c[label] - c[r["runner_up"]])**2).sum(axis=1))
        margin = (runner**2 - own**2) / (2 * gap)
        self.assertLessEqual((np.abs(margin - r["margin"]) - e - 2 * U * margin - 1e-9 * runner**2 / gap).max(), 0, "margin")
        objective = (own**2).sum()
        self.assertAlmostEqual(g["objective"] / objective, 1.0, delta=1e-6)
        total = ((z - z.mean(axis=0))**2).sum()
        self.assertAlmostEqual(g["explained_share"], 1 - objective / total, delta=1e-6)
        fill = mean.copy()
        fill[logged] = np.expm1(mean[logged])
        self.check_profiles(g, label, np.where(np.isnan(x), fill, x), v, mean, logged, names)
        return z

    def check_profiles(self, g, label, x, v, mean, logged, names):
        """Mean and sd of each feature in each segment. A row moves by U |v - mean|, so a mean and an sd move by no more."""
        moved = U * np.abs(v - mean) * np.where(logged, 1 + x, 1.0)
        away = np.abs(x - x.mean(axis=0))
        for j, s in enumerate(g["segments"]):
            m = label == j
            profile = {o["name"]: o for o in s["features"]}
            for f, name in enumerate(names):
                got, column, what = profile[name], x[m, f], f"{name} in segment {j}"
                if got["mean"] is None:
                    self.assertEqual(len(np.unique(x[:, f])), 1, name)  # a constant feature that was given no weight
                    continue
                # Sums are held to 2^-40 of the largest value; a mean of squares minus a squared mean costs half the digits of a
                # sum of 4096 doubles.
                self.assertAlmostEqual(got["mean"], column.mean(), msg="mean of " + what,
                                       delta=moved[m, f].mean() + 1e-12 * (away[:, f].max() + abs(column.mean())))
                self.assertAlmostEqual(got["sd"], column.std(), msg="sd of " + what,
                                       delta=np.sqrt((moved[m, f]**2).mean()) + 1e-6 * np.sqrt((away[m, f]**2).mean()))

    def no_worse_than_sklearn(self, r, z, starts=3):
        """In scaled space."""
        km = KMeans(len(r["size"]), n_init=starts, random_state=1).fit(z)
        ratio = r["diagnostics"]["objective"] / km.inertia_
        print(f"n {len(z)}, k {len(r['size'])}: objective {r['diagnostics']['objective']:.8g}, scikit-learn's {km.inertia_:.8g}, "
              f"ratio {ratio:.4f}, explained {r['diagnostics']['explained_share']:.3f}", flush=True)
        self.assertLessEqual(ratio, 1.02)


class Hillstrom(RealData):
    def test_categoricals_outcomes_and_arms(self):
        source, path = t.data("hillstrom.csv"), self.tmp / "hillstrom.h5"
        self.ok("import", source, path, "--categorical", "zip_code,channel,history_segment", "--arm", "segment", "--control",
                "No E-Mail", "--outcomes", "visit,conversion,spend")
        r, z = self.fit(path, 6, "--restarts", 3)
        self.assertEqual(z.shape, (64_000, 18))  # 5 plain, 3 zip codes, 3 channels, 7 history segments
        self.no_worse_than_sklearn(r, z)
        with open(source, encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        for j, s in enumerate(r["diagnostics"]["segments"]):
            mine = [row for row, label in zip(rows, r["segment"]) if label == j]
            for o in s["outcomes"]:
                self.assertEqual(o["count"], len(mine))
                self.assertAlmostEqual(o["mean"], sum(float(row[o["name"]]) for row in mine) / len(mine), delta=1e-12)
        # Every one-hot feature's share, back to counts, is that of the text column.
        for s in r["diagnostics"]["segments"]:
            share = {o["name"]: o["mean"] for o in s["features"]}
            for prefix in ("zip_code=", "channel=", "history_segment="):
                self.assertAlmostEqual(sum(v for name, v in share.items() if name.startswith(prefix)), 1.0, delta=1e-6)
        visits = sum(s["outcomes"][0]["mean"] * s["size"] for s in r["diagnostics"]["segments"])
        self.assertAlmostEqual(visits / 64_000, np.mean([float(row["visit"]) for row in rows]), delta=1e-12)

    def test_verify_notices_another_input(self):
        path = self.tmp / "hillstrom.h5"
        self.ok("import", t.data("hillstrom.csv"), path, "--features", "recency,history")
        self.ok("fit", path, "--segments", 3, "--out", self.tmp / "run", "--quiet")
        self.ok("verify", self.tmp / "run")
        other = self.tmp / "other.h5"
        other.write_bytes(path.read_bytes())
        with h5py.File(other, "r+") as f:
            f["features"][40_000, 1] += 1.0
        self.ok("verify", self.tmp / "run", "--data", path)
        self.fails(6, r"row 40000\b", "verify", self.tmp / "run", "--data", other)


class OnlineRetail(RealData):
    def test_log1p_of_the_skewed(self):
        path = self.tmp / "rfm.h5"
        self.ok("import", t.data("online_retail_rfm.csv"), path, "--id", "CustomerID")
        r, z = self.fit(path, 4, "--log1p", "frequency,monetary,items,products,lines", "--restarts", 5)
        self.assertEqual(z.shape, (4338, 6))
        self.no_worse_than_sklearn(r, z)
        ids = np.loadtxt(t.data("online_retail_rfm.csv"), delimiter=",", skiprows=1, usecols=0, dtype=np.int64)
        np.testing.assert_array_equal(r["id"], ids)
        # Segments of use: without logarithms a handful of giants are most segments, with them none is tiny.
        self.assertGreater(r["size"].min(), 0.05 * len(z))
        self.ok("fit", path, "--segments", 4, "--restarts", 5, "--out", self.tmp / "plain", "--quiet")
        self.assertLess(self.results(self.tmp / "plain")["size"].min(), 0.01 * len(z))

    def test_frequency_and_monetary_only(self):
        path = self.tmp / "rfm.h5"
        self.ok("import", t.data("online_retail_rfm.csv"), path, "--id", "CustomerID", "--features",
                "recency,frequency,monetary")
        r, z = self.fit(path, 4, "--log1p", "frequency,monetary", "--restarts", 5)
        self.no_worse_than_sklearn(r, z)
        means = [{o["name"]: o["mean"] for o in s["features"]} for s in r["diagnostics"]["segments"]]
        best = max(means, key=lambda m: m["monetary"])  # who spends most buys most often, and not long ago
        self.assertEqual(best["frequency"], max(m["frequency"] for m in means))
        self.assertEqual(best["recency"], min(m["recency"] for m in means))

    def test_all_features_as_they_are(self):
        """Customers 25 standard deviations out; the figures of the other segments must not suffer."""
        path = self.tmp / "rfm.h5"
        self.ok("import", t.data("online_retail_rfm.csv"), path, "--id", "CustomerID")
        r, z = self.fit(path, 5, "--restarts", 5)
        self.no_worse_than_sklearn(r, z)


KDD_TEXT = (1, 2, 3, 41)  # protocol_type, service, flag, label
KDD_NAMES = """duration src_bytes dst_bytes land wrong_fragment urgent hot num_failed_logins logged_in num_compromised root_shell
    su_attempted num_root num_file_creations num_shells num_access_files num_outbound_cmds is_host_login is_guest_login count
    srv_count serror_rate srv_serror_rate rerror_rate srv_rerror_rate same_srv_rate diff_srv_rate srv_diff_host_rate
    dst_host_count dst_host_srv_count dst_host_same_srv_rate dst_host_diff_srv_rate dst_host_same_src_port_rate
    dst_host_srv_diff_host_rate dst_host_serror_rate dst_host_srv_serror_rate dst_host_rerror_rate
    dst_host_srv_rerror_rate""".split()


class KddCup(RealData):
    """494,021 rows, 38 numeric columns from 0/1 flags to bytes of up to 693,375,640; two are constant."""

    def convert(self):
        source = self.tmp / "kdd.csv"
        with gzip.open(t.data("kddcup99_10_percent.gz"), "rt") as packed, open(source, "w", encoding="utf-8") as out:
            out.write(",".join(KDD_NAMES) + "\n")
            for line in packed:
                fields = line.rstrip("\n").split(",")
                out.write(",".join(fields[4:41]).join([fields[0] + ",", "\n"]))
        path = self.tmp / "kdd.h5"
        self.ok("import", source, path)
        source.unlink()
        return path

    def test_constant_features_then_fit(self):
        path = self.convert()
        with h5py.File(path, "r") as f:
            self.assertEqual(f["features"].shape, (494_021, 38))
        run, none = self.tmp / "run", ["num_outbound_cmds=0", "is_host_login=0"]
        line = r"constant feature: \S*kdd.h5 /features column {} \({}\) is always 0 .*--feature-weights {}=0"
        self.fails(3, line.format(16, "num_outbound_cmds", "num_outbound_cmds"), "fit", path, "--segments", 8, "--out", run)
        self.fails(3, line.format(17, "is_host_login", "is_host_login"), "fit", path, "--segments", 8, "--out", run,
                   "--feature-weights", none[0])
        self.assertEqual([p.name for p in self.tmp.iterdir()], ["kdd.h5"], "something was left behind")
        r, z = self.fit(path, 8, "--feature-weights", ",".join(none), "--restarts", 2)
        self.no_worse_than_sklearn(r, z, starts=1)
        for s in r["diagnostics"]["segments"]:
            left_out = {o["name"] for o in s["features"] if o["mean"] is None}
            self.assertEqual(left_out, {"num_outbound_cmds", "is_host_login"})
        # The same with the bytes in logarithms: one customer of 693 million beside a million of a thousand.
        self.tmp.joinpath("run").rename(self.tmp / "first")
        r, z = self.fit(path, 8, "--feature-weights", ",".join(none), "--log1p", "src_bytes,dst_bytes,duration")
        self.assertEqual(np.isnan(z).sum(), 0)


class Birch(RealData):
    def test_hundred_clusters(self):
        x = np.loadtxt(t.data("birch1.data.gz"), dtype=np.int64)
        source, path = self.tmp / "birch1.csv", self.tmp / "birch1.h5"
        np.savetxt(source, x, fmt="%d", delimiter=",", header="x,y", comments="")
        self.ok("import", source, path)
        np.testing.assert_array_equal(self.raw(path)[0], x)
        r, z = self.fit(path, 100, "--restarts", 2)
        truth = np.loadtxt(t.data("birch1.labels0.gz"), dtype=np.int64)
        agreement = adjusted_rand_score(truth, r["segment"])
        print(f"birch1: adjusted Rand index with the truth {agreement:.4f}, sizes {r['size'].min()} to {r['size'].max()}")
        self.assertGreater(agreement, 0.9)
        self.assertEqual(len(r["size"]), 100)


class CustomerPersonality(RealData):
    def test_income_gaps(self):
        source, path, run = t.data("customer_personality.csv"), self.tmp / "personality.h5", self.tmp / "run"
        self.ok("import", source, path, "--delimiter", ";", "--id", "ID", "--categorical", "Education,Marital_Status",
                "--exclude", "Dt_Customer,Z_CostContact,Z_Revenue")
        with open(source, encoding="utf-8-sig", newline="") as f:
            rows = list(csv.DictReader(f, delimiter=";"))
        first = next(i for i, row in enumerate(rows) if row["Income"] == "")
        names = self.raw(path)[1]
        self.fails(3, rf"missing values \(NaN\): \S*personality.h5 /features, first at row {first} column "
                   rf"{names.index('Income')} \(Income\), 24 in all, in 1 of {len(names)} columns: .*--missing mean", "fit", path,
                   "--segments", 4, "--out", run)
        self.assertFalse(run.exists())
        r, z = self.fit(path, 4, "--missing", "mean", "--restarts", 5)
        self.no_worse_than_sklearn(r, z)
        self.assertEqual(r["id"].tolist(), [int(row["ID"]) for row in rows])
        income = np.array([float(row["Income"]) for row in rows if row["Income"]])
        overall = r["diagnostics"]["overall"]
        self.assertAlmostEqual(overall["mean"]["Income"] / income.mean(), 1, delta=1e-9)
        self.assertAlmostEqual(r["transform/factor"][names.index("Income")] * income.std(), 1, delta=1e-9)
        options = json.loads((run / "manifest.json").read_text())["options"]
        self.assertEqual(options["missing"], "mean")

    def test_robust_scale_and_the_outlier(self):
        """An income of 666,666 hardly moves the quartiles, so the others' incomes keep their weight."""
        path = self.tmp / "personality.h5"
        self.ok("import", t.data("customer_personality.csv"), path, "--delimiter", ";", "--id", "ID", "--features",
                "Income,MntWines,MntMeatProducts,Recency")
        r, z = self.fit(path, 4, "--missing", "mean", "--scale", "robust", "--restarts", 5)
        self.no_worse_than_sklearn(r, z)


if __name__ == "__main__":
    t.main()
