"""Boundary tests give the same bytes on every layout: ranks, threads, held in memory or streamed."""
import itertools
import json

import numpy as np

import demarc_testing as t

LAYOUTS = [(ranks, threads, memory) for ranks, threads, memory in
           itertools.product((1, 2, 3), (1, 2), ((), ("--memory-limit", "1M")))]


def blobs(rng, n, d, groups):
    """Overlapping groups; several row blocks, the last one not full."""
    centre = rng.normal(size=(groups, d)) * 1.5
    return centre[rng.integers(0, groups, n)] + rng.normal(size=(n, d))


class Sweep(t.Case):
    def outcomes(self, rng, x):
        n = len(x)
        spend = np.exp(rng.normal(size=n)) + x[:, 0]
        spend[rng.random(n) < 0.2] = np.nan
        return np.column_stack([(rng.random(n) < 0.3).astype(float), spend, 1e6 + x[:, 1] + rng.normal(size=n)])

    def same_everywhere(self, path, k, *options, streams=True):
        """Fit once; every layout's JSON and file of critical offsets are those of the first."""
        self.ok("fit", path, "--segments", k, "--out", self.tmp / "run", "--quiet")
        model, first = self.tmp / "run" / "model.h5", None
        for i, (ranks, threads, memory) in enumerate(LAYOUTS):
            out = self.tmp / f"critical{i}.h5"
            p = self.ok("boundary", "sweep", path, "--model", model, "--json", "--out", out, *options, *memory,
                        ranks=ranks, threads=threads)
            got = (p.stdout, out.read_bytes())
            first = first or got
            self.assertEqual(got[0], first[0], (ranks, threads, memory))
            self.assertEqual(got[1], first[1], (ranks, threads, memory))
        if streams:
            log = self.ok("boundary", "sweep", path, "--model", model, "--dry-run", "--memory-limit", "1M").stderr
            self.assertIn("streamed", log)

    def test_weights_and_text_ids(self):
        rng = np.random.default_rng(1)
        x = blobs(rng, 21003, 30, 4).astype(np.float32)
        weight = rng.gamma(1.0, 1.0, len(x)).astype(np.float32)
        weight[rng.random(len(x)) < 0.1] = 0
        ids = rng.permutation(np.array([f"c{i}" if i % 3 else f"customer-{i:07d}" for i in range(len(x))], dtype="S"))
        path = self.write("x.h5", x, weight=weight, id=ids, outcomes=self.outcomes(rng, x))
        self.same_everywhere(path, 4, "--replicates", 150)

    def test_ties(self):
        """Few distinct customers: nearly every cut falls among equals, and ids decide."""
        rng = np.random.default_rng(2)
        x = rng.integers(-1, 2, (9001, 3)).astype(np.float32)[:, np.arange(40) % 3]
        path = self.write("x.h5", x, id=rng.permutation(len(x)).astype(np.int64) - 4000, outcomes=self.outcomes(rng, x))
        self.same_everywhere(path, 3, "--replicates", 70, "--shifts", "-0.5,-0.1,0.3")

    def test_few_rows_and_no_outcomes(self):
        """Ranks without rows."""
        rng = np.random.default_rng(3)
        path = self.write("x.h5", blobs(rng, 300, 3, 3))
        self.same_everywhere(path, 3, "--replicates", 20, streams=False)

    def test_ties_do_not_depend_on_the_order_of_rows(self):
        """The same customers in another order: the same members, so the same counts and means."""
        rng = np.random.default_rng(4)
        x = rng.integers(0, 2, (3000, 3)).astype(np.float32)
        y = np.exp(rng.normal(size=(3000, 1)))  # distinct: another member would show in a mean
        found = []
        for order in (np.arange(3000), rng.permutation(3000)):
            path = self.write(f"x{len(found)}.h5", x[order], id=(np.arange(3000) * 7919 % 3001)[order],
                              outcomes=y[order], names=["a", "b", "c"])
            if not found:
                self.ok("fit", path, "--segments", 3, "--out", self.tmp / "run", "--quiet")
            p = self.ok("boundary", "sweep", path, "--model", self.tmp / "run" / "model.h5", "--json", "--replicates", 0)
            found.append(json.loads(p.stdout)["shifts"])
        for a, b in zip(*found):
            for key in ("target", "offset", "tied", "movers", "with"):
                self.assertEqual(a[key], b[key], (a["segment"], a["shift"], key))
            for key in ("movers", "left", "joined"):
                self.assertAlmostEqual(a["outcomes"][0][key]["value"], b["outcomes"][0][key]["value"], delta=1e-12)
        self.assertGreater(sum(s["tied"] > 0 for s in found[0]), 9)


if __name__ == "__main__":
    t.main()
