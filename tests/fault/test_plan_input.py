"""Plans that cannot be made and experiments that cannot be read: one error line, the right exit code on one rank and on
four, no hang, nothing left behind."""
import json
import shutil

import h5py
import numpy as np

import demarc_testing as t
import test_bad_input as bad


class PlanInput(bad.BadInput):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(11)
        n = len(cls.x)
        # Three segments in a row: between the outer two there is nobody, beside the middle one there are plenty.
        cls.x = rng.normal(size=(n, 3))
        cls.x[:, 1] += 12.0 * (np.arange(n) % 3)
        cls.y = np.stack([rng.normal(10, 2, n), np.full(n, 3.5), np.full(n, np.nan)], axis=1)

        def name(f):
            f["outcomes"].attrs["outcome_names"] = ["spend", "flat", "unknown"]
        cls.data = cls.make("data.h5", id=cls.ids, outcomes=cls.y, edit=name)
        cls.plain = cls.make("plain.h5")
        bad.launch(["fit", cls.data, "--segments", "3", "--scale", "none", "--out", "line", "--quiet"], cls.inputs)
        cls.model = cls.inputs / "line" / "model.h5"
        with h5py.File(cls.model, "r") as f:
            cls.row = np.argsort(f["centroids_scaled"][:, 1]).tolist()  # segments along the line
        cls.near = "-".join(map(str, sorted(cls.row[:2])))
        cls.far = f"{min(cls.row[0], cls.row[2])}-{max(cls.row[0], cls.row[2])}"

    def plan(self, *more, data=None, model=None):
        return ["boundary", "plan", data or self.data, "--model", model or self.model, "--out", "plan", *more]

    def test_options(self):
        cases = [(" ".join(map(str, more)), self.plan(*more), 2, pattern) for more, pattern in (
            (("--boundaries", "0-3"), r"unknown boundary: --boundaries, 0-3: segments are 0 to 2"),
            (("--boundaries", "0-99999999999999999999"), r"not a boundary: --boundaries, '0-9+'"),
            (("--boundaries", "1-1"), r"not a boundary: --boundaries, 1-1: .*different"),
            (("--boundaries", "0-1,1-0"), r"named twice: --boundaries, 1-0"),
            (("--boundaries", "0-1,0-1"), r"--boundaries"),
            (("--boundaries", "0:1"), r"not a boundary: --boundaries, '0:1'"),
            (("--boundaries", "-1-2"), r"boundar"),
            (("--boundaries", "1-2-0"), r"not a boundary: --boundaries, '1-2-0'"),
            (("--boundaries", "0-"), r"not a boundary: --boundaries, '0-'"),
            (("--boundaries", "0-1,"), r"--boundaries"),
            (("--band", "1", "--band-share", "0.2"), r"contradiction: --band and --band-share"),
            (("--band", "-1"), r"--band"), (("--band", "nan"), r"--band"), (("--band", "inf"), r"--band"),
            (("--band-share", "0"), r"--band-share"), (("--band-share", "1.01"), r"--band-share"),
            (("--distance-strata", "0"), r"--distance-strata"),
            (("--switch-share", "0"), r"--switch-share"), (("--switch-share", "1"), r"--switch-share"),
            (("--alpha", "0"), r"--alpha"), (("--power", "1"), r"--power"), (("--power", "0"), r"--power"),
            (("--effect", "-2"), r"--effect"), (("--outcome-sd", "-2"), r"--outcome-sd"),
            (("--min-cell", "-1"), r"--min-cell"), (("--seed", "x"), r"--seed"),
            (("--outcome", "nobody"), r"unknown outcome: --outcome 'nobody': .*data\.h5 has 'spend' and others"),
        )]
        cases += [
            ("nothing to size by", self.plan(data=self.plain), 2, r"no outcome to size .*: .*plain\.h5: .*--outcome-sd"),
            ("a name alone", self.plan("--outcome", "spend", data=self.plain), 2, r"no outcome to size .*--outcome-sd"),
            ("no model", ["boundary", "plan", self.data, "--out", "plan"], 2, r"--model"),
            ("no output", ["boundary", "plan", self.data, "--model", self.model], 2, r"--out"),
            ("output is the model's folder", [*self.plan("--force")[:-3], "--out", self.inputs / "line", "--force"], 2,
             r"holds the input: .*line"),
        ]
        self.check_all(cases, layouts=(1,))
        self.check_all(cases[::5], layouts=(4,))

    def test_designs_that_cannot_be(self):
        one = self.inputs / "one"
        if not one.exists():
            bad.launch(["fit", self.data, "--segments", "1", "--out", one, "--quiet"], self.inputs)
        self.check_all([
            ("one segment", self.plan(model=one / "model.h5"), 4, r"no boundaries: the model has one segment"),
            ("nobody there", self.plan("--boundaries", self.far), 4,
             rf"no customers in the band of boundary {self.far}: .*data\.h5: .*--band-share"),
            ("nobody within", self.plan("--boundaries", self.near, "--band", 1e-12), 4,
             rf"no customers in the band of boundary {self.near}: .*--band "),
            ("nobody anywhere", self.plan("--band", 1e-12), 4, r"no customers in any band: .*data\.h5"),
            ("no share of anybody", self.plan("--band-share", 1e-9), 4, r"no customers in any band"),
            ("flat", self.plan("--outcome", "flat"), 4, r"does not vary.*--outcome-sd"),
            ("missing", self.plan("--outcome", "unknown"), 4, r"does not vary.*--outcome-sd"),
            ("forced and flat", self.plan("--outcome", "flat", "--force"), 4, r"does not vary"),
            ("weak", self.plan("--boundaries", self.near, "--effect", 0.01), 4,
             rf"underpowered: boundary {self.near}, side of segment \d: power 0\.\d+ .* 0\.01, wanted 0\.8 \(2 tests\): "
             r"--effect 0\.\d+ would do"),
            ("small", self.plan("--band-share", 0.002, "--effect", 90), 4,
             r"too few customers: boundary \d-\d, side of segment \d: [\d.]+ expected in an arm, --min-cell is 30"),
            ("small by a share", self.plan("--boundaries", self.near, "--band-share", 0.1, "--effect", 90,
                                           "--switch-share", 0.001), 4, r"too few customers"),
            ("small cells asked for", self.plan("--effect", 90, "--min-cell", 100000), 4, r"--min-cell is 100000"),
            ("too many strata", self.plan("--distance-strata", 1000000000), 2, r"--distance-strata"),
        ])

    def test_advice_is_good(self):
        """What the refusal advises passes."""
        refused = t.run(*map(str, self.plan("--boundaries", self.near, "--effect", 0.01, "--dry-run")))
        effect = refused.stderr.split("--effect ")[1].split()[0]
        self.check_fine(self.plan("--boundaries", self.near, "--effect", effect))
        few = np.r_[np.where(np.arange(len(self.x)) % 3 < 2)[0], np.arange(2, 300, 3)]
        lopsided = self.plan("--effect", 3, data=self.make("few.h5", self.x[few], outcomes=self.y[few, :1]))
        refused = t.run(*map(str, lopsided), "--dry-run")
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertRegex(refused.stderr, r"too few customers: boundary")
        self.assertIn("--boundaries ", refused.stderr)
        pairs = refused.stderr.split("--boundaries ")[1].split()[0]
        self.check_fine([*lopsided, "--boundaries", pairs])

    def test_files(self):
        wide = self.inputs / "wide"
        if not wide.exists():
            path = self.make("wide.h5", np.hstack([self.x, self.x]), names=None)
            bad.launch(["fit", path, "--segments", "2", "--out", wide, "--quiet"], self.inputs)
        twice = self.ids.copy()
        twice[-1] = twice[5]
        self.check_all([
            ("no data", self.plan(data=self.inputs / "nope.h5"), 3, r"nope\.h5"),
            ("no model", self.plan(model=self.inputs / "nope.h5"), 3, r"nope\.h5"),
            ("data as a model", self.plan(model=self.data), 3, r"not a model: .*data\.h5"),
            ("another width", self.plan(model=wide / "model.h5"), 3, r"features"),
            ("another feature", self.plan(data=self.make("named.h5", names=["alpha", "beta", "delta"])), 3, r"gamma"),
            ("missing value", self.plan(data=self.changed("nan.h5", (9000, 1, np.nan))), 3, r"row 9000"),
            ("id twice", self.plan(data=self.make("twice.h5", id=twice, outcomes=self.y)), 3, r"duplicate id"),
            ("no column of that path", self.plan("--outcomes", "/sales"), 3, r"/sales"),
            ("no room", self.plan("--boundaries", self.near), 2, r"output exists: plan: ", lambda cwd: (cwd / "plan").mkdir()),
            ("no parent", [*self.plan()[:-2], "--out", "there/plan"], 5, r"no place for the output: there"),
            ("somebody's file", self.plan("--force"), 2, r"holds more than demarc's plans: plan \(thesis\.tex\)",
             lambda cwd: ((cwd / "plan").mkdir(), (cwd / "plan" / "thesis.tex").write_text("years"))),
            ("a fit", self.plan("--force"), 2, r"holds more than demarc's plans: plan \(\w+",
             lambda cwd: shutil.copytree(self.inputs / "run", cwd / "plan")),
        ], same_line=False)

    def test_a_rank_that_cannot_write(self):
        """A file size limit on one of four ranks: all leave, nothing is left."""
        for limited in (0, 2):
            cwd = self.folder()
            o = bad.launch(self.plan("--boundaries", self.near, "--effect", 90), cwd, ranks=4,
                           prefix=f'[ "$rank" = {limited} ] && ulimit -f 1')
            self.check_failure(o, 5, r"file size limit")
            self.assertEqual(bad.snapshot(cwd), {})

    def test_forced_and_dry(self):
        """--force takes a weak design and says so; --dry-run writes nothing; an old plan is replaced by --force."""
        weak = self.plan("--boundaries", self.near, "--effect", 0.01)
        o, cwd = self.check_fine([*weak, "--dry-run", "--force", "--json"])
        self.assertTrue(json.loads(o.out[0])["underpowered"])
        self.assertEqual(bad.snapshot(cwd), {})
        self.assertRegex("".join(o.err), r"warning: forced: underpowered: ")
        o, cwd = self.check_fine([*weak, "--force"], ranks=4)
        self.assertRegex("".join(o.out), r"UNDERPOWERED")
        self.assertEqual(sorted(bad.snapshot(cwd / "plan")), ["experiment.h5", "plan.json"])
        strong = self.plan("--boundaries", self.near, "--effect", 9, "--force")
        o, _ = self.check_fine(strong, cwd=cwd)
        self.assertNotRegex("".join(o.out + o.err), r"(?i)underpowered")
        self.assertEqual(json.loads((cwd / "plan" / "plan.json").read_text())["effect"], 9)
        o, cwd = self.check_fine(self.plan("--outcome", "later", "--outcome-sd", 2, "--effect", 2, "--boundaries",
                                           self.near, data=self.plain))
        with h5py.File(cwd / "plan" / "experiment.h5") as f:
            self.assertEqual((f.attrs["outcome"], f.attrs["outcome_sd"]), ("later", 2))

    def test_damaged_experiments(self):
        """Whatever reads an experiment says which part of it is wrong."""
        folder = self.inputs / "experiment"
        if not folder.exists():
            bad.launch([*self.plan("--boundaries", self.near, "--effect", 9)[:-6], "--out", folder, "--effect", 9,
                        "--boundaries", self.near, "--quiet"], self.inputs)
        good = folder / "experiment.h5"

        def broken(name, edit):
            path = self.inputs / f"{name}.h5"
            shutil.copy(good, path)
            with h5py.File(path, "r+") as f:
                edit(f)
            return path

        def replace(key, value):
            def edit(f):
                del f[key]
                f[key] = value
            return edit

        def put(key, at, value):
            def edit(f):
                f[key][at] = value
            return edit

        def attribute(key, value):
            def edit(f):
                f.attrs.__delitem__(key) if value is None else f.attrs.__setitem__(key, value)
            return edit
        with h5py.File(good) as f:
            n = len(f["arm"])
        self.check_all([(name, ["info", broken(name, edit)], 3, rf"{name}\.h5.*{pattern}") for name, edit, pattern in (
            ("version", attribute("format_version", 2), "reads format 1"),
            ("salt", attribute("salt", None), "no attribute salt"),
            ("alpha", attribute("alpha", 1.5), "attribute alpha"),
            ("share", attribute("switch_share", 0.0), "attribute switch_share"),
            ("strata", attribute("distance_strata", 0), "attribute distance_strata"),
            ("customers", attribute("customers", n + 1), "/row is .* expected integers"),
            ("short", replace("arm", np.zeros(n - 1, "i4")), "/arm is .* expected integers"),
            ("text", replace("margin", np.zeros(n, "S3")), "/margin is .* expected floats"),
            ("noid", replace("id", np.zeros(n)), "/id is .* expected .* integers or strings"),
            ("pairs", replace("boundaries", np.array([[1, 1]], "i4")), "/boundaries holds"),
            ("none", replace("boundaries", np.zeros((0, 2), "i4")), "/boundaries holds"),
            ("gap", put("gap", 0, 0.0), "/gap holds"),
            ("band", put("band", 0, np.nan), "/band holds"),
            ("arm", put("arm", 70, 2), "/arm is 2 at row 70"),
            ("boundary", put("boundary", 5, 1), "/boundary is 1 at row 5"),
        )], layouts=(1, 2))


if __name__ == "__main__":
    t.main()
