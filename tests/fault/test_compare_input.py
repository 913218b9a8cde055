"""`demarc compare` over what cannot be compared: one clear line, the right exit code, nothing left behind."""
import json
import shutil

import h5py
import numpy as np

import demarc_testing as t


class Compare(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(9)
        self.x = rng.normal(size=(600, 3)) + 5.0 * rng.integers(0, 3, 600)[:, None]
        self.old = self.run_of("old", self.x, ["a", "b", "c"], id=np.arange(600))

    def run_of(self, name, x, names, k=3, **columns):
        path = self.write(f"{name}.h5", x, names=names, **columns)
        self.ok("fit", path, "--segments", k, "--out", self.tmp / name, "--quiet")
        return self.tmp / name

    def refuse(self, code, pattern, *args, ranks=1):
        """One line, no output."""
        before = sorted(p.name for p in self.tmp.iterdir())
        self.fails(code, pattern, "compare", *args, "--out", self.tmp / "out.json", ranks=ranks)
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), before)

    def test_other_features(self):
        ids = np.arange(600)
        wide = self.run_of("wide", np.column_stack([self.x, self.x[:, 0]]), ["a", "b", "c", "d"], id=ids)
        self.refuse(3, r"runs of different widths: .*old has 3 features, .*wide 4", self.old, wide)
        other = self.run_of("other", self.x, ["a", "z", "c"], id=ids)
        self.refuse(3, r"other features: .*old has 'b', where .*other has 'z'", self.old, other, ranks=2)

    def test_no_common_ids(self):
        far = self.run_of("far", self.x, ["a", "b", "c"], id=np.arange(1000, 1600))
        self.refuse(4, r"no common customers: .*old\.h5 and .*far\.h5 share no id", self.old, far, ranks=3)
        text = self.run_of("text", self.x, ["a", "b", "c"], id=np.array([b"c%d" % i for i in range(600)]))
        self.refuse(3, r"ids of different kinds: .*old\.h5, /id holds integers, but .*text\.h5, /id strings", self.old, text)

    def test_half_deleted_runs(self):
        for name in ("model.h5", "assignments.h5", "manifest.json"):
            with self.subTest(name):
                half = self.tmp / "half"
                shutil.copytree(self.old, half)
                (half / name).unlink()
                self.refuse(3, name.replace(".", r"\."), self.old, half)
                self.refuse(3, name.replace(".", r"\."), half, self.old)
                (half / name).write_bytes(b"junk")
                self.refuse(3, name.replace(".", r"\."), half, self.old, ranks=2)
                shutil.rmtree(half)
        self.refuse(3, r"nowhere", self.old, self.tmp / "nowhere")
        (self.tmp / "old.h5").rename(self.tmp / "gone.h5")
        self.refuse(3, r"old\.h5", self.old, self.old)

    def test_other_customers(self):
        """A file that is not the one that was fitted."""
        few = self.write("few.h5", self.x[:500], names=["a", "b", "c"], id=np.arange(500))
        self.refuse(3, r"not the customers of this run: .* has 600 rows, .*few\.h5 500: .*--new-data", self.old, self.old,
                    "--new-data", few)
        ids = self.write("ids.h5", self.x, names=["a", "b", "c"], id=np.arange(600) + (np.arange(600) > 400))
        self.refuse(3, r"not the customers of this run: .*ids\.h5, row 401: .*another id", self.old, self.old, "--old-data",
                    ids, ranks=3)
        moved = self.x.copy()
        moved[123] += 30.0
        values = self.write("values.h5", moved, names=["a", "b", "c"], id=np.arange(600))
        label = self.results(self.old)["segment"][123]
        if label != 0:  # the far corner belongs to one segment
            self.refuse(3, r"not the customers of this run: .*values\.h5, row 123: its segment", self.old, self.old,
                        "--old-data", values)
        twice = self.write("twice.h5", self.x, names=["a", "b", "c"], id=np.arange(600) % 599)
        self.refuse(3, r"duplicate id '0'.*rows 0 and 599", self.old, self.old, "--new-data", twice)

    def test_damaged_labels(self):
        bad = self.tmp / "bad"
        shutil.copytree(self.old, bad)
        with h5py.File(bad / "assignments.h5", "r+") as f:
            f["segment"][7] = 3
        self.refuse(3, r"damaged run: .*bad/assignments\.h5, row 7: segment 3 of 3", self.old, bad)

    def test_usage(self):
        for option, value, pattern in (("--alpha", "0", "alpha"), ("--bins", "1", "bins"), ("--equivalence", "0", "equivalence"),
                                       ("--bins", "x", "bins")):
            self.refuse(2, pattern, self.old, self.old, option, value)
        self.fails(2, "old and the new|NEW", "compare", self.old)
        out = self.tmp / "there.json"
        out.write_text("mine")
        self.fails(2, r"there\.json", "compare", self.old, self.old, "--out", out)
        self.assertEqual(out.read_text(), "mine")
        self.ok("compare", self.old, self.old, "--out", out, "--force", "--quiet")
        self.assertEqual(json.loads(out.read_text())["command"], "compare")
        self.fails(2, "input|inside|holds", "compare", self.old, self.old, "--out", self.old, "--force")
        for name in ("model.h5", "assignments.h5", "manifest.json", "diagnostics.json"):
            before = (self.old / name).read_bytes()
            self.fails(2, name, "compare", self.old, self.old, "--out", self.old / name, "--force")
            self.fails(2, name, "export", self.old, "--format", "sqlite", "--out", self.old / name, "--force")
            self.assertEqual((self.old / name).read_bytes(), before)
        self.fails(2, r"old\.h5", "compare", self.old, self.old, "--out", self.tmp / "old.h5", "--force")
        self.assertEqual(self.ok("compare", self.old, self.old, "--dry-run", "--out", self.tmp / "dry.json").stdout,
                         "dry run, nothing computed\n")
        self.assertFalse((self.tmp / "dry.json").exists())


class Hostile(t.Case):
    """Valid input that is hard: one segment, constant features, one common customer, one outcome that is never there."""

    def pair(self, x, y, ids, new_ids, k=(1, 1), **columns):
        runs = []
        for i, (values, who) in enumerate(((x, ids), (y, new_ids))):
            path = self.write(f"{i}.h5", values, id=np.asarray(who), **columns)
            runs.append(self.tmp / f"run{i}")
            self.ok("fit", path, "--segments", k[i], "--out", runs[-1], "--quiet", "--scale", "none")
        found = self.ok("compare", *runs, "--json", "--quiet", ranks=4).stdout
        self.assertEqual(self.ok("compare", *runs, "--json", "--quiet").stdout, found)
        self.ok("compare", *runs, "--quiet")
        return json.loads(found)

    def test_one_segment_of_one_common_customer(self):
        rng = np.random.default_rng(10)
        d = self.pair(rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), range(5), [4, 50, 51, 52])
        self.assertEqual(d["customers"], {"common": 1, "entered": 3, "left": 4})
        self.assertEqual(d["agreement"], {"adjusted_rand": 1.0, "variation_of_information": 0.0,
                                          "variation_of_information_max": 0.0})

    def test_constant_features_and_empty_outcomes(self):
        x = np.column_stack([np.full(40, 7.0), np.repeat([0.0, 1.0], 20)])
        d = self.pair(x, x, range(40), range(40), k=(2, 2), outcomes=np.full((40, 1), np.nan))
        constant = d["drift"]["features"][0]
        self.assertEqual((constant["bins"], constant["psi"], constant["word"], constant["ks"]), (1, None, None, 0.0))
        self.assertEqual(constant["wasserstein_sd"], None)
        for row in d["calibration"]["segments"]:
            self.assertEqual((row["word"], row["actual"], row["customers"]), ("undecided", None, 0))

    def test_outcome_that_never_varied(self):
        """Nobody of a handful bought: that is no proof that nobody will, so nothing is as expected and nothing merges."""
        x = np.repeat([[0.0, 0.0], [9.0, 9.0]], 6, axis=0) + np.random.default_rng(3).normal(size=(12, 2)) / 9
        d = self.pair(x, x, range(12), range(12), k=(2, 2), outcomes=np.zeros((12, 1)))
        for row in d["calibration"]["segments"]:
            self.assertEqual((row["word"], row["actual"], row["p_adjusted"]), ("undecided", 0.0, None))

    def test_segments_that_share_nobody(self):
        """Both customers in common are in one segment of each: the others die and are born."""
        x = np.repeat([[0.0, 0.0], [9.0, 9.0]], 10, axis=0) + np.random.default_rng(11).normal(size=(20, 2))
        d = self.pair(x, x, range(20), [*range(2), *range(100, 118)], k=(2, 2))
        self.assertEqual(sorted(s["status"] for s in d["segments"]), ["born", "died", "matched"])
        self.assertEqual(sorted(s["colour"] for s in d["segments"]), [0, 1, 2])
        self.assertEqual(len({s["name"] for s in d["segments"]}), 3)


if __name__ == "__main__":
    t.main()
