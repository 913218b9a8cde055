"""`demarc boundary replay` on campaigns that are none: one error line on one rank and on three, its exit code, nothing left."""
import h5py
import numpy as np

import demarc_testing as t

ROWS = 2 * 4096 + 500


class ReplayInput(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.x = rng.normal(size=(ROWS, 2))
        self.arm = rng.integers(0, 3, ROWS)
        self.y = rng.normal(size=(ROWS, 2))
        self.names = ["none", "mail", "call"]
        self.model(2)

    def model(self, k, width=2, name="run"):
        path = self.write("fit.h5", np.random.default_rng(2).normal(size=(3000, width)))
        self.ok("fit", path, "--segments", k, "--out", self.tmp / name, "--quiet")

    def file(self, name="c.h5", attributes=True, **columns):
        """A good campaign with some columns replaced (None: left out)."""
        parts = {"outcomes": self.y, "arm": self.arm} | columns
        path = self.write(name, parts.pop("features", self.x), **{k: v for k, v in parts.items() if v is not None})
        with h5py.File(path, "r+") as f:
            if attributes and "arm" in f:
                f["arm"].attrs["arm_names"] = self.names
            if "outcomes" in f:
                f["outcomes"].attrs["outcome_names"] = ["visit", "spend"][:f["outcomes"].shape[1]]
        return path

    def refused(self, code, pattern, path, *options, model="run", layouts=(1, 3)):
        for ranks in layouts:
            before = sorted(p.name for p in self.tmp.iterdir())
            p = self.fails(code, pattern, "boundary", "replay", path, "--model", self.tmp / model / "model.h5",
                           "--apply", self.tmp / "moved.h5", *options, ranks=ranks)
            self.assertRegex(p.stderr, r"(?m)^demarc: [^:]+: .+: .+$")
            self.assertEqual(p.stdout, "")
            self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), before)

    def test_good_one_passes(self):
        for ranks in (1, 3):
            self.ok("boundary", "replay", self.file(), "--model", self.tmp / "run" / "model.h5", ranks=ranks)

    def test_no_campaign(self):
        self.refused(3, r"no outcomes: \S+c.h5: .*--outcomes", self.file(outcomes=None))
        self.refused(3, r"no campaign: \S+c.h5: .*--arm", self.file(arm=None))
        self.refused(3, r"one arm only: \S+c.h5", self.file(arm=np.ones(ROWS, int)))

    def test_codes(self):
        arm = self.arm.copy()
        arm[[5000, 8300]] = 3
        self.refused(3, r"arm out of range: \S+c.h5, /arm: row 5000 has arm 3, arm_names has 3 names: name every arm", self.file(arm=arm))
        share = np.full((ROWS, 3), 1 / 3)
        self.refused(3, r"arm out of range: \S+c.h5, /arm: row 5000 has arm 3, /propensity has 3 columns: give one for every arm",
                     self.file(arm=arm, propensity=share, attributes=False))
        self.refused(3, r"arm out of range: .* row 5000 has arm 70000",
                     self.file(arm=np.where(arm == 3, 70000, arm), attributes=False))
        self.refused(3, "bad arm -1", self.file(arm=np.where(arm == 3, -1, arm)))

    def test_propensities(self):
        share = np.full((ROWS, 3), 1 / 3)
        share[8200] = [0.5, 0.5, 0.1]
        self.refused(3, r"bad propensities: \S+c.h5, /propensity, row 8200: they sum to 1.1", self.file(propensity=share))
        share[8200] = [1.5, -0.5, 0.0]
        self.refused(3, r"bad propensity: \S+c.h5, /propensity, row 8200, arm 0: 1.5: a probability is from 0 to 1",
                     self.file(propensity=share))
        share[8200] = [0.5, -0.5, 1.0]
        self.refused(3, r"bad propensity: \S+c.h5, /propensity, row 8200, arm 1: -0.5", self.file(propensity=share))
        for row in (8600, 8300):
            share[8200] = [0.5, 0.5, 0.0]
            self.arm[8200] = 1
            share[row] = np.where(np.arange(3) == self.arm[row], 0.0, 0.5)
            self.refused(3, f"impossible arm: \\S+c.h5, row {row}: /propensity .* is 0", self.file(propensity=share))
        self.refused(3, "numbers of arms differ", self.file(propensity=np.full((ROWS, 2), 0.5)))

    def test_outcomes(self):
        self.y[[4100, 300], 1] = [np.inf, 1e200]
        self.refused(3, r"bad outcome: \S+c.h5, /outcomes, row 300 column 1 \(spend\): it is 1e\+200", self.file())
        self.y[8500, 0] = -np.inf  # of the last rank, in an earlier column
        self.refused(3, r"bad outcome: \S+c.h5, /outcomes, row 300 column 1", self.file())
        self.refused(3, r"bad outcome: \S+c.h5, /outcomes, row 8500 column 0 \(visit\): it is -inf", self.file(), "--outcome", "visit")
        self.y[8500, 0] = 0.0
        self.ok("boundary", "replay", self.file(), "--model", self.tmp / "run" / "model.h5", "--outcome", "visit")
        self.fails(3, r"bad outcome: \S+c.h5, /outcomes, row 300 column 1 \(spend\)", "fit", self.file(), "--segments", 2,
                   "--out", self.tmp / "fitted", "--quiet")  # it tells the means of all
        for ranks in (1, 3):
            self.fails(3, r"bad outcome: \S+c.h5, /outcomes, row 300 column 1 \(spend\)", "boundary", "plan", self.tmp / "c.h5",
                       "--model", self.tmp / "run" / "model.h5", "--outcome", "spend", "--out", self.tmp / "plan", ranks=ranks)

    def test_options(self):
        path = self.file()
        self.refused(2, r"no such outcome: --outcome 'churn': \S+ has 'visit', 'spend'", path, "--outcome", "spend,churn")
        self.refused(2, "name given twice: --outcome 'spend'", path, "--outcome", "spend,spend")
        self.refused(2, r"no such arm: --arms 'fax': \S+ has 'none', 'mail', 'call'", path, "--arms", "mail,fax")
        self.refused(2, "no such arm: --arms '3'", path, "--arms", "0,3")
        self.refused(2, "no such arm: --control 'post'", path, "--control", "post")
        for shares in ("1,1", "1,1,1,1", "1,-1,1", "0,0,0", "1,nan,1", "1,,1", "1,1,1,", "x", "0x1,1,1"):
            self.refused(2, "bad shares: --arm-shares .* 3 numbers", path, "--arm-shares", shares)
        self.refused(2, "share.* --shifts", path, "--shifts", "0.1,0")
        self.refused(2, "--alpha", path, "--alpha", "0")
        self.refused(2, "--min-cell", path, "--min-cell", "-1")
        (self.tmp / "moved.h5").write_text("mine")
        self.refused(2, "moved.h5.*--force", path)
        self.assertEqual((self.tmp / "moved.h5").read_text(), "mine")

    def test_policy(self):
        path = self.file()
        for policy, words in (("0=mail", "segment 1 has no arm: .* every segment once, 0 to 1"), ("", "bad value: --policy"),
                              ("0=mail,1=call,0=none", "segment 0 named twice"), ("0=mail,2=call", "no such segment: .*0 to 1"),
                              ("0=mail,1=fax", r"no such arm: --policy 'fax': \S+ has 'none', 'mail', 'call'"),
                              ("0=mail,1=3", "no such arm: --policy '3'"), ("0=mail,1=", "no such arm: --policy ''"),
                              ("0=mail,-1=call", "bad choice: --policy '-1=call'"), ("0=mail,1", "bad choice: --policy '1'"),
                              ("mail=0,1=call", "bad choice"), ("0=mail,,1=call", "no such arm: --policy 'mail,1=call'"),
                              ("0=mail,1=call,", "empty name: --policy"), ("99999999999=mail", "bad choice")):
            self.refused(2, words, path, "--policy", policy, layouts=(1,))
        self.refused(2, "two policies: --policy and --arms", path, "--policy", "0=0,1=1", "--arms", "0,1")
        arm = np.where(self.arm == 2, 0, self.arm)
        self.refused(2, "untried arm: --policy '1=call'", self.file("two.h5", arm=arm), "--policy", "0=none,1=call")

    def test_costs(self):
        path = self.file()
        for costs in ("mail", "mail=", "mail=x", "mail=0x1", "mail=nan", "mail=inf", "mail=1e101", "mail= 1", "mail=1 ", "1"):
            self.refused(2, "bad cost: --arm-costs", path, "--outcome", "visit", "--arm-costs", costs, layouts=(1,))
        self.refused(2, "no such arm: --arm-costs 'fax'", path, "--outcome", "visit", "--arm-costs", "mail=1,fax=2")
        self.refused(2, "no such arm: --arm-costs ''", path, "--outcome", "visit", "--arm-costs", "=2")
        self.refused(2, "arm named twice: --arm-costs", path, "--outcome", "visit", "--arm-costs", "mail=1,1=2")
        self.refused(2, "costs of what outcome: --arm-costs: 2 outcomes .*--outcome", path, "--arm-costs", "mail=1")
        self.ok("boundary", "replay", self.file(outcomes=self.y[:, :1]), "--model", self.tmp / "run" / "model.h5", "--arm-costs",
                "mail=1")

    def test_arms_without_customers(self):
        arm = np.where(self.arm == 2, 0, self.arm)
        path = self.file(arm=arm)
        self.refused(2, "no arm to choose from: --arms 'call'", path, "--arms", "call")

    def test_control_of_the_file(self):
        path = self.file()
        with h5py.File(path, "r+") as f:
            f["arm"].attrs["control"] = "post"
        self.refused(3, r"no such arm: /arm, attribute control 'post': \S+ has 'none', 'mail', 'call'", path)
        self.ok("boundary", "replay", path, "--model", self.tmp / "run" / "model.h5", "--control", "mail")
        with h5py.File(path, "r+") as f:
            f["arm"].attrs["control"] = ["none", "mail"]
        self.refused(3, "wrong number of names: .* attribute control has 2", path)

    def test_models(self):
        self.model(2, 3, "wide")
        self.refused(3, "model of another width: .* 2 features, the model 3", self.file(), model="wide")
        self.model(1, name="one")
        self.refused(4, "one segment", self.file(), model="one")
        self.refused(2, r"moved.h5|output is the input|run", self.file(), "--apply", self.tmp / "run" / "model.h5", "--force")


if __name__ == "__main__":
    t.main()
