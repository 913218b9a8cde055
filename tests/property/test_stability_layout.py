"""Stability gives the same bytes on every layout: ranks, threads, held or streamed; and for every order of the rows."""
import itertools
import json

import h5py
import numpy as np

import demarc_testing as t

LAYOUTS = list(itertools.product((1, 2, 3), (1, 2), ((),))) + [(2, 2, ("--memory-limit", "1M")),
                                                               (1, 1, ("--kernel", "ref"))]


def blobs(rng, n, d, groups):
    centre = rng.normal(size=(groups, d)) * 1.5
    return (centre[rng.integers(0, groups, n)] + rng.normal(size=(n, d))).astype(np.float32)


class Layout(t.Case):
    def same_everywhere(self, path, k, *options):
        self.ok("fit", path, "--segments", k, "--out", self.tmp / "run", "--quiet")
        model, first = self.tmp / "run" / "model.h5", None
        for i, (ranks, threads, more) in enumerate(LAYOUTS):
            out, table = self.tmp / f"s{i}.json", self.tmp / f"p{i}.h5"
            p = self.ok("stability", path, "--model", model, "--json", "--out", out, "--probabilities", table, *options,
                        *more, ranks=ranks, threads=threads)
            self.assertEqual(out.read_text(), p.stdout)
            got = (p.stdout, table.read_bytes())
            first = first or got
            self.assertEqual(got[0], first[0], (ranks, threads, more))
            self.assertEqual(got[1], first[1], (ranks, threads, more))
        return json.loads(first[0])

    def test_a_sample_weights_and_text_ids(self):
        """Shared passes over all: the sample is a part (over 65,536 customers), weights, several blocks, the last not full."""
        rng = np.random.default_rng(1)
        x = blobs(rng, 66003, 5, 4)
        weight = rng.gamma(1.0, 1.0, len(x)).astype(np.float32)
        weight[rng.random(len(x)) < 0.1] = 0
        ids = rng.permutation(np.array([f"c{i}" if i % 3 else f"customer-{i:07d}" for i in range(len(x))], dtype="S"))
        got = self.same_everywhere(self.write("x.h5", x, weight=weight, id=ids), 4, "--replicates", 6, "--polish", 1,
                                   "--across", "3:5")
        self.assertLess(got["sample"]["customers"], len(x))

    def test_few_rows(self):
        """Ranks without rows; more replicates than one group of 64."""
        rng = np.random.default_rng(2)
        self.same_everywhere(self.write("x.h5", blobs(rng, 400, 17, 3)), 3, "--replicates", 70, "--polish", 1,
                             "--across", "1:3")

    def test_order_of_rows(self):
        """The same customers in another order have the same weights: the shared passes give nearly the same."""
        rng = np.random.default_rng(3)
        x, ids = blobs(rng, 3000, 3, 3), np.arange(3000) * 7919 % 3001
        found = []
        for order in (np.arange(3000), rng.permutation(3000)):
            path = self.write(f"x{len(found)}.h5", x[order], id=ids[order], names=["a", "b", "c"])
            if not found:
                self.ok("fit", path, "--segments", 3, "--out", self.tmp / "run", "--quiet")
            table = self.tmp / f"p{len(found)}.h5"
            p = self.ok("stability", path, "--model", self.tmp / "run" / "model.h5", "--json", "--replicates", 10,
                        "--polish", 30, "--probabilities", table)
            with h5py.File(table) as f:
                found.append((json.loads(p.stdout), f["probability"][()][np.argsort(order)]))
        for a, b in zip(found[0][0]["segments"], found[1][0]["segments"]):
            self.assertLess(abs(a["jaccard"]["mean"] - b["jaccard"]["mean"]), 0.005)
        for a, b in zip(*(f[0]["adjusted_rand"]["replicates"] for f in found)):
            self.assertLess(abs(a - b), 0.02)  # the replicates themselves, one by one
        self.assertGreater((np.abs(found[0][1] - found[1][1]).max(1) < 1e-6).mean(), 0.98)


if __name__ == "__main__":
    t.main()
