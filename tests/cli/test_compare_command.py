"""`demarc compare` as people see it: the tables say what the document says, with tests, adjustment and intervals beside them."""
import json
import re

import demarc_testing as t


class Tables(t.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        case = cls("test_help")
        case.setUp()
        cls.addClassCleanup(case.doCleanups)
        data = case.tmp / "customers.h5"
        case.ok("generate", data, "--customers", 6000, "--features", 5, "--segments", 3, "--outcomes", "--quiet")
        case.ok("fit", data, "--segments", 3, "--out", case.tmp / "old", "--names", "1=Loyal people", "--quiet")
        case.ok("fit", data, "--segments", 4, "--out", case.tmp / "new", "--scale", "robust", "--quiet")
        cls.arguments = ["compare", case.tmp / "old", case.tmp / "new"]
        cls.document = json.loads(case.ok(*cls.arguments, "--json").stdout)
        cls.text = case.ok(*cls.arguments).stdout

    def row(self, *cells):
        """One line holds these cells in this order."""
        words = r"\s+".join(re.escape(str(c)) for c in cells)
        self.assertRegex(self.text, rf"(?m)^\s*{words}(\s|$)")

    def test_segments(self):
        for s in self.document["segments"]:
            self.row("-" if s["old"] is None else s["old"], "-" if s["new"] is None else s["new"], s["status"],
                     f"{s['old_size']:,}", f"{s['new_size']:,}", f"{s['common']:,}", f"{s['jaccard']:.3f}", s["name"])
        self.assertIn("Loyal people", self.text)
        self.assertEqual({s["name"] for s in self.document["segments"] if s["old"] == 1}, {"Loyal people"})

    def test_migration_and_moves(self):
        m, d = self.document["migration"], self.document["decomposition"]
        for i, (row, left) in enumerate(zip(m["counts"], m["left"])):
            self.row(i, *[f"{v:,}" for v in row], left)
        cells = []
        for part in ("customer_changed", "scaling_changed", "model_changed"):
            cells += [f"{d[part]:,}", f"{100 * d[part] / d['moved']:.1f}%"]
        self.row("all", f"{d['moved']:,}", *cells)
        self.assertIn(f"({100 * m['moved_share']:.1f}% of the common ones)", self.text)

    def test_drift_and_calibration(self):
        drift, calibration = self.document["drift"], self.document["calibration"]
        for f in drift["features"]:
            self.row(f["feature"], f"{f['old_mean']:.6g}", f"{f['new_mean']:.6g}", f"{f['psi']:.4f}")
        self.assertIn(f"{drift['tests']} tests in all, adjusted by holm, level 0.05", self.text)
        self.assertIn("none shown: 5 of 5 features", self.text)
        for r in calibration["segments"]:
            self.row(r["segment"], r["outcome"], f"{r['expected']:.6g}", f"{r['actual']:.6g}", f"{r['difference']:+.4g}",
                     f"[{r['low']:.4g}, {r['high']:.4g}]", f"{r['customers']:,}")
        self.assertIn(f"{calibration['tests']} tests, adjusted by holm, level 0.05", self.text)
        self.assertIn("95% intervals", self.text)
        self.assertIn("observational", self.text)
        for a in calibration["advice"]:
            self.assertIn(a["why"], self.text)
        self.assertIn(f"{calibration['merge_tests']} pairs of segments tested", self.text)

    def test_help(self):
        lines = self.ok("compare", "--help").stdout.splitlines()
        self.assertLessEqual(len(lines), 100)
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_quiet(self):
        self.assertEqual(self.ok(*self.arguments, "--quiet").stderr, "")


if __name__ == "__main__":
    t.main()
