"""Bad input of `demarc boundary analyze`: one line, the same on one rank and four; a broken experiment stops the verdicts."""
import json

import h5py
import numpy as np

import demarc_testing as t
import test_bad_input as bad
from experiment_files import outcomes_of, write_experiment, write_results

N = 9000  # three row blocks
DIGEST = "ab" * 16


class Analyze(bad.Fault):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.experiment = cls.inputs / "e.h5"
        cls.e = write_experiment(cls.experiment, N, ((0, 1), (1, 2)))
        cls.y = outcomes_of(cls.e, level=0.9, slope=0.4)
        cls.good = write_results(cls.inputs / "good.h5", cls.e["id"], cls.y)
        cls.words = np.array([b"customer-%d" % i for i in range(N)])
        cls.worded = cls.inputs / "words.h5"
        write_experiment(cls.worded, N, ids=cls.words)
        rng = np.random.default_rng(8)
        data = cls.inputs / "c.h5"
        with h5py.File(data, "w") as f:
            f["features"] = rng.normal(size=(600, 2)) + 4 * (np.arange(600) % 3)[:, None]
        o = bad.launch(["fit", data, "--segments", "3", "--out", cls.inputs / "run", "--quiet"], cls.inputs)
        assert o.codes == [0], str(o)
        cls.model = cls.inputs / "run" / "model.h5"

    @classmethod
    def make(cls, name, ids=None, y=None, edit=None):
        path = write_results(cls.inputs / name, cls.e["id"] if ids is None else ids, y or cls.y)
        if edit:
            with h5py.File(path, "r+") as f:
                edit(f)
        return path

    @classmethod
    def experiment_with(cls, name, edit):
        path = cls.inputs / name
        path.write_bytes(cls.experiment.read_bytes())
        with h5py.File(path, "r+") as f:
            edit(f)
        return path

    def run_on(self, results, *options, experiment=None):
        return ["boundary", "analyze", experiment or self.experiment, results, *options]

    def with_ids(self, name, **rows):
        """Ids with some rows replaced."""
        ids = self.e["id"].copy()
        for row, value in rows.items():
            ids[int(row[1:])] = value
        return self.make(name, ids)


class BadResults(Analyze):
    def test_ids(self):
        ids = self.e["id"]
        twice, triple = ids[4], ids[100]
        swapped = self.words.astype("S40")
        swapped[[5000, 8000]] = b"customer-00000000000000000001", b"stranger"
        duplicate = self.words.copy()
        duplicate[7777] = duplicate[7]
        unsigned = self.e["id"].astype(np.uint64)
        self.check_all([
            ("unknown", self.run_on(self.with_ids("unknown.h5", r8500=-7, r4200=14)), 3,
             r"unknown id '14'.*unknown\.h5, /id, row 4200: .*e\.h5"),
            ("repeated", self.run_on(self.with_ids("twice.h5", r6001=twice)), 3,
             rf"duplicate id '{twice}'.*rows 4 and 6001"),
            ("three times", self.run_on(self.with_ids("thrice.h5", r8999=triple, r5000=triple)), 3, r"rows 100 and 5000"),
            ("the lowest fault", self.run_on(self.with_ids("both.h5", r8999=-3, r5000=triple)), 3, r"rows 100 and 5000"),
            ("negative as unsigned", self.run_on(self.make("unsigned.h5", unsigned)), 3, r"unknown id '18446744073709551566'.*row 0"),
            ("strings for integers", self.run_on(self.make("s.h5", self.words)), 3, r"ids of different kinds.*strings.*integers"),
            ("integers for strings", self.run_on(self.good, experiment=self.worded), 3, r"ids of different kinds.*integers.*strings"),
            ("unknown string, longer than any", self.run_on(self.make("long.h5", swapped), experiment=self.worded), 3,
             r"unknown id 'customer-00000000000000000001'.*row 5000"),
            ("repeated string", self.run_on(self.make("again.h5", duplicate), experiment=self.worded), 3,
             r"duplicate id 'customer-7'.*rows 7 and 7777"),
            ("no ids", self.run_on(self.make("noid.h5", edit=lambda f: f.__delitem__("id"))), 3, r"no dataset /id"),
            ("other length", self.run_on(self.make("short.h5", edit=lambda f: (f.__delitem__("id"), f.__setitem__("id", ids[:-1])))), 3,
             r"lengths differ.*/outcomes"),
        ])

    def test_repeated_ids_that_meet_out_of_order(self):
        """Rows travel in batches: on two ranks row 80000 arrives before row 70000."""
        n = 150000
        e = write_experiment(self.inputs / "large.h5", n)
        ids = e["id"].copy()
        ids[80000] = ids[70000]
        in_results = write_results(self.inputs / "large_twice.h5", ids, {"spend": np.zeros(n)})
        write_experiment(self.inputs / "twice_planned.h5", n, ids=ids)
        self.check_all([
            ("results", self.run_on(in_results, experiment=self.inputs / "large.h5"), 3, r"large_twice.*rows 70000 and 80000"),
            ("experiment", self.run_on(in_results, experiment=self.inputs / "twice_planned.h5"), 3,
             r"twice_planned.*rows 70000 and 80000"),
        ], layouts=(1, 2))

    def test_values(self):
        y = dict(self.y)
        y["spend"] = y["spend"].copy()
        y["spend"][[4100, 8800]] = np.inf, -np.inf
        y["before"] = y["before"].copy()
        y["before"][3000] = 1e200
        path = self.make("infinite.h5", y=y)
        self.check_all([
            ("infinite", self.run_on(path), 3, r"bad outcome: .*infinite\.h5, /outcomes, row 4100 column \d \(spend\): it is inf"),
            ("huge covariate", self.run_on(path, "--pre", "before"), 3, r"bad outcome: .*row 3000 column \d \(before\): it is 1e\+200"),
        ])
        self.check_fine(self.run_on(path, "--outcome", "visit"))

    def test_columns(self):
        none = self.make("none.h5", edit=lambda f: f.__delitem__("outcomes"))
        self.check_all([
            ("no outcomes", self.run_on(none), 3, r"no outcomes: .*none\.h5"),
            ("no such dataset", self.run_on(self.good, "--outcomes", "/y"), 3, r"no dataset /y"),
            ("no such outcome", self.run_on(self.good, "--outcome", "sales"), 2, r"no outcome 'sales'.*--outcome"),
            ("no such covariate", self.run_on(self.good, "--pre", "sales"), 2, r"no outcome 'sales'.*--pre"),
            ("covariate is the outcome", self.run_on(self.good, "--pre", "spend"), 2, r"'spend' is the outcome itself"),
        ], layouts=(1, 3))
        renamed = self.make("renamed.h5", edit=lambda f: f["outcomes"].attrs.modify("outcome_names", ["a", "b", "c"]))
        o, _ = self.check_fine(self.run_on(renamed, "--json"))
        self.assertEqual(json.loads(o.out[0])["outcome"], "a")


class BadExperiment(Analyze):
    def test_files(self):
        whole = self.experiment.read_bytes()
        cut = self.inputs / "cut.h5"
        cut.write_bytes(whole[:len(whole) // 2])
        dataset = lambda name, row, value: lambda f: f[name].__setitem__(row, value)
        cases = [("truncated", cut, r"cut\.h5"), ("a customer file", self.good, r"good\.h5"),
                 ("absent", self.inputs / "absent.h5", r"absent\.h5"),
                 ("short", self.experiment_with("lost.h5", lambda f: (f.__delitem__("arm"), f.__setitem__("arm", np.zeros(5, "i4")))),
                  r"lost\.h5, /arm"),
                 ("arm", self.experiment_with("arm.h5", dataset("arm", 5000, 2)), r"/arm is 2 at row 5000"),
                 ("propensity", self.experiment_with("prop.h5", dataset("propensity", 5000, 1.0)), r"/propensity is 1 at row 5000"),
                 ("stratum", self.experiment_with("stratum.h5", dataset("stratum", 5000, 16)), r"/stratum is 16 at row 5000"),
                 ("side", self.experiment_with("side.h5", lambda f: f["segment"].__setitem__(5000, 3 - f["segment"][5000])),
                  r"row 5000"),
                 ("id twice", self.experiment_with("ids.h5", lambda f: f["id"].__setitem__(8999, f["id"][17])),
                  r"duplicate id.*/id, rows 17 and 8999"),
                 ("digest", self.experiment_with("attr.h5", lambda f: f.attrs.__delitem__("model_digest")), r"model_digest")]
        self.check_all([(label, self.run_on(self.good, experiment=path), 3, pattern) for label, path, pattern in cases])


class BadOptions(Analyze):
    def test_model_and_output(self):
        there = lambda cwd: (cwd / "new.h5").write_text("mine")
        self.check_all([
            ("another model", self.run_on(self.good, "--model", self.model), 3,
             rf"another model: .*model\.h5 has digest [0-9a-f]{{32}}, but .*e\.h5 was planned with {DIGEST}"),
            ("nothing to move", self.run_on(self.good, "--apply", "new.h5"), 2, r"--apply.*--model"),
            ("output exists", self.run_on(self.good, "--model", self.model, "--apply", "new.h5"), 2, r"new\.h5", there),
            ("output is the experiment", self.run_on(self.good, "--model", self.model, "--apply", self.experiment, "--force"), 2,
             r"e\.h5"),
            ("output is the model", self.run_on(self.good, "--model", self.model, "--apply", self.model, "--force"), 2, r"model\.h5"),
            ("no folder", self.run_on(self.good, "--model", self.model, "--apply", "no/new.h5"), 5, r"no/?"),
            ("level", self.run_on(self.good, "--alpha", "1"), 2, r"--alpha"),
            ("no level", self.run_on(self.good, "--alpha", "0"), 2, r"--alpha"),
            ("attrition", self.run_on(self.good, "--max-attrition", "1.5"), 2, r"--max-attrition"),
            ("cell", self.run_on(self.good, "--min-cell", "1"), 2, r"--min-cell"),
            ("one argument", ["boundary", "analyze", self.experiment], 2, r"RESULTS\.h5"),
        ], layouts=(1, 3))


class Stopped(Analyze):
    """What went wrong with the experiment is a finding, not an error."""

    def model_of_experiment(self):
        path = self.inputs / "same.h5"
        path.write_bytes(self.model.read_bytes())
        with h5py.File(path, "r+") as f:
            f.attrs["digest"] = DIGEST
        return path

    def stopped(self, results, pattern, experiment=None, options=()):
        args = self.run_on(results, "--model", self.model_of_experiment(), "--apply", "new.h5", *options, experiment=experiment)
        o, cwd = self.check_fine([*args, "--json"], ranks=3)
        self.assertEqual(list(cwd.iterdir()), [])
        self.assertIn("no boundary moves: new.h5 was not written", "".join(o.err))
        got = json.loads("".join(o.out))
        self.assertRegex(got["stopped"], pattern)
        self.assertIsNone(got["offsets"])
        self.assertEqual(got["tests"], 0)
        for b in got["boundaries"]:
            self.assertEqual((b["decision"], b["move"], b["reason"]), (None, None, "stopped: see the checks"))
            for s in b["sides"]:
                self.assertEqual((s["p"], s["p_adjusted"], s["verdict"], s["anytime"]["p"]), (None,) * 4)
                self.assertIsNotNone(s["effect"]["value"])
                self.assertIsNotNone(s["anytime"]["low"])
        o, _ = self.check_fine(args)
        self.assertRegex(o.out[0], "STOPPED: .*" + pattern)
        return got

    def test_not_stopped(self):
        got = json.loads(self.ok("boundary", "analyze", self.experiment, self.good, "--json").stdout)
        self.assertIsNone(got["stopped"])
        self.assertIn("helps", [s["verdict"] for b in got["boundaries"] for s in b["sides"]])

    def test_attrition(self):
        rng = np.random.default_rng(9)
        some = np.flatnonzero(rng.random(N) > 0.12)
        got = self.stopped(write_results(self.inputs / "few.h5", self.e["id"], self.y, some), "attrition: too many")
        self.assertEqual((got["attrition"]["missing"], got["attrition"]["passed"]), (N - len(some), False))
        self.assertTrue(got["sample_ratio"]["passed"])

    def test_attrition_in_one_arm(self):
        y = dict(self.y)
        rng = np.random.default_rng(10)
        y["spend"] = np.where((self.e["arm"] == 1) & (rng.random(N) < 0.05), np.nan, y["spend"])
        got = self.stopped(self.make("uneven.h5", y=y), "more outcomes are missing in one arm")
        self.assertLess(got["attrition"]["share"], 0.05)

    def test_sample_ratio(self):
        rng = np.random.default_rng(11)
        skewed = self.experiment_with("skewed.h5", lambda f: f["arm"].__setitem__(slice(None), np.where(
            rng.random(N) < 0.06, 1, f["arm"][()]).astype(np.int32)))
        got = self.stopped(self.good, "sample ratio mismatch: the arms", experiment=skewed)
        self.assertFalse(got["sample_ratio"]["passed"])
        self.assertTrue(got["attrition"]["passed"])

    def test_sample_ratio_of_the_observed(self):
        rng = np.random.default_rng(12)
        keep = np.flatnonzero((self.e["arm"] == 0) | (rng.random(N) > 0.12))
        self.stopped(write_results(self.inputs / "lost.h5.r", self.e["id"], self.y, keep), "customers with an outcome")

    def test_everybody_missing(self):
        y = {"spend": np.full(N, np.nan)}
        p = self.ok("boundary", "analyze", self.experiment, self.make("empty.h5", y=y), "--json")
        got = json.loads(p.stdout)
        self.assertIn("attrition", got["stopped"])
        b = got["boundaries"][0]
        self.assertEqual((b["curve"], b["points"], b["crossing"]), (None, [], None))
        self.assertIsNone(b["sides"][0]["effect"]["value"])
        self.ok("boundary", "analyze", self.experiment, self.inputs / "empty.h5", "--max-attrition", 1)


if __name__ == "__main__":
    t.main()
