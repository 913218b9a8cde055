"""Boundary tests on bad and unusual input: one error line, the right exit code, nothing left behind."""
import json
import os

import h5py
import numpy as np

import demarc_testing as t


class Sweep(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.x = np.vstack([rng.normal(size=(700, 3)), rng.normal(size=(500, 3)) + 2])
        self.y = np.column_stack([self.x[:, 0] + rng.normal(size=1200), (rng.random(1200) < 0.4).astype(float)])
        self.path = self.write("x.h5", self.x, outcomes=self.y, names=["a", "b", "c"])
        self.ok("fit", self.path, "--segments", 3, "--out", self.tmp / "run", "--quiet")
        self.model = self.tmp / "run" / "model.h5"

    def sweep(self, path, *options, **kw):
        return json.loads(self.ok("boundary", "sweep", path, "--model", self.model, "--json", "--replicates", 40,
                                  *options, **kw).stdout)

    def refuses(self, code, pattern, *options, path=None, ranks=1, **kw):
        before = sorted(os.listdir(self.tmp))
        self.fails(code, pattern, "boundary", "sweep", path or self.path, *options, ranks=ranks, **kw)
        self.assertEqual(sorted(os.listdir(self.tmp)), before)

    # ---------------------------------------------------------------------------------------------- options

    def test_bad_shifts(self):
        for shifts in ("0", "-1", "-1.5", "x", "0.1,,", "0.1,0.1", "0.1,0.10", "nan", "inf", "1e999", "0.1;0.2", " 0.1"):
            self.refuses(2, "shifts", "--model", self.model, "--shifts", shifts)
        self.refuses(2, "shifts", "--model", self.model, "--shifts", "x", ranks=2)

    def test_bad_levels_and_cells(self):
        for option, value in (("--alpha", 0), ("--alpha", 1), ("--alpha", "nan"), ("--replicates", -1),
                              ("--min-cell", -1), ("--min-events", -1), ("--adjust", "none")):
            self.refuses(2, option, "--model", self.model, option, value)
        self.refuses(2, "--model")

    def test_apply_needs_a_segment_and_a_share(self):
        model, out = ("--model", self.model), self.tmp / "moved.h5"
        self.refuses(2, "--apply-segment", *model, "--apply", out)
        self.refuses(2, "--apply-segment", *model, "--apply", out, "--apply-shift", 0.1)
        self.refuses(2, "--apply-shift", *model, "--apply", out, "--apply-segment", 0)
        self.refuses(2, "--apply-shift", *model, "--apply", out, "--apply-segment", 0, "--apply-shift", -1)
        self.refuses(2, "--apply", *model, "--apply-segment", 0, "--apply-shift", 0.1)
        self.refuses(2, "segments are 0 to 2", *model, "--apply", out, "--apply-segment", 3, "--apply-shift", 0.1)
        self.refuses(2, "one name", *model, "--apply", out, "--out", out, "--apply-segment", 0, "--apply-shift", 0.1)
        self.refuses(4, "not so many customers", *model, "--apply", out, "--out", self.tmp / "o.h5", "--apply-segment", 0,
                     "--apply-shift", 50, ranks=2)

    def test_outputs_that_exist_or_cannot_be(self):
        taken = self.tmp / "taken.h5"
        taken.write_text("mine")
        apply = ("--apply-segment", 1, "--apply-shift", 0.1)
        for option, more in (("--out", ()), ("--apply", apply)):
            base = ("--model", self.model, "--replicates", 0, *more)
            self.refuses(2, "exists", *base, option, taken)
            self.refuses(2, "input", *base, option, self.path, "--force")
            self.refuses(2, "input", *base, option, self.model, "--force")
            self.refuses(5, "absent", *base, option, self.tmp / "absent" / "o.h5")
            self.assertEqual(taken.read_text(), "mine")
        self.sweep(self.path, "--out", taken, "--force")
        with h5py.File(taken) as f:
            self.assertEqual(f.attrs["kind"], "critical offsets")

    def test_dry_run_writes_nothing(self):
        before = sorted(os.listdir(self.tmp))
        p = self.ok("boundary", "sweep", self.path, "--model", self.model, "--out", self.tmp / "o.h5", "--dry-run", "--json")
        self.assertEqual(json.loads(p.stdout), {"command": "boundary sweep", "dry_run": True})
        self.assertIn("1200 customers", p.stderr)
        self.assertEqual(sorted(os.listdir(self.tmp)), before)

    # ---------------------------------------------------------------------------------------------- files

    def test_models_that_do_not_fit(self):
        wide = self.write("wide.h5", np.hstack([self.x, self.x]))
        self.refuses(3, "column|feature", "--model", self.model, path=wide)
        other = self.write("other.h5", self.x, names=["a", "b", "z"])
        self.refuses(3, "'?c'?", "--model", self.model, path=other, ranks=2)
        self.refuses(3, "x.h5", "--model", self.path)
        self.refuses(3, "absent.h5", "--model", self.tmp / "absent.h5")
        self.refuses(3, "absent.h5", "--model", self.model, path=self.tmp / "absent.h5")

    def test_features_in_another_order(self):
        order = [2, 0, 1]
        turned = self.write("turned.h5", self.x[:, order], outcomes=self.y, names=["c", "a", "b"])
        self.assertEqual(self.sweep(turned)["shifts"], self.sweep(self.path)["shifts"])

    def test_missing_features(self):
        self.x[7, 1] = np.nan
        holes = self.write("holes.h5", self.x, names=["a", "b", "c"])
        self.refuses(3, "b.*row 7|row 7.*b", "--model", self.model, path=holes)

    def test_one_segment(self):
        self.ok("fit", self.path, "--segments", 1, "--out", self.tmp / "one", "--quiet")
        self.refuses(4, "one segment", "--model", self.tmp / "one" / "model.h5", ranks=2)

    def test_infinite_outcomes(self):
        self.y[3, 0] = np.inf
        self.refuses(3, r"bad outcome: \S+inf.h5, /outcomes, row 3 column 0 ", "--model", self.model, path=self.write("inf.h5", self.x, outcomes=self.y, names=["a", "b", "c"]))
        self.y[3, 0] = -1e200
        self.refuses(3, "row 3 ", "--model", self.model, path=self.write("big.h5", self.x, outcomes=self.y, names=["a", "b", "c"]),
                     ranks=2)

    # ---------------------------------------------------------------------------------------------- unusual, not wrong

    def test_no_outcomes(self):
        got = self.sweep(self.write("bare.h5", self.x, names=["a", "b", "c"]))
        want = self.sweep(self.path)
        self.assertEqual((got["tests"], got["outcomes"]), (0, []))
        for a, b in zip(got["shifts"], want["shifts"]):
            self.assertEqual(a["outcomes"], [])
            self.assertEqual(a["objective_change"], b["objective_change"])

    def test_missing_outcomes(self):
        """Some of one, all of another, and all weights 0 where a third is there."""
        y = np.column_stack([self.y[:, 0], np.full(1200, np.nan), self.y[:, 1]])
        y[::3, 0] = np.nan
        weight = np.ones(1200, np.float32)
        y[600:, 2] = np.nan
        weight[:600] = 0
        got = self.sweep(self.write("nan.h5", self.x, outcomes=y, weight=weight, names=["a", "b", "c"]))
        self.assertEqual([o["n"] for o in got["outcomes"]], [800, 0, 600])
        self.assertIsNone(got["outcomes"][1]["mean"])
        self.assertIsNone(got["outcomes"][2]["mean"])
        for s in got["shifts"]:
            for o in s["outcomes"][1:]:
                self.assertEqual((o["movers"]["value"], o["p"], o["verdict"]), (None, None, "not enough data"))

    def test_replicates_none_and_few(self):
        none = self.sweep(self.path, "--replicates", 0)
        self.assertEqual(none["tests"], 0)
        for s in none["shifts"]:
            for o in s["outcomes"]:
                self.assertEqual((o["movers"]["low"], o["p"], o["verdict"]), (None, None, None))
                self.assertIsNotNone(o["movers"]["value"])
        one = self.sweep(self.path, "--replicates", 1)
        self.assertEqual(one["tests"], 0)

    def test_text_says_what_it_is(self):
        text = self.ok("boundary", "sweep", self.path, "--model", self.model, "--replicates", 40).stdout
        tests = self.sweep(self.path)["tests"]
        self.assertEqual(text.count(f"  {tests} tests in all, p adjusted by Holm, family-wise error at most 0.05"), 2)
        for words in ("Observational", "40 Poisson-bootstrap replicates", "95%"):
            self.assertIn(words, text)
        self.assertNotIn("xploratory", text)
        named = self.write("named.h5", self.x, outcomes=self.x[:, :1] ** 3, names=["a", "b", "c"])
        self.assertIn("Exploratory", self.ok("boundary", "sweep", named, "--model", self.model, "--replicates", 9).stdout)

    # ---------------------------------------------------------------------------------------------- what is written

    def test_apply_then_assign(self):
        """Exactly the customers that were asked for, and those that the sweep said would move."""
        for segment, shift in ((0, 0.137), (2, -0.3), (1, -0.999)):
            with self.subTest(segment=segment, shift=shift):
                moved = self.tmp / "moved.h5"
                got = self.sweep(self.path, "--shifts", shift, "--apply", moved, "--force", "--apply-segment", segment,
                                 "--apply-shift", shift)
                row = got["shifts"][segment]
                self.assertEqual(row["tied"], 0)
                p = self.ok("assign", self.path, "--model", moved, "--out", self.tmp / "a.h5", "--force", "--json")
                size = json.loads(p.stdout)["size"]
                with h5py.File(moved) as f:
                    self.assertEqual(list(f["size"][()]), size)
                    self.assertEqual(f["offsets"][segment], row["offset"])
                before = [s["size"] for s in got["segments"]]
                self.assertEqual(size[segment], row["target"])
                for other in row["with"]:
                    before[other["segment"]] -= other["count"] if shift > 0 else -other["count"]
                before[segment] = row["target"]
                self.assertEqual(size, before)

    def test_apply_among_ties_warns(self):
        x = np.repeat(np.arange(6.0), 100)[:, None]
        path = self.write("ties.h5", x)
        self.ok("fit", path, "--segments", 2, "--out", self.tmp / "two", "--quiet")
        p = self.ok("boundary", "sweep", path, "--model", self.tmp / "two" / "model.h5", "--apply", self.tmp / "m.h5",
                    "--apply-segment", 0, "--apply-shift", 0.1, "--shifts", 0.5, "--replicates", 0)
        self.assertRegex(p.stderr, "warning: .*assign places all of them together")

    def test_critical_offsets(self):
        """A customer is in a segment exactly when its offset is above the customer's critical one."""
        for n in (1200, 5000):
            x = np.resize(self.x, (n, 3)) + np.random.default_rng(n).normal(size=(n, 3)) * 1e-3
            ids = np.array([f"id{i * 7919 % n}" for i in range(n)], dtype=object)
            path = self.tmp / f"n{n}.h5"
            with h5py.File(path, "w") as f:
                f["features"] = x
                f.create_dataset("id", data=ids, dtype=h5py.string_dtype())
            out = self.tmp / f"o{n}.h5"
            self.ok("boundary", "sweep", path, "--model", self.model, "--out", out, "--replicates", 0, ranks=2)
            self.ok("assign", path, "--model", self.model, "--out", self.tmp / f"a{n}.h5")
            with h5py.File(out) as f, h5py.File(self.tmp / f"a{n}.h5") as a, h5py.File(self.model) as m:
                self.assertEqual(f.attrs["model_digest"], m.attrs["digest"])
                self.assertEqual(f["critical_offset"].dtype, np.float64)
                np.testing.assert_array_equal(f["id"][()], a["id"][()])
                np.testing.assert_array_equal(f["segment"][()], a["segment"][()])
                inside = f["critical_offset"][()] < m["offsets"][()]
                np.testing.assert_array_equal(inside, a["segment"][()][:, None] == np.arange(3))


if __name__ == "__main__":
    t.main()
