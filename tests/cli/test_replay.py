"""`demarc boundary replay` as users type it: tables, JSON and its schema, the example, --apply, --dry-run, a failed campaign."""
import json
import re
import shlex
import subprocess
import unittest

import h5py
import numpy as np

import demarc_testing as t

try:
    import jsonschema
except ImportError:
    jsonschema = None

ROWS = 9000


class Replay(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(4)
        x = np.column_stack([4.0 * rng.integers(-1, 2, ROWS) + rng.normal(size=ROWS), rng.normal(size=ROWS)])
        self.arm = rng.integers(0, 2, ROWS)
        effect = np.where(self.arm == 1, np.where(x[:, 0] < -0.8, 2.0, -2.0), 0.0)
        self.y = np.column_stack([effect + rng.normal(size=ROWS), rng.random(ROWS) < 0.5, x[:, 0]])
        self.x, self.model = x, self.tmp / "run" / "model.h5"
        self.data = self.save("c.h5", self.arm)
        self.ok("fit", self.data, "--segments", 3, "--scale", "none", "--out", self.tmp / "run", "--quiet")

    def save(self, name, arm):
        path = self.write(name, self.x, arm=arm, outcomes=self.y)
        with h5py.File(path, "r+") as f:
            f["arm"].attrs["arm_names"] = ["Control", "mail"]
            f["outcomes"].attrs["outcome_names"] = ["spend", "noise", "F-0"]
        return path

    def replay(self, *options, data=None):
        return self.ok("boundary", "replay", data or self.data, "--model", self.model, *options)

    def left(self):
        """The segment at -4."""
        with h5py.File(self.model) as f:
            return int(np.argmin(f["centroids"][:, 0]))

    def test_tables(self):
        out = self.replay("--shifts", "-0.1,0.1").stdout
        self.assertRegex(out, r"\Asample ratio  chi-squared \S+, 1 degree of freedom, p \S+: passed\n")
        self.assertRegex(out, r"(?m)^ +0  Control +4,\d+ +4500.0  \S+%  control$")
        self.assertEqual(re.findall(r"(?m)^outcome (\S+): 9,000 customers(, 0 or 1)?$", out),
                         [("spend", ""), ("noise", ", 0 or 1"), ("F-0", "")])
        self.assertEqual(len(re.findall(r"EXPLORATORY: feature f0,", out)), 1)
        tests = json.loads(self.replay("--shifts", "-0.1,0.1", "--json").stdout)["tests"]
        self.assertGreater(tests, 10)
        note = f"{tests} tests in all (effects and moves of every outcome), adjusted by Holm, family-wise level 0.05; " \
               "95% intervals, each"
        self.assertEqual(out.count(note), 6)
        self.assertRegex(out, rf"(?m)^ +{self.left()}  widen +\+10%  \+10% of its customers gains ")
        self.assertLessEqual(max(map(len, out.splitlines())), 125)
        out = self.replay("--adjust", "bh", "--alpha", "0.1", "--control", "none").stdout
        self.assertIn("Benjamini and Hochberg, false discovery rate 0.1; 90% intervals", out)
        self.assertIn("no control is named", out)
        self.assertNotIn("policy - control", out)

    def test_failed_campaign(self):
        arm = self.arm.copy()
        arm[:400] = 1
        path = self.save("bad.h5", arm)
        p = self.replay("--apply", self.tmp / "moved.h5", data=path)
        self.assertRegex(p.stdout, r"\Asample ratio .*: FAILED\n\nSTOPPED: no verdict is given. sample ratio: ")
        self.assertRegex(p.stderr, r"warning: nothing applied")
        self.assertFalse((self.tmp / "moved.h5").exists())
        self.assertNotRegex(p.stdout, r"widen|narrow|raises|lowers|gain$")
        share = float(np.mean(arm))
        self.assertNotIn("STOPPED", self.replay("--arm-shares", f"{1 - share},{share}", data=path).stdout)
        self.assertNotIn("STOPPED", self.replay("--srm-alpha", "0", data=path).stdout)

    def test_apply(self):
        moved = self.tmp / "moved.h5"
        p = self.replay("--shifts", "0.05,0.1", "--json", "--apply", moved)
        spend = json.loads(p.stdout)["outcomes"][0]
        best = max((s for s in spend["shifts"] if s["verdict"] == "gain"), key=lambda s: s["aipw"]["value"])
        self.assertEqual((best["segment"], best["tied"]), (self.left(), 0))
        self.ok("assign", self.data, "--model", moved, "--out", self.tmp / "a.h5", "--quiet")
        with h5py.File(self.model) as a, h5py.File(moved) as b, h5py.File(self.tmp / "a.h5") as c:
            offsets = a["offsets"][()]
            offsets[best["segment"]] = best["offset"]
            np.testing.assert_array_equal(b["offsets"][()], offsets)
            size = np.bincount(c["segment"][()], minlength=3)
            np.testing.assert_array_equal(b["size"][()], size)
            self.assertEqual(size[best["segment"]], best["target"])
            self.assertNotEqual(a.attrs["digest"], b.attrs["digest"])
        self.assertIn(f"segment {best['segment']} moved by {100 * best['shift']:+g}%", p.stderr)
        again = self.replay("--shifts", "0.05,0.1", "--json", "--apply", moved, "--resume")
        self.assertIn(f"already finished: {moved}", again.stderr)
        self.assertEqual(again.stdout, p.stdout)
        p = self.replay("--outcome", "noise,spend", "--apply", self.tmp / "none.h5")
        self.assertRegex(p.stderr, r"warning: nothing applied: no move is a significant gain in noise")
        self.assertFalse((self.tmp / "none.h5").exists())

    def test_policy_and_costs_in_words(self):
        out = self.replay("--shifts", "0.1").stdout
        for words in ("costs of arms", "is given", "gross", "that was given"):
            self.assertNotIn(words, out)
        self.assertIn("learnt on the other half", out)
        out = self.replay("--shifts", "0.1", "--outcome", "spend", "--policy", "0=mail,1=Control,2=mail", "--arm-costs",
                          "mail=0.125").stdout
        self.assertRegex(out, r"(?m)^ +1  mail +4,\d+ +4500.0  \S+% +0.125$")
        self.assertIn("the policy is given (--policy), not learnt", out)
        self.assertNotIn("learnt on the other half", out)
        self.assertEqual(out.count("  gross: the costs of arms are not taken off\n"), 2)
        self.assertEqual(out.count("  net of the costs of arms\n"), 2)
        out = self.replay("--policy", "0=mail,1=mail,2=mail").stdout
        self.assertRegex(out, r"(?m)^ +0  Control .*control, not in the policy$")
        self.assertNotIn("costs of arms", out)

    def test_order_of_outcomes(self):
        found = json.loads(self.replay("--outcome", "noise,spend", "--json").stdout)
        self.assertEqual([o["name"] for o in found["outcomes"]], ["noise", "spend"])

    def test_dry_run(self):
        before = sorted(self.tmp.iterdir())
        p = self.replay("--dry-run", "--apply", self.tmp / "moved.h5")
        self.assertEqual(p.stdout, "dry run, nothing computed\n")
        self.assertIn("18 moves", p.stderr)
        self.assertEqual(json.loads(self.replay("--dry-run", "--json").stdout),
                         {"command": "boundary replay", "dry_run": True})
        self.assertEqual(sorted(self.tmp.iterdir()), before)

    def test_example(self):
        help_text = self.ok("boundary", "replay", "--help").stdout
        self.assertLessEqual(len(help_text.splitlines()), 100)
        lines = [s.strip() for s in help_text.split("\nExample:\n", 1)[1].splitlines() if s.startswith("  ")]
        self.assertEqual(len(lines), 4)
        for line in lines:
            p = subprocess.run([t.DEMARC, *shlex.split(line)[1:]], cwd=self.tmp, capture_output=True, text=True)
            self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn("outcome visit", p.stdout)

    @unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
    def test_schema(self):
        schema = json.loads((t.SOURCE / "src/report/schema/replay.schema.json").read_text(encoding="utf-8"))
        validator = jsonschema.Draft202012Validator(schema)
        arm = self.arm.copy()
        arm[:400] = 1
        for options, data in (((), None), (("--shifts", "5,-0.1,-0.999"), None), ((), self.save("bad.h5", arm)),
                              (("--outcome", "noise", "--policy", "0=0,1=1,2=0", "--arm-costs", "1=2"), None),
                              (("--control", "none", "--seed", 2**64 - 1), None)):
            found = json.loads(self.replay("--json", *options, data=data).stdout)
            self.assertEqual([f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(found)], [])
        for key in list(found):
            self.assertFalse(validator.is_valid({k: v for k, v in found.items() if k != key}), key)
            self.assertFalse(validator.is_valid(found | {"more": 1}))


if __name__ == "__main__":
    t.main()
