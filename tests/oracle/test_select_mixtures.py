"""How often demarc select finds the number of round clouds that a file was drawn from, over a grid of their number,
dimension, distance and sizes. The rule was not fitted to these files, nor are its limits to be: the test prints a table."""
import itertools
import json

import numpy as np

from demarc_testing import Case, main


def mixture(k, d, distance, ratio, n, seed):
    """n customers of k unit-variance clouds whose centres are at least `distance` apart; largest / smallest = ratio."""
    rng = np.random.default_rng([k, d, distance, ratio, seed])
    centres, scale = [], distance * max(1.0, k ** (1 / d))
    while len(centres) < k:
        centre = rng.uniform(-scale, scale, d)
        if all(np.linalg.norm(centre - other) >= distance for other in centres):
            centres.append(centre)
        scale *= 1.01
    share = np.geomspace(1, ratio, k)
    return np.array(centres)[rng.choice(k, n, p=share / share.sum())] + rng.normal(size=(n, d))


class Mixtures(Case):
    def select(self, x):
        path = self.write("x.h5", x)
        p = self.ok("select", path, "--segments", "2:10", "--scale", "none", "--json", "--replicates", 10, "--gap-draws", 8,
                    "--halvings", 8)
        return json.loads(p.stdout)["recommendation"]["k"]

    def test_grid(self):
        right = {}
        for k, d, distance, ratio in itertools.product((1, 2, 3, 5, 8), (2, 6), (4, 6), (1, 4)):
            if k == 1 and (distance, ratio) == (6, 4):
                continue
            found = self.select(mixture(k, d, distance, ratio, 800, 0))
            right.setdefault((k, distance), []).append(found == (k if k > 1 else None))
            print(f"k {k} d {d} distance {distance} ratio {ratio}: {found}", flush=True)
        for (k, distance), hits in sorted(right.items()):
            print(f"k {k} distance {distance}: {sum(hits)} of {len(hits)}")
        for k in (1, 2, 3, 5, 8):  # far apart: nearly always; as near as 4 sd: mostly
            far = right[k, 6]
            self.assertGreaterEqual(sum(far), len(far) - 1, (k, right))
        every = list(itertools.chain(*right.values()))
        self.assertGreaterEqual(sum(every), 0.85 * len(every), right)


if __name__ == "__main__":
    main()
