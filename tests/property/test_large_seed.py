"""Files of over two million rows are seeded from a sample of blocks: any layout draws the same, and rare customers count."""
import json

import numpy as np

from demarc_testing import Case, main

ROWS = 2_150_000  # more than 512 blocks of 4096


class LargeSeed(Case):
    def fit(self, data, name, *args, **kw):
        self.ok("fit", data, "--out", self.tmp / name, "--quiet", *args, **kw)
        manifest = json.loads((self.tmp / name / "manifest.json").read_text())
        return manifest["result"]["digest"], manifest["layout"]["streamed"]

    def test_layouts(self):
        """Sorted by the feature that separates the segments: a sample from one end would miss most of them."""
        rng = np.random.default_rng(5)
        x = np.sort(rng.integers(0, 5, ROWS)) * 10.0 + rng.normal(size=ROWS)
        data = self.write("sorted.h5", np.column_stack([x, rng.normal(size=ROWS)]).astype(np.float32))
        options = ("--segments", 5, "--scale", "none", "--max-iterations", 4)
        digest, streamed = self.fit(data, "one", *options, threads=2)
        self.assertFalse(streamed)
        self.assertEqual(self.fit(data, "three", *options, ranks=3, threads=1), (digest, False))
        self.assertEqual(self.fit(data, "streamed", *options, "--memory-limit", "8M", ranks=2, threads=2), (digest, True))
        self.assertEqual(self.fit(data, "ref", *options, "--kernel", "ref", threads=1), (digest, False))
        sizes = self.results(self.tmp / "one")["size"]
        self.assertTrue((abs(sizes / ROWS - 0.2) < 0.01).all(), sizes)

    def test_rare_customers(self):
        """Two customers differ from all others: hardly any sample holds them, but three segments can be had."""
        x = np.zeros((ROWS, 2), dtype=np.float32)
        x[1234567] = 5.0
        x[2000001] = -7.0
        data = self.write("rare.h5", x)
        self.fit(data, "three", "--segments", 3, "--scale", "none")
        self.assertEqual(sorted(self.results(self.tmp / "three")["size"]), [1, 1, ROWS - 2])
        self.fails(4, "4 segments asked, 3 distinct customers", "fit", data, "--segments", 4, "--scale", "none", "--out",
                   self.tmp / "four")


if __name__ == "__main__":
    main()
