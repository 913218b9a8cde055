"""demarc select: the same bytes for any ranks, threads and memory; weights are repetitions of rows as far as fits go."""
import json

import numpy as np

from demarc_testing import Case, main, run

QUICK = ("--replicates", 4, "--gap-draws", 3, "--halvings", 3, "--json", "--quiet")


class Layout(Case):
    def test_ranks_and_threads(self):
        """All customers in the sample: n not a multiple of a block, with weights (some 0) and reach."""
        rng = np.random.default_rng(4)
        n = 9000
        x = rng.normal(size=(n, 3)) + 4 * rng.integers(0, 3, n)[:, None]
        path = self.write("x.h5", x, weight=rng.integers(0, 3, n).astype(float),
                          reachable=(rng.random((n, 2)) < 0.6).astype("u1"))
        first = self.ok("select", path, "--segments", "1:5", *QUICK, threads=1).stdout
        for ranks, threads in ((1, 2), (2, 1), (2, 2), (3, 1)):
            with self.subTest(ranks=ranks, threads=threads):
                self.assertEqual(self.ok("select", path, "--segments", "1:5", *QUICK, ranks=ranks, threads=threads).stdout,
                                 first)
        self.assertEqual(self.ok("select", path, "--segments", "1:5", *QUICK, "--memory-limit", "1M").stdout, first)
        self.assertGreater(json.loads(first)["per_k"][2]["reachable_share"], 0.7)

    def test_large_file(self):
        """A sample of the customers; ranks that hold none of them; streamed."""
        path = self.tmp / "x.h5"
        self.ok("generate", path, "--customers", 70000, "--features", 4, "--segments", 3, "--quiet")
        quick = ("--replicates", 1, "--gap-draws", 2, "--halvings", 1, "--json", "--quiet")
        first = self.ok("select", path, "--segments", "3:4", *quick, threads=2).stdout
        self.assertEqual(json.loads(first)["sample"]["customers"], 32768)
        self.assertEqual(json.loads(first)["sample"]["of"], 70000)
        self.assertEqual(self.ok("select", path, "--segments", "3:4", *quick, ranks=3, threads=1).stdout, first)
        self.assertEqual(self.ok("select", path, "--segments", "3:4", *quick, "--memory-limit", "2M").stdout, first)

    def test_fit_over_a_range(self):
        """diagnostics.json with its recommendation, from runs of other layouts."""
        path = self.write("x.h5", np.random.default_rng(1).normal(size=(6000, 2)))
        found = []
        for ranks, threads in ((1, 1), (2, 2), (3, 1)):
            out = self.tmp / f"run{ranks}"
            self.ok("fit", path, "--segments", "2:4", "--out", out, ranks=ranks, threads=threads)
            found.append((out / "diagnostics.json").read_text())
        self.assertEqual(len(set(found)), 1)

    def test_resumed(self):
        """Stopped between search and choice, or behind it: the same bytes."""
        path = self.write("x.h5", np.random.default_rng(1).normal(size=(6000, 2)))
        out = self.tmp / "run"
        self.ok("fit", path, "--segments", "2:4", "--out", out)
        whole = (out / "diagnostics.json").read_text()
        stopped = 0
        for edges in (1, 5, 9, 14, 18, 22, 26):
            again = self.tmp / f"again{edges}"
            p = run("fit", path, "--segments", "2:4", "--out", again, env={"DEMARC_STOP_AFTER": str(edges)})
            stopped += p.returncode == 75
            if p.returncode == 75:
                self.ok("fit", path, "--segments", "2:4", "--out", again, "--resume", threads=1)
            self.assertEqual((again / "diagnostics.json").read_text(), whole)
        self.assertGreater(stopped, 3)


if __name__ == "__main__":
    main()
