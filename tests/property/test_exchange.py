"""Exchanged centroids: many clusters are all found, and by the same bytes on every layout.

Without exchanges one seeding of so many segments leaves some clusters to share a centroid; the objective that a fit must
reach is that of the clusters themselves, in double.
"""
import json

import h5py
import numpy as np

import demarc_testing as t

N, D, K = 100_000, 16, 128
LAYOUTS = [(1, ["--threads", "2"]), (2, ["--threads", "1", "--kernel", "ref"]), (3, ["--threads", "1", "--memory-limit", "2M"]),
           (1, ["--threads", "3", "--kernel", "blas"]), (2, ["--threads", "2", "--memory-limit", "2M"])]


class Exchange(t.Case):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(5)
        share = 1 / np.arange(4, K + 4)  # clusters of 0.2 to 7%
        self.member = rng.choice(K, N, p=share / share.sum())
        self.x = (rng.normal(size=(K, D))[self.member] * 4 + rng.normal(size=(N, D))).astype("f4")
        self.weight = rng.integers(0, 3, N).astype("f4")
        for name, more in (("plain.h5", {}), ("weighted.h5", {"weight": self.weight}), ("light.h5", {"weight": self.weight / 1024})):
            with h5py.File(self.tmp / name, "w") as f:
                f["features"] = self.x
                for key, value in more.items():
                    f[key] = value

    def fit(self, data, seed, out, *more, ranks=1):
        self.ok("fit", self.tmp / data, "--segments", K, "--scale", "none", "--seed", seed, "--out", self.tmp / out, "--force", *more,
                ranks=ranks)
        return json.loads((self.tmp / out / "diagnostics.json").read_text())

    def objective_of_clusters(self, weight):
        x, total = self.x.astype(float), 0.0
        for j in range(K):
            own = self.member == j
            mean = np.average(x[own], axis=0, weights=weight[own])
            total += float((weight[own] * ((x[own] - mean) ** 2).sum(1)).sum())
        return total

    def test_finds_all_clusters(self):
        for data, weight in (("plain.h5", np.ones(N)), ("weighted.h5", self.weight), ("light.h5", self.weight / 1024)):
            wanted = self.objective_of_clusters(weight.astype(float))
            for seed in range(4):
                with self.subTest(data=data, seed=seed):
                    found = self.fit(data, seed, "out")
                    self.assertLess(found["objective"], 1.0001 * wanted)

    def test_lowers_the_objective(self):
        """Each round is followed by passes; none of them ends above what the round began with."""
        found = self.fit("plain.h5", 0, "out", "--tolerance", "0")
        passes = found["passes"]
        rounds = [i for i, p in enumerate(passes) if p["phase"] == "exchange"]
        self.assertGreater(len(rounds), 0)
        self.assertGreater(passes[rounds[0]]["shift"], 0, "no centroid was exchanged")
        for i in rounds:
            self.assertLessEqual(passes[i + 1]["objective"], passes[i]["objective"] * (1 + 1e-12))

    def test_same_bytes(self):
        for data in ("plain.h5", "weighted.h5"):
            digests = set()
            for ranks, more in LAYOUTS:
                found = self.fit(data, 1, "out", *more, ranks=ranks)
                digests.add((found["digest"], json.dumps(found["passes"])))
            self.assertEqual(len(digests), 1, data)


if __name__ == "__main__":
    t.main()
