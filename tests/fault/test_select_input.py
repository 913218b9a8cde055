"""demarc select and bad input: one line, the right exit code, nothing left behind."""
import json

import numpy as np

from demarc_testing import Case, main, run


class Input(Case):
    def setUp(self):
        super().setUp()
        self.x = self.write("x.h5", np.random.default_rng(1).normal(size=(300, 2)))

    def select(self, *more, data=None):
        return ("select", data or self.x, "--replicates", 2, "--gap-draws", 2, "--halvings", 2, *more)

    def test_usage(self):
        for code, pattern, args in (
                (2, "--segments", ("select", self.x)),
                (2, "segments", ("select", self.x, "--segments", "5:2")),
                (2, "--gap-draws", ("select", self.x, "--segments", "2:3", "--gap-draws", 1)),
                (2, "--replicates", ("select", self.x, "--segments", "2:3", "--replicates", -1)),
                (2, "--halvings", ("select", self.x, "--segments", "2:3", "--halvings", "x")),
                (2, "--init", ("select", self.x, "--segments", "2:3", "--init", "centres.h5")),
                (2, "share", ("select", self.x, "--segments", "2:3", "--min-segment-share", 0.6)),
                (3, "none.h5", ("select", self.tmp / "none.h5", "--segments", "2:3"))):
            with self.subTest(args):
                self.fails(code, pattern, *args)

    def test_output(self):
        out = self.tmp / "select.json"
        self.ok(*self.select("--segments", "2:3", "--out", out))
        first = out.read_text()
        self.assertEqual(self.ok(*self.select("--segments", "2:3", "--json")).stdout, first)
        self.fails(2, "exists", *self.select("--segments", "2:3", "--out", out))
        self.ok(*self.select("--segments", "2:4", "--out", out, "--force"))
        self.assertNotEqual(out.read_text(), first)
        self.fails(2, "x.h5", *self.select("--segments", "2:3", "--out", self.x, "--force"))
        self.fails(5, "nowhere", *self.select("--segments", "2:3", "--out", self.tmp / "nowhere" / "a.json"))
        self.ok(*self.select("--segments", "2:3", "--out", self.tmp / "dry.json", "--dry-run"))
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), ["select.json", "x.h5"])

    def test_fewer_customers_than_segments(self):
        """Numbers of segments that cannot be had are told as such; where none can be had that is the error."""
        few = self.write("few.h5", np.repeat(np.arange(4.0), 20)[:, None])
        rows = json.loads(self.ok(*self.select("--segments", "2:6", "--json", data=few)).stdout)["per_k"]
        self.assertEqual([row["failed"] is None for row in rows], [True, True, True, False, False])
        self.assertTrue(all(row["reasons"] for row in rows[3:]))
        self.assertIsNone(rows[4]["objective"])
        self.fails(4, "no k can be fitted", *self.select("--segments", "5:6", "--out", self.tmp / "o.json", data=few))
        self.assertFalse((self.tmp / "o.json").exists())

    def test_tiny_files(self):
        """Halves and replicates with fewer customers than segments say nothing; the rest is told."""
        x = self.write("tiny.h5", np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [11.0]]))
        rows = json.loads(self.ok(*self.select("--segments", "1:6", "--json", data=x)).stdout)["per_k"]
        self.assertEqual([row["failed"] for row in rows], [None] * 6)
        self.assertIsNone(rows[3]["prediction_strength"])
        self.assertIsNotNone(rows[1]["prediction_strength"])
        weight = np.zeros(40)
        weight[:5] = 1
        x = self.write("weights.h5", np.arange(40.0)[:, None] ** 2, weight=weight)
        rows = json.loads(self.ok(*self.select("--segments", "2:4", "--json", data=x)).stdout)["per_k"]
        self.assertEqual([row["failed"] for row in rows], [None] * 3)

    def test_bad_values_on_many_ranks(self):
        x = np.zeros((9000, 2))
        x[8999, 1] = np.nan
        path = self.write("nan.h5", x)
        self.fails(3, "row 8999", "select", path, "--segments", "2:3", ranks=3)


class Stop(Case):
    def test_is_not_saved(self):
        """A library's caller may ask it to stop; there is nothing of a selection to save."""
        self.ok("generate", self.tmp / "in.h5", "--customers", 2000, "--features", 3, "--quiet")
        for stop in (1, 2, 5):
            p = run("select", self.tmp / "in.h5", "--segments", "2:3", env={"DEMARC_STOP_AFTER": str(stop)})
            self.assertIn(p.returncode, (0, 75), p.stderr)
            self.assertEqual(sorted(x.name for x in self.tmp.iterdir()), ["in.h5"])


if __name__ == "__main__":
    main()
