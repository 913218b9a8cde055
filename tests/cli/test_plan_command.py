"""`demarc boundary plan` as users type it: the table, JSON and its schema, help and its example."""
import json
import re
import subprocess

import numpy as np

import demarc_testing as t
import test_schema
import test_usage


class Plan(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(5)
        x = rng.normal(size=(12000, 2))
        x[:, 0] += 6 * (np.arange(12000) % 3)
        self.data = self.write("c.h5", x, outcomes=rng.normal(50, 10, (12000, 1)))
        self.ok("fit", self.data, "--segments", 3, "--scale", "none", "--out", self.tmp / "run", "--quiet")

    def plan(self, *options):
        return self.ok("boundary", "plan", self.data, "--model", self.tmp / "run" / "model.h5", "--out",
                       self.tmp / "plan", "--effect", 3, *options)

    def test_table(self):
        out = self.plan().stdout
        plan = json.loads((self.tmp / "plan" / "plan.json").read_text())
        rows = re.findall(r"(?m)^(\d-\d) +([\d,]+) +\S+ +\S+ +\S+ +(\d) +([\d,]+) +([\d,]+) +([\d,]+) +\S+ +[01]\.\d{3}$", out)
        want = [("-".join(map(str, b["segments"])), f"{b['facet_customers']:,}", str(s["segment"]),
                 *(f"{s[key]:,}" for key in ("customers", "keep", "switch")))
                for b in plan["boundaries"] for s in b["sides"]]
        self.assertEqual(rows, want)
        self.assertEqual(len(rows), plan["tests"])
        self.assertLessEqual(max(map(len, out.splitlines())), 160)
        keep, switch = (sum(s[arm] for b in plan["boundaries"] for s in b["sides"]) for arm in ("keep", "switch"))
        self.assertIn(f"\n{plan['customers']:,} customers take part: {keep:,} keep their segment, {switch:,} are treated", out)
        self.assertRegex(out, rf"(?m)^{plan['tests']} tests, .*family-wise level 0\.05 by Bonferroni, the first step of Holm")
        self.assertRegex(out, r"(?m)^plan +\S+/plan/plan\.json$")

    def test_json(self):
        for options in ((), ("--band", 0.4), ("--dry-run",)):
            p = self.plan("--force", *options, "--json")
            document = test_schema.strict_json(p.stdout)
            if test_schema.jsonschema is not None:
                test_schema.Schemas.check(self, "plan", document)
            self.assertEqual(document["band_share"], None if "--band" in options else 0.2)

    def test_help_and_example(self):
        text = self.ok("boundary", "plan", "--help").stdout
        test_usage.Help.check(self, text)
        self.assertRegex(self.ok("boundary", "--help").stdout, r"(?m)^  plan +\w")
        folder = self.tmp / "bin"
        folder.mkdir()
        (folder / "demarc").symlink_to(t.DEMARC)
        p = subprocess.run(["sh", "-ec", f'PATH="{folder}:$PATH"\n' + "\n".join(test_usage.example_of(text))], cwd=self.tmp,
                           capture_output=True, text=True, timeout=300)
        self.assertEqual(p.returncode, 0, p.stdout + p.stderr)
        self.assertIn("\nswitch share     0.5\n", p.stdout)


if __name__ == "__main__":
    t.main()
