"""demarc generate: the file it writes, that its truth is true, and that no layout changes a byte."""
import filecmp
import math

import h5py
import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import demarc_testing as t

GROUPS = (("category_", 6), ("visits_from_", 3))
COUNTS = ("frequency_orders", "app_sessions", "loyalty_points", "support_contacts")
RETAIL = 24


class Generate(t.Case):
    def make(self, name="out.h5", customers=1000, features=32, segments=6, seed=1, extra=(), **kw):
        path = self.tmp / name
        self.ok("generate", path, "--customers", customers, "--features", features, "--segments", segments,
                "--seed", seed, *extra, **kw)
        return path

    def read(self, path):
        """All datasets by path, attributes as 'object@name'."""
        out = {}

        def visit(key, v):
            if isinstance(v, h5py.Dataset):
                out[key] = v[()]
            out.update({f"{key}@{a}": v.attrs[a] for a in v.attrs})

        with h5py.File(path, "r") as f:
            out.update({f"@{a}": f.attrs[a] for a in f.attrs})
            f.visititems(visit)
        return out

    # ------------------------------------------------------------------------------------------ layout

    def test_every_layout_writes_the_same_bytes(self):
        extra = ("--arms", 3, "--outcomes", "--missing-share", "0.05")
        first = self.make("first.h5", 20000, 30, extra=extra)
        for ranks in (1, 2, 3):
            for threads in (1, 2):
                for io in ("mpio", "funnel"):
                    with self.subTest(ranks=ranks, threads=threads, io=io):
                        other = self.make("other.h5", 20000, 30, extra=(*extra, "--force", "--io", io), ranks=ranks,
                                          threads=threads)
                        self.assertTrue(filecmp.cmp(first, other, shallow=False))

    def test_more_ranks_than_blocks(self):
        self.assertTrue(filecmp.cmp(self.make("a.h5", 100), self.make("b.h5", 100, ranks=4), shallow=False))

    def test_a_longer_file_begins_with_the_shorter_one(self):
        extra = ("--arms", 2, "--outcomes")
        a, b = self.read(self.make("a.h5", 500, extra=extra)), self.read(self.make("b.h5", 5000, extra=extra))
        for key in ("features", "id", "truth/segment", "arm", "outcomes", "reachable"):
            np.testing.assert_array_equal(a[key], b[key][:500], key)

    def test_seeds_differ(self):
        a, b = self.read(self.make("a.h5", seed=1)), self.read(self.make("b.h5", seed=2))
        self.assertFalse(np.any(a["features"][:, 0] == b["features"][:, 0]))
        self.assertFalse(np.all(a["id"] == b["id"]))

    # ------------------------------------------------------------------------------------------ content

    def test_schema(self):
        r = self.read(self.make(customers=3000, extra=("--arms", 3, "--outcomes")))
        names = list(r["features@feature_names"])
        self.assertEqual(r["features"].shape, (3000, 32))
        self.assertEqual(r["features"].dtype, np.float32)
        self.assertEqual(names[:3], ["recency_days", "frequency_orders", "monetary_total"])
        self.assertEqual(names[RETAIL:], [f"latent_{i:02d}" for i in range(1, 9)])
        self.assertEqual(r["id"].dtype, np.int64)
        self.assertEqual(len(np.unique(r["id"])), 3000)
        self.assertTrue(np.all(r["id"] > 0))
        self.assertLess(np.mean(np.diff(r["id"]) > 0), 0.6)
        self.assertEqual(list(r["reachable@channel_names"]), ["email", "app", "post"])
        self.assertEqual(set(np.unique(r["reachable"])), {0, 1})
        self.assertEqual(list(r["arm@arm_names"]), ["control", "arm1", "arm2"])
        self.assertEqual(r["arm@control"], "control")
        self.assertEqual(list(r["outcomes@outcome_names"]), ["pre_spend", "visit", "conversion", "spend"])
        self.assertEqual(r["@created_by"], "demarc generate")
        self.assertEqual((r["@seed"], r["@customers"], r["@separation"]), (1, 3000, 4.0))
        plain = self.read(self.make("plain.h5"))
        self.assertFalse({"arm", "outcomes", "truth/segment_effect"} & set(plain))

    def test_features_look_like_a_retailer(self):
        r = self.read(self.make(customers=50000))
        names, x = list(r["features@feature_names"]), r["features"].astype(float)
        self.assertTrue(np.all(np.isfinite(x)))
        for prefix, size in GROUPS:
            columns = [i for i, n in enumerate(names) if n.startswith(prefix)]
            self.assertEqual(len(columns), size)
            np.testing.assert_allclose(x[:, columns].sum(axis=1), 1.0, atol=1e-5)
        for name in COUNTS:
            v = x[:, names.index(name)]
            self.assertTrue(np.all((v == np.floor(v)) & (v >= 0)), name)
        for name in ("recency_days", "monetary_total", "loyalty_points"):
            v = x[:, names.index(name)]
            self.assertGreater(v.mean(), 1.1 * np.median(v), f"{name} is not skewed")
        for name in ("discount_share", "online_share", "email_open_rate", "return_rate"):
            v = x[:, names.index(name)]
            self.assertTrue(np.all((v > 0) & (v < 1)), name)
        recency, orders, money = np.log1p(x[:, :3]).T
        self.assertLess(np.corrcoef(recency, money)[0, 1], -0.1)
        self.assertGreater(np.corrcoef(orders, money)[0, 1], 0.1)

    @staticmethod
    def within(x, z):
        """x minus the mean of its segment, segment by segment."""
        return np.vstack([x[z == s] - x[z == s].mean(axis=0) for s in np.unique(z)])

    def test_segments_have_their_shares(self):
        for k in (1, 2, 7, 40):
            r = self.read(self.make(f"{k}.h5", 200000, 2, k))
            share = r["truth/segment_share"]
            self.assertAlmostEqual(share.sum(), 1.0, places=12)
            self.assertGreaterEqual(share.min(), 0.4 / k)
            found = np.bincount(r["truth/segment"], minlength=k) / 200000
            self.assertLess(np.max(np.abs(found - share) / np.sqrt(share * (1 - share) / 200000 + 1e-18)), 5.0)

    def test_latent_space_is_what_the_truth_says(self):
        n, d = 200000, 60
        r = self.read(self.make(customers=n, features=d, extra=("--separation", "3.5")))
        c, z = r["truth/latent_centers"], r["truth/segment"]
        gap = np.sqrt(((c[:, None] - c[None]) ** 2).sum(axis=2)) + 1e9 * np.eye(len(c))
        np.testing.assert_allclose(gap.min(axis=1), 3.5 * r["truth@noise_sd"], rtol=1e-9)
        np.testing.assert_allclose(r["truth/segment_share"] @ c, 0.0, atol=1e-9)
        np.testing.assert_allclose(r["truth/axes"] @ r["truth/axes"].T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(r["truth/axes"] @ r["truth/loadings"].T, 0.0, atol=1e-12)
        x = r["features"][:, RETAIL:].astype(float)
        for s in range(6):
            se = 1.0 / math.sqrt(np.sum(z == s))
            self.assertLess(np.max(np.abs(x[z == s].mean(axis=0) - c[s, RETAIL:])), 5 * se)
        a = r["truth/loadings"][:, RETAIL:]
        covariance = a.T @ a + r["truth@noise_sd"] ** 2 * np.eye(d - RETAIL)
        np.testing.assert_allclose(np.diag(covariance), 1.0, rtol=1e-12)
        self.assertLess(np.max(np.abs(np.cov(self.within(x, z).T) - covariance)), 6 * math.sqrt(2 / n))
        self.assertLess(np.max(np.abs(x.std(axis=0) - r["truth/column_spread"][RETAIL:])), 0.02)
        # A generic column is exactly normal within a segment: shape by the fourth moment and the tail.
        w = self.within(x, z)
        self.assertLess(np.max(np.abs((w**4).mean(axis=0) - 3.0)), 6 * math.sqrt(96 / n))
        self.assertAlmostEqual(np.mean(np.abs(w) > 3.0), 0.0026998, delta=2e-4)

    def test_centers_in_feature_units_are_medians(self):
        r = self.read(self.make(customers=200000))
        x, z = r["features"].astype(float), r["truth/segment"]
        for j in (0, 2, 3, 7, 8, 19, 31):
            for s in range(6):
                self.assertAlmostEqual(np.mean(x[z == s, j] < r["truth/center_features"][s, j]), 0.5,
                                       delta=2.5 / math.sqrt(np.sum(z == s)), msg=f"column {j}, segment {s}")

    def test_kmeans_finds_the_segments(self):
        r = self.read(self.make(customers=20000, features=200, extra=("--separation", "6")))
        found = KMeans(6, n_init=5, random_state=0).fit_predict(r["features"][:, RETAIL:])
        self.assertGreater(adjusted_rand_score(r["truth/segment"], found), 0.95)
        r = self.read(self.make("retail.h5", customers=20000, extra=("--separation", "6")))
        x = (r["features"] - r["features"].mean(axis=0)) / r["features"].std(axis=0)
        found = KMeans(6, n_init=5, random_state=0).fit_predict(x)
        self.assertGreater(adjusted_rand_score(r["truth/segment"], found), 0.9)
        mixed = self.read(self.make("mixed.h5", customers=20000, features=200, extra=("--separation", "0")))
        found = KMeans(6, n_init=2, random_state=0).fit_predict(mixed["features"][:, RETAIL:])
        self.assertLess(adjusted_rand_score(mixed["truth/segment"], found), 0.05)

    def test_missing_share(self):
        n = 50000
        full = self.read(self.make("a.h5", n))
        holed = self.read(self.make("b.h5", n, extra=("--missing-share", "0.1")))
        missing = np.isnan(holed["features"])
        self.assertLess(np.max(np.abs(missing.mean(axis=0) - 0.1)), 5 * math.sqrt(0.09 / n))
        self.assertLess(np.max(np.abs(np.corrcoef(missing.T) - np.eye(32))), 6 / math.sqrt(n))
        np.testing.assert_array_equal(holed["features"][~missing], full["features"][~missing])
        np.testing.assert_array_equal(holed["truth/segment"], full["truth/segment"])

    # ------------------------------------------------------------------------------------------ campaign

    def test_outcomes(self):
        n = 200000
        r = self.read(self.make(customers=n, extra=("--outcomes",)))
        pre, visit, conversion, spend = r["outcomes"].astype(float).T
        self.assertTrue(np.all(np.isin(visit, (0, 1)) & np.isin(conversion, (0, 1))))
        self.assertTrue(np.all(conversion <= visit) and np.all((spend > 0) == (conversion == 1)) and np.all(pre > 0))
        self.assertTrue(0.15 < visit.mean() < 0.5 and 0.02 < conversion.mean() < 0.3, (visit.mean(), conversion.mean()))
        buyers = conversion == 1
        self.assertGreater(spend[buyers].mean(), 1.1 * np.median(spend[buyers]))
        self.assertGreater(np.corrcoef(pre[buyers], spend[buyers])[0, 1], 0.4)
        self.assertGreater(np.corrcoef(pre, spend)[0, 1], 0.2)
        rates = [visit[r["truth/segment"] == s].mean() for s in range(6)]
        self.assertGreater(max(rates) - min(rates), 0.03)
        reach = np.array([r["reachable"][r["truth/segment"] == s].mean(axis=0) for s in range(6)])
        self.assertGreater(np.ptp(reach[:, 0]), 0.03)

    def campaign(self, features=32):
        r = self.read(self.make(f"campaign{features}.h5", 400000, features, extra=("--arms", 3, "--outcomes")))
        column = int(r["truth@effect_column"])
        self.assertEqual(r["features@feature_names"][column], r["truth@effect_feature"])
        v = r["features"][:, column].astype(float)
        straight = (lambda s: np.log(s / (1 - s))) if r["truth@effect_feature"] == "email_open_rate" else np.log
        return r, v, straight(v), straight(r["truth@effect_threshold"])

    def test_effects_change_sign_at_the_planted_threshold(self):
        for features in (32, 4):
            r, v, latent, edge = self.campaign(features)
            arm, y = r["arm"], r["outcomes"][:, 1].astype(float)
            self.assertLess(np.max(np.abs(np.bincount(arm) / len(arm) - 1 / 3)), 5 * math.sqrt(2 / 9 / len(arm)))
            self.assertTrue(np.isnan(edge[0]) and r["truth@effect_slope"][0] == 0)
            for a in (1, 2):
                sign = np.sign(r["truth@effect_slope"][a])
                cuts = np.quantile(latent, np.linspace(0, 1, 21))
                inside = (arm == a) | (arm == 0)
                bins = np.clip(np.searchsorted(cuts, latent) - 1, 0, 19)
                where, effect, se = np.zeros(20), np.zeros(20), np.zeros(20)
                for b in range(20):
                    one, zero = y[(bins == b) & (arm == a)], y[(bins == b) & (arm == 0)]
                    where[b] = latent[inside & (bins == b)].mean()
                    effect[b] = one.mean() - zero.mean()
                    se[b] = math.sqrt(one.var() / len(one) + zero.var() / len(zero))
                # No bin on the wrong side of zero beyond chance, and many clearly on the right one.
                expected = sign * np.sign(edge[a] - where)
                self.assertLess(np.max(-expected * effect / se), 3.5, (features, a))
                self.assertGreater(np.sum(expected * effect / se > 4), 8, (features, a))
                middle = slice(2, 18)
                (slope, level), cov = np.polyfit(where[middle], effect[middle], 1, w=1 / se[middle], cov="unscaled")
                crossing = -level / slope
                error = math.sqrt(cov[1, 1] + crossing**2 * cov[0, 0] + 2 * crossing * cov[0, 1]) / abs(slope)
                self.assertLess(error, 0.12 * latent.std())
                self.assertLess(abs(crossing - edge[a]), 4 * error, (features, a))

    def test_segment_effects(self):
        r, _, _, _ = self.campaign()
        arm, y, z = r["arm"], r["outcomes"][:, 1].astype(float), r["truth/segment"]
        truth = r["truth/segment_effect"]
        np.testing.assert_array_equal(truth[:, 0], 0.0)
        self.assertTrue(truth[:, 1:].min() < -0.01 and truth[:, 1:].max() > 0.01)
        for s in range(6):
            for a in (1, 2):
                one, zero = y[(z == s) & (arm == a)], y[(z == s) & (arm == 0)]
                se = math.sqrt(one.var() / len(one) + zero.var() / len(zero))
                self.assertLess(abs(one.mean() - zero.mean() - truth[s, a]), 4 * se, (s, a))

    def test_effect_on_spend_changes_sign_at_the_same_place(self):
        r, v, _, _ = self.campaign()
        arm, y = r["arm"], r["outcomes"].astype(float)
        for a in (1, 2):
            sign = np.sign(r["truth@effect_slope"][a])
            below = v < r["truth@effect_threshold"][a]
            for outcome in (2, 3):
                for side, want in ((below, sign), (~below, -sign)):
                    one, zero = y[side & (arm == a), outcome], y[side & (arm == 0), outcome]
                    se = math.sqrt(one.var() / len(one) + zero.var() / len(zero))
                    self.assertGreater(want * (one.mean() - zero.mean()) / se, 3, (a, outcome, want))

    # ------------------------------------------------------------------------------------------ extremes and refusals

    def test_extremes(self):
        sizes = ((1, 1, 1), (50, 1, 50), (300, 2, 7), (300, 5, 3), (200, 12, 2), (60, 10000, 4))
        for customers, features, segments in sizes:
            with self.subTest(customers=customers, features=features, segments=segments):
                r = self.read(self.make(f"{customers}-{features}.h5", customers, features, segments,
                                        extra=("--arms", 2, "--outcomes", "--separation", "20")))
                self.assertEqual(r["features"].shape, (customers, features))
                self.assertTrue(np.all(np.isfinite(r["features"])))
                self.assertEqual(len(r["features@feature_names"]), features)
                self.assertEqual(len(set(r["features@feature_names"])), features)
                self.assertEqual(r["truth/latent_centers"].shape, (segments, features))
                self.assertTrue(np.all((r["truth/segment"] >= 0) & (r["truth/segment"] < segments)))

    def test_bad_options(self):
        good = {"customers": 10, "features": 3, "segments": 2}
        bad = {"customers": (0, -5, 1 << 49), "features": (0,), "segments": (0, 11), "arms": (1, 65, -2),
               "separation": (-1, "nan", "inf"), "missing-share": (1, -0.1, "nan")}
        for option, value in ((o, v) for o, values in bad.items() for v in values):
            with self.subTest(option=option, value=value):
                args = [f"--{k}={v}" for k, v in {**good, option: value}.items()]
                self.fails(2, f"--{option}", "generate", self.tmp / "bad.h5", *args)
                self.assertEqual(list(self.tmp.iterdir()), [])
        self.fails(2, "--segments", "generate", self.tmp / "bad.h5", "--customers", 10, "--features", 3,
                   "--segments", 11, ranks=3)

    def test_existing_output_and_dry_run(self):
        path = self.make()
        before = path.read_bytes()
        common = ("--customers", 1000, "--features", 4, "--segments", 2)
        self.fails(2, "exists", "generate", path, *common)
        self.assertEqual(path.read_bytes(), before)
        dry = self.tmp / "dry.h5"
        p = self.ok("generate", dry, *common, "--dry-run")
        self.assertRegex(p.stderr, r"1,?000 customers")
        self.assertEqual(list(self.tmp.iterdir()), [path])
        self.fails(5, "space", "generate", dry, "--customers", 10**12, "--features", 1000, "--segments", 2)
        self.assertEqual(list(self.tmp.iterdir()), [path])


if __name__ == "__main__":
    t.main()
