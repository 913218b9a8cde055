"""`demarc boundary plan` against brute force (tests/support/experiment_oracle.py): bands, strata, arms, power."""
import json

import h5py
import numpy as np

import boundary_data as data
import boundary_oracle as oracle
import boundary_shapes as shapes
import demarc_testing as t
import experiment_oracle


class Plan(t.Case):
    def fitted(self, customers, k):
        self.ok("fit", customers, "--segments", k, "--out", self.tmp / "run", "--quiet", "--force")
        return self.tmp / "run" / "model.h5"

    def agrees(self, model, customers, *options, **kw):
        """JSON, plan.json and every dataset of experiment.h5. @return the JSON"""
        out = self.tmp / "plan"
        p = self.ok("boundary", "plan", customers, "--model", model, "--out", out, "--force", "--json", *options)
        got = json.loads(p.stdout)
        self.assertEqual(json.loads((out / "plan.json").read_text()), got)
        f = oracle.Frozen(model, customers)
        want, h5 = experiment_oracle.plan(f, **kw)
        self.assertEqual(shapes.misshapen(got, shapes.PLAN), [])
        self.assertEqual(oracle.differences(got, want), [])
        with h5py.File(out / "experiment.h5") as e:
            for name in ("row", "boundary", "segment", "other", "stratum", "arm", "boundaries"):
                np.testing.assert_array_equal(e[name][()], h5[name], name)
            for name in ("margin", "propensity", "gap"):
                np.testing.assert_allclose(e[name][()], h5[name], rtol=1e-12, atol=1e-14, err_msg=name)
            ids = e["id"][()]
            self.assertEqual([v if isinstance(v, bytes) else int(v) for v in ids],
                             [v if isinstance(v, bytes) else int(v) for v in h5["id"]])
            band = e["band"][()]
            a = e.attrs
            self.assertEqual([oracle.texts([a[key]])[0] for key in ("kind", "model_digest", "salt")],
                             ["experiment", f.digest, want["salt"]])
            self.assertEqual([int(a[key]) for key in ("format_version", "seed", "distance_strata", "customers")],
                             [1, kw.get("seed", 0), want["distance_strata"], want["customers"]])
            np.testing.assert_allclose([a[key] for key in ("alpha", "power", "effect", "outcome_sd", "switch_share")],
                                       [want[key] for key in ("alpha", "power", "effect", "outcome_sd", "switch_share")],
                                       rtol=1e-9)
        for i, b in enumerate(want["boundaries"]):
            self.assertGreaterEqual(band[i], b["_largest"] * (1 - 1e-12))
            self.assertEqual(oracle.differences(got["boundaries"][i]["band"], float(band[i])), [])
            if "band" in kw:
                self.assertEqual(band[i], kw["band"])
            else:
                np.testing.assert_allclose(band[i], b["_largest"], rtol=1e-12)
        return got


class AgainstBruteForce(Plan):
    def world(self, seed, n, d, k, **columns):
        rng = np.random.default_rng(seed)
        x, group = data.clusters(rng, n, d, k)
        return data.write_customers(self.tmp / "x.h5", x, data.outcomes_of(rng, x, group), **columns)

    def test_shares_of_facets(self):
        path = self.world(41, 3000, 3, 4)
        model = self.fitted(path, 4)
        self.agrees(model, path)
        self.agrees(model, path, "--band-share", 0.55, "--distance-strata", 7, "--switch-share", 0.3, "--seed", 9,
                    "--outcome", "tenure", band_share=0.55, strata=7, switch_share=0.3, seed=9, outcome="tenure")

    def test_fixed_bands_and_chosen_boundaries(self):
        path = self.world(42, 3000, 2, 4)
        model = data.move_offsets(self.fitted(path, 4), [0.3, -0.2, 0.0, 0.1])
        got = self.agrees(model, path, "--band", 0.3, "--effect", 0.25, band=0.3, effect=0.25)
        pair = tuple(max(got["boundaries"], key=lambda b: b["customers"])["segments"])
        got = self.agrees(model, path, "--boundaries", "{}-{}".format(*pair), "--salt", "spring", "--outcome", "spend",
                          "--alpha", 0.1, "--power", 0.7, pairs=[pair], salt="spring", outcome="spend", alpha=0.1, power=0.7)
        self.assertEqual(len(got["boundaries"]), 1)
        self.agrees(model, path, "--outcome-sd", 2.5, outcome_sd=2.5)

    def test_ids_of_all_kinds_and_ties(self):
        rng = np.random.default_rng(43)
        x = rng.integers(-2, 3, (1500, 2)).astype(float)
        y = {"visit": (rng.random(1500) < 0.4).astype(float)}
        weight = rng.gamma(2.0, 0.5, 1500).astype(np.float32)
        for ids in (None, rng.permutation(np.arange(-700, 800)), data.string_ids(1500, rng),
                    rng.permutation(np.arange(1500).astype(np.uint64) + np.uint64(2**63 - 700))):
            for offsets in (None, [0.25, 0.0, -0.25]):
                with self.subTest(ids=None if ids is None else ids.dtype, offsets=offsets):
                    path = data.write_customers(self.tmp / "g.h5", x, y, weight=weight, **({} if ids is None else {"id": ids}))
                    model = data.write_model(self.tmp / "m.h5", [[-1, -1], [1, 0], [0, 1]], offsets)
                    self.agrees(model, path, "--band-share", 0.35, band_share=0.35)

    def test_without_outcomes(self):
        rng = np.random.default_rng(46)
        path = data.write_customers(self.tmp / "x.h5", data.clusters(rng, 1000, 2, 2)[0])
        got = self.agrees(self.fitted(path, 2), path, "--outcome-sd", 2.5, outcome_sd=2.5)
        self.assertIsNone(got["boundaries"][0]["outcome_mean"])

    def test_variable_strings(self):
        path = self.world(44, 800, 2, 2)
        with h5py.File(path, "r+") as f:
            f.create_dataset("id", data=[f"kunde-{'é' * (i % 4)}{i}" for i in range(800)], dtype=h5py.string_dtype())
        self.agrees(self.fitted(path, 2), path, "--band-share", 0.5, band_share=0.5)

    def test_enough_power_needs_no_force(self):
        path = self.world(45, 2000, 2, 2)
        model = self.fitted(path, 2)
        got = self.agrees(model, path, "--band-share", 1.0, "--effect", 0.5, band_share=1.0, effect=0.5)
        self.assertFalse(got["underpowered"])
        self.ok("boundary", "plan", path, "--model", model, "--out", self.tmp / "b", "--band-share", 1.0, "--effect", 0.5)
        weak = ("boundary", "plan", path, "--model", model, "--out", self.tmp / "c", "--band-share", 1.0, "--effect", 0.01)
        self.fails(4, "power", *weak)
        self.assertFalse((self.tmp / "c").exists())


if __name__ == "__main__":
    t.main()
