"""A planned experiment: who takes part and who is switched depend on the model, the salt and the ids, on nothing else."""
import ctypes
import ctypes.util
import json
import math
import shutil

import h5py
import numpy as np

import demarc_testing as t
from boundary_oracle import student_quantile, student_sf



def customers(seed, n=20000, d=5, k=4, spread=1.6):
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(k, d)) * spread
    return (centre[rng.integers(0, k, n)] + rng.normal(size=(n, d))).astype(np.float32), centre


def experiment(folder):
    """Columns of experiment.h5 and its attributes."""
    with h5py.File(folder / "experiment.h5", "r") as f:
        found = {key: v[()] for key, v in f.items()}
        return found, dict(f.attrs)


def by_id(found):
    """{id: everything about the customer but the row}."""
    columns = [found[c] for c in ("boundary", "segment", "other", "margin", "stratum", "arm", "propensity")]
    return dict(zip(found["id"].tolist(), zip(*(c.tolist() for c in columns))))


class Plan(t.Case):
    def model(self, path, x, k=4, name="run"):
        self.ok("fit", path, "--segments", k, "--out", self.tmp / name, "--scale", "none")
        return self.tmp / name / "model.h5"

    def plan(self, path, model, *options, name="plan", **how):
        """Make a plan, whatever its power, and return its folder."""
        out = self.tmp / name
        shutil.rmtree(out, ignore_errors=True)
        p = self.ok("boundary", "plan", path, "--model", model, "--out", out, "--force", "--json", *options, **how)
        self.assertEqual(p.stdout, (out / "plan.json").read_text())
        self.assertEqual(sorted(f.name for f in out.iterdir()), ["experiment.h5", "plan.json"])
        return out

    # ------------------------------------------------------------------------------------------ same for all layouts

    def test_bytes_do_not_depend_on_the_layout(self):
        x, _ = customers(1, 30011)
        rng = np.random.default_rng(1)
        y = np.where(rng.random((len(x), 2)) < 0.1, np.nan, 1e3 + x[:, :2] + rng.normal(size=(len(x), 2)))
        path = self.write("x.h5", np.round(x, 1), outcomes=y, weight=rng.gamma(1, 1, len(x)).astype(np.float32),
                          id=np.array([b"customer %d" % (i * 7919 % len(x)) for i in range(len(x))]))
        model = self.model(path, x)
        for options in ((), ("--band", 0.3, "--boundaries", "0-1,3-1", "--distance-strata", 7)):
            whole = self.plan(path, model, *options)
            want = [(whole / name).read_bytes() for name in ("experiment.h5", "plan.json")]
            for ranks, threads, more in ((1, 3, ()), (2, 1, ()), (3, 2, ("--memory-limit", "1M")),
                                         (9, 1, ("--io", "funnel")), (1, 1, ("--memory-limit", "1M"))):
                other = self.plan(path, model, *options, *more, name="other", ranks=ranks, threads=threads)
                got = [(other / name).read_bytes() for name in ("experiment.h5", "plan.json")]
                self.assertEqual(got == want, True, (options, ranks, threads, more))

    def test_order_of_rows_does_not_matter(self):
        """Few distinct points, so that ids decide nearly every cut."""
        x, _ = customers(2, 9000)
        x = np.round(x)
        rng = np.random.default_rng(2)
        y = rng.normal(size=(len(x), 1))
        model = self.model(self.write("x.h5", x), x)
        order = rng.permutation(len(x))
        for name, ids in (("int64", rng.permutation(len(x)) - 4000),
                          ("text", np.array([b"c%d" % (i * i) for i in range(len(x))]))):
            first = self.plan(self.write("a.h5", x, id=ids, outcomes=y), model, "--distance-strata", 5)
            second = self.plan(self.write("b.h5", x[order], id=ids[order], outcomes=y[order]), model,
                               "--distance-strata", 5, name="second", ranks=2)
            a, b = experiment(first)[0], experiment(second)[0]
            self.assertEqual(by_id(a), by_id(b), name)
            self.assertTrue((np.diff(b["row"]) > 0).all())
            self.assertEqual(ids[order][b["row"]].tolist(), b["id"].tolist())

    def test_kinds_of_ids(self):
        """An id is its number or its text, however it is stored; the row number where there is none."""
        x, _ = customers(3, 6000)
        model = self.model(self.write("x.h5", x), x)
        n = len(x)
        text = ["ü%d" % (i * i) for i in range(n)]
        utf8 = [s.encode() for s in text]
        wide = max(map(len, utf8)) + 9
        kinds = {
            "none": {}, "int64": {"id": np.arange(n)}, "uint64": {"id": np.arange(n, dtype=np.uint64)},
            "int16": {"id": np.arange(n, dtype=">i2")},
            "fixed": {"id": np.array(utf8)}, "padded": {"id": np.array(utf8, dtype=f"S{wide}")},
            "variable": {"id": np.array(text, dtype=object)},
        }
        found = {}
        for name, column in kinds.items():
            plan = self.plan(self.write("y.h5", x, **column), model, "--outcome-sd", 1, "--salt", "s", ranks=2)
            found[name] = experiment(plan)[0]
        for name in ("int64", "uint64", "int16"):
            self.assertEqual(by_id(found[name]), by_id(found["none"]), name)
        for name in ("padded", "variable"):
            self.assertEqual(by_id(found[name]), by_id(found["fixed"]), name)
        self.assertEqual([found[k]["id"].dtype.kind for k in kinds], list("iiuiSSS"))
        self.assertEqual(found["variable"]["id"].dtype, np.dtype(f"S{max(map(len, utf8))}"))

    # ------------------------------------------------------------------------------------------ right

    def brute_force(self, model, x):
        """Own segment, runner-up and margin by the definition."""
        with h5py.File(model, "r") as f:
            c, b = f["centroids_scaled"][()], f["offsets"][()]
        q = ((x[:, None, :].astype(float) - c) ** 2).sum(axis=2) - b
        nearest = np.argsort(q, axis=1, kind="stable")[:, :2]
        rows = np.arange(len(x))
        gap = np.linalg.norm(c[nearest[:, 0]] - c[nearest[:, 1]], axis=1)
        margin = (q[rows, nearest[:, 1]] - q[rows, nearest[:, 0]]) / (2 * gap)
        return nearest[:, 0], nearest[:, 1], margin, c

    def check_plan(self, folder, model, x, ids, share, band, strata):
        found, attrs = experiment(folder)
        own, other, margin, c = self.brute_force(model, x)
        row = found["row"]
        self.assertEqual(len(row), attrs["customers"])
        self.assertEqual(found["id"].tolist(), ids[row].tolist())
        np.testing.assert_array_equal(found["segment"], own[row])
        np.testing.assert_array_equal(found["other"], other[row])
        np.testing.assert_allclose(found["margin"], margin[row], rtol=1e-5, atol=2e-6)
        inside = np.zeros(len(x), bool)
        inside[row] = True
        for index, (a, b) in enumerate(found["boundaries"]):
            self.assertLess(a, b)
            facet = np.where(((own == a) & (other == b)) | ((own == b) & (other == a)))[0]
            mine = np.where(found["boundary"] == index)[0]
            self.assertLessEqual(set(row[mine]), set(facet))
            self.assertAlmostEqual(found["gap"][index], np.linalg.norm(c[a] - c[b]), places=5)
            if band is None:
                self.assertEqual(len(mine), math.floor(share * len(facet) + 0.5))
                self.assertEqual(found["band"][index], found["margin"][mine].max())
            else:
                self.assertEqual(found["band"][index], band)
            edge = found["band"][index]
            self.assertLessEqual(margin[facet][inside[facet]].max(), edge + 1e-5)
            if not inside[facet].all():
                self.assertGreaterEqual(margin[facet][~inside[facet]].min(), edge - 1e-5)
            for side, segment in enumerate((a, b)):
                here = mine[found["segment"][mine] == segment]
                order = here[np.lexsort((found["id"][here], found["margin"][here]))]
                want = (2 * index + side) * strata + np.arange(len(order)) * strata // max(1, len(order))
                np.testing.assert_array_equal(found["stratum"][order], want)
        return found, attrs

    def test_against_brute_force(self):
        x, _ = customers(4)
        rng = np.random.default_rng(4)
        ids = rng.permutation(10 * len(x))[:len(x)]
        path = self.write("x.h5", x, id=ids, outcomes=rng.normal(size=(len(x), 1)))
        model = self.model(path, x, k=5)
        self.check_plan(self.plan(path, model), model, x, ids, 0.2, None, 4)
        self.check_plan(self.plan(path, model, "--band-share", 1, "--distance-strata", 1), model, x, ids, 1, None, 1)
        # More strata than customers at the smaller boundaries.
        self.check_plan(self.plan(path, model, "--band-share", 0.001, "--distance-strata", 10), model, x, ids, 0.001,
                        None, 10)
        self.check_plan(self.plan(path, model, "--band", 0.25, "--distance-strata", 3), model, x, ids, None, 0.25, 3)

    def test_default_boundaries_are_all_that_have_customers(self):
        x, _ = customers(4)
        path = self.write("x.h5", x)
        model = self.model(path, x, k=5)
        own, other, margin, _ = self.brute_force(model, x)
        low, high = np.minimum(own, other), np.maximum(own, other)
        pairs, counts = np.unique(np.stack([low, high]), axis=1, return_counts=True)
        found, _ = experiment(self.plan(path, model, "--outcome-sd", 1))
        want = pairs.T[np.floor(0.2 * counts + 0.5) > 0]
        np.testing.assert_array_equal(found["boundaries"], want)
        found, _ = experiment(self.plan(path, model, "--outcome-sd", 1, "--band", 0.01))
        near = margin <= 0.01
        np.testing.assert_array_equal(found["boundaries"], np.unique(np.stack([low[near], high[near]]), axis=1).T)
        found, _ = experiment(self.plan(path, model, "--outcome-sd", 1, "--boundaries",
                                        ",".join(f"{b}-{a}" for a, b in want[::-2])))
        np.testing.assert_array_equal(found["boundaries"], want[::-2][::-1])

    def test_moved_model(self):
        x, _ = customers(5, 8000)
        path = self.write("x.h5", x)
        model = self.model(path, x)
        with h5py.File(model, "r+") as f:
            f["offsets"][...] = [0.7, -0.4, 0, 1.1]
        found, _ = self.check_plan(self.plan(path, model, "--outcome-sd", 1), model, x, np.arange(len(x)), 0.2, None, 4)
        self.ok("assign", path, "--model", model, "--out", self.tmp / "a.h5")
        with h5py.File(self.tmp / "a.h5", "r") as f:
            np.testing.assert_array_equal(found["segment"], f["segment"][()][found["row"]])
            np.testing.assert_array_equal(found["other"], f["runner_up"][()][found["row"]])
            np.testing.assert_allclose(found["margin"], f["margin"][()][found["row"]], rtol=1e-5, atol=2e-6)

    def test_size_and_power(self):
        """Against the formulas, with weights and missing outcomes; plan.json says what experiment.h5 holds."""
        x, _ = customers(6)
        rng = np.random.default_rng(6)
        w = rng.gamma(1, 1, len(x)).astype(np.float32)
        y = 1e6 + 30 * rng.normal(size=(len(x), 2)) + x[:, :1]
        y[rng.random(len(x)) < 0.2] = np.nan
        path = self.write("x.h5", x, weight=w, outcomes=y)
        with h5py.File(path, "r+") as f:
            f["outcomes"].attrs["outcome_names"] = ["visits", "spend"]
        model = self.model(path, x)

        def spread(rows):
            v, u = y[rows, 1], w[rows].astype(float)
            v, u = v[~np.isnan(v)], u[~np.isnan(v)]
            mean = (u * v).sum() / u.sum()
            n = len(v)
            return mean, math.sqrt(n * (u ** 2 * (v - mean) ** 2).sum() / u.sum() ** 2 * n / (n - 1))

        for share, given in ((0.5, None), (0.3, None), (0.5, 17.0)):
            more = [] if given is None else ["--outcome-sd", given, "--effect", 9]
            folder = self.plan(path, model, "--outcome", "spend", "--switch-share", share, "--power", 0.7, "--alpha",
                               0.1, "--seed", 5, *more)
            found, attrs = experiment(folder)
            plan = json.loads((folder / "plan.json").read_text())
            sd = given or spread(found["row"])[1]
            effect = 9 if given else 0.1 * sd
            tests = 2 * len(found["gap"])
            for key, want in (("outcome", "spend"), ("alpha", 0.1), ("power", 0.7), ("switch_share", share),
                              ("seed", 5), ("salt", plan["model_digest"] + "/5"), ("distance_strata", 4)):
                self.assertEqual((plan[key], attrs[key]), (want, want), key)
            self.assertEqual((plan["tests"], plan["n"], plan["d"], plan["k"]), (tests, len(x), 5, 4))
            self.assertEqual((plan["adjust"], plan["customers"]), ("holm", len(found["row"])))
            for key, want in (("outcome_sd", sd), ("effect", effect)):
                self.assertAlmostEqual(plan[key] / want, 1, delta=1e-9)
                self.assertEqual(plan[key], attrs[key])
            weakest = 1.0
            for i, b in enumerate(plan["boundaries"]):
                mine = found["boundary"] == i
                mean, own = spread(found["row"][mine])
                self.assertEqual(b["segments"], found["boundaries"][i].tolist())
                self.assertEqual((b["boundary"], b["gap"], b["band"]), (i, found["gap"][i], found["band"][i]))
                self.assertEqual(b["customers"], mine.sum())
                self.assertAlmostEqual(b["outcome_mean"] / mean, 1, delta=1e-9)
                self.assertAlmostEqual(b["outcome_sd"] / (given or own), 1, delta=1e-9)
                for side in b["sides"]:
                    here = mine & (found["segment"] == side["segment"])
                    self.assertEqual([side["keep"], side["switch"]],
                                     [(here & (found["arm"] == a)).sum() for a in (0, 1)])
                    self.assertEqual(side["customers"], here.sum())
                    se = (given or own) * math.sqrt(1 / (here.sum() * share) + 1 / (here.sum() * (1 - share)))
                    freedom = max(1, here.sum() - 2 * plan["distance_strata"])
                    c = student_quantile(0.1 / (2 * tests), freedom)
                    power = student_sf(c - effect / se, freedom) + student_sf(c + effect / se, freedom)
                    self.assertAlmostEqual(side["power"] / power, 1, delta=1e-8)
                    self.assertAlmostEqual(side["mde"] / ((c + student_quantile(0.3, freedom)) * se), 1, delta=1e-8)
                    weakest = min(weakest, power)
            self.assertEqual(plan["underpowered"], weakest < 0.7)
            np.testing.assert_array_equal(found["propensity"], np.full(len(found["row"]), share))

    # ------------------------------------------------------------------------------------------ randomised

    def test_arms_can_be_recomputed(self):
        name = ctypes.util.find_library("xxhash")
        if name is None:
            self.skipTest("libxxhash is not installed")
        xxh3 = ctypes.CDLL(name).XXH3_64bits_withSeed
        xxh3.restype, xxh3.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64)
        x, _ = customers(7, 5000)
        numbers = np.random.default_rng(7).permutation(2 ** 40 + np.arange(len(x)))
        model = self.model(self.write("x.h5", x), x)
        for ids, to_bytes in ((numbers, lambda i: int(i).to_bytes(8, "little")),
                              (np.array([b"c/%d" % i for i in numbers]), bytes)):
            path = self.write("y.h5", x, id=ids)
            plan = self.plan(path, model, "--outcome-sd", 1, "--salt", "sälzig", "--switch-share", 0.3)
            found, attrs = experiment(plan)
            salt = "sälzig".encode()
            self.assertEqual(attrs["salt"], "sälzig")
            key = xxh3(salt, len(salt), 0)
            u = [(xxh3(b, len(b), key) >> 11) * 2.0 ** -53 for b in map(to_bytes, found["id"])]
            np.testing.assert_array_equal(found["arm"], np.array(u) < 0.3)

    def test_salts_and_seeds_differ(self):
        x, _ = customers(8, 4000)
        path = self.write("x.h5", x)
        model = self.model(path, x)
        arms = {}
        for key in ("--seed 0", "--seed 1", "--seed 18446744073709551615", "--salt a", "--salt b"):
            arms[key] = experiment(self.plan(path, model, "--outcome-sd", 1, *key.split()))[0]["arm"]
        self.assertEqual(len({a.tobytes() for a in arms.values()}), len(arms))
        np.testing.assert_array_equal(
            arms["--seed 0"], experiment(self.plan(path, model, "--outcome-sd", 1, ranks=2))[0]["arm"])

    def test_arms_are_balanced(self):
        """Over 200 salts, features differ between the arms no more often than chance allows, overall and in each side."""
        x, _ = customers(9, 3000, d=4, k=3)
        path = self.write("x.h5", x)
        model = self.model(path, x, k=3)
        rejected = tests = 0
        shares = []
        for salt in range(200):
            found, _ = experiment(self.plan(path, model, "--outcome-sd", 1, "--salt", salt, "--band-share", 0.5))
            shares.append(found["arm"].mean())
            for rows in (slice(None), found["stratum"] % 8 < 4):
                v, arm = x[found["row"]][rows].astype(float), found["arm"][rows]
                a, b = v[arm == 0], v[arm == 1]
                z = (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0, ddof=1) / len(a) + b.var(0, ddof=1) / len(b))
                rejected += int((np.abs(z) > 1.96).sum())
                tests += len(z)
        self.assertLessEqual(rejected / tests, 0.05 + 2 * math.sqrt(0.05 * 0.95 / tests))
        self.assertGreater(rejected, 0)
        n = len(found["arm"])
        self.assertLess(abs(np.mean(shares) - 0.5), 4 * 0.5 / math.sqrt(200 * n))
        self.assertTrue(0.6 < np.std(shares) / (0.5 / math.sqrt(n)) < 1.4)


if __name__ == "__main__":
    t.main()
