"""Files above twice the first mini-batch are seeded and learnt from a nested sample: any layout draws the same strips of
rows, doubles the sample in the same passes, and rare customers count."""
import json
import re

import numpy as np

from demarc_testing import Case, main

ROWS = 600_000  # more than twice what the first mini-batch of few segments holds (131,072)


class LargeSeed(Case):
    def fit(self, data, name, *args, **kw):
        self.ok("fit", data, "--out", self.tmp / name, "--quiet", *args, **kw)
        manifest = json.loads((self.tmp / name / "manifest.json").read_text())
        return manifest["result"]["digest"], manifest["layout"]["streamed"]

    def same_everywhere(self, data, *options):
        """One digest for ranks, threads, kernels, held or streamed; the result of one of the runs."""
        digest, streamed = self.fit(data, "one", "--force", *options, threads=2)
        self.assertFalse(streamed)
        self.assertEqual(self.fit(data, "three", "--force", *options, ranks=3, threads=1), (digest, False))
        self.assertEqual(self.fit(data, "streamed", "--force", *options, "--memory-limit", "8M", ranks=2, threads=2),
                         (digest, True))
        self.assertEqual(self.fit(data, "ref", "--force", *options, "--kernel", "ref", threads=1), (digest, False))
        return self.results(self.tmp / "one")

    def test_layouts(self):
        """Sorted by the feature that separates the segments: a sample from one end would miss most of them."""
        rng = np.random.default_rng(5)
        x = np.sort(rng.integers(0, 5, ROWS)) * 10.0 + rng.normal(size=ROWS)
        data = self.write("sorted.h5", np.column_stack([x, rng.normal(size=ROWS)]).astype(np.float32))
        options = ("--segments", 5, "--scale", "none", "--max-iterations", 4)
        for first in (0, 2000):  # automatic: two levels; from 2000 rows on: eight
            sizes = self.same_everywhere(data, *options, "--batch-size", first)["size"]
            self.assertTrue((abs(sizes / ROWS - 0.2) < 0.01).all(), sizes)

    def test_layouts_with_weights(self):
        """Segments that overlap, weights (0 among them) and restarts, each of which draws a sample of its own."""
        rng = np.random.default_rng(6)
        n = 100_001
        x = rng.normal(size=(8, 6))[rng.integers(0, 8, n)] + rng.normal(size=(n, 6))
        data = self.write("weights.h5", x.astype(np.float32), weight=rng.integers(0, 4, n).astype(np.float32))
        self.same_everywhere(data, "--segments", 8, "--restarts", 2, "--batch-size", 1000, "--max-iterations", 30)

    def test_which_files(self):
        """A file of twice the first mini-batch is large, one of a row less is not; each batch is twice the one before."""
        rng = np.random.default_rng(7)
        for n, batches in ((2047, []), (2048, [1024]), (9000, [1024, 2048, 4096])):
            data = self.write(f"{n}.h5", rng.normal(size=(n, 3)).astype(np.float32))
            p = self.ok("fit", data, "--segments", 4, "--batch-size", 1024, "--verbose", "--out", self.tmp / str(n))
            self.assertEqual([int(m) for m in re.findall(r"mini-batch of (\d+) rows", p.stderr)], batches, p.stderr)

    def test_rare_customers(self):
        """Two customers differ from all others: hardly any sample holds them, but three segments can be had."""
        x = np.zeros((ROWS, 2), dtype=np.float32)
        x[234567] = 5.0
        x[500001] = -7.0
        data = self.write("rare.h5", x)
        self.fit(data, "three", "--segments", 3, "--scale", "none")
        self.assertEqual(sorted(self.results(self.tmp / "three")["size"]), [1, 1, ROWS - 2])
        self.fails(4, "4 segments asked, 3 distinct customers", "fit", data, "--segments", 4, "--scale", "none", "--out",
                   self.tmp / "four")


if __name__ == "__main__":
    main()
