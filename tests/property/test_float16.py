"""Features stored as float16: the same answer as float32 of the same values, however they are stored, held and read."""
import json

import numpy as np

import demarc_testing as t

BLOCK = 4096
N, D = 5 * BLOCK + 1234, 11


def customers():
    rng = np.random.default_rng(16)
    centres = rng.normal(size=(5, D)) * 4
    x = (centres[rng.integers(0, 5, N)] + rng.normal(size=(N, D))).astype(np.float16)
    x[::7, 3] = np.float16(3 * 2.0**-24)  # subnormal
    x[1::7, 3] = np.float16(-0.0)
    x[2::7, 3] = np.float16(65504)  # the largest
    return x


class Float16(t.Case):
    # file: dtype, options of the dataset
    WAYS = {
        "contiguous": ("<f2", {}),
        "big-endian": (">f2", {}),
        "gzip": ("<f2", {"chunks": (1000, D), "compression": "gzip", "shuffle": True}),
        "odd chunks, big-endian": (">f2", {"chunks": (777, 5)}),
        "float32": ("<f4", {}),
    }

    def store(self, x, way, **columns):
        dtype, options = self.WAYS[way]
        return self.write(f"{way.replace(' ', '_')}.h5", x.astype(dtype), options=options, **columns)

    def fit(self, data, *options, **layout):
        out = self.tmp / "run"
        self.ok("fit", data, "--segments", 5, "--out", out, "--force", "--quiet", *options, **layout)
        manifest = json.loads((out / "manifest.json").read_text())
        found = self.results(out)
        answer = {k: v.tolist() if v.dtype == object else v.tobytes() for k, v in found.items()
                  if k not in ("attrs", "diagnostics")}
        return answer | {"digest": manifest["result"]["digest"]}, manifest

    def differences(self, answer, want):
        """Names of what differs: the contents are far too long to be shown."""
        return sorted(k for k in answer.keys() | want.keys() if answer.get(k) != want.get(k))

    def same(self, x, *options, **columns):
        """Every way to store and hold x gives the answer of the float32 file; returns the manifests' inputs."""
        want, first = self.fit(self.store(x, "float32", **columns), *options)
        self.assertEqual(first["layout"]["store"], "f32")
        layouts = [(ranks, threads) for ranks in (1, 2, 3) for threads in (1, 2)]
        digests = set()
        for i, way in enumerate(w for w in self.WAYS if w != "float32"):
            data = self.store(x, way, **columns)
            for j, (store, limit) in enumerate((("auto", ()), ("f16", ()), ("f32", ()), ("auto", ("--memory-limit", "1M")))):
                ranks, threads = layouts[(i + 2 * j) % 6]
                answer, manifest = self.fit(data, "--store", store, *limit, *options, ranks=ranks, threads=threads)
                with self.subTest(way=way, store=store, limit=limit, ranks=ranks, threads=threads):
                    self.assertEqual(self.differences(answer, want), [])
                    self.assertEqual(manifest["options"]["store"], store)
                    self.assertEqual(manifest["layout"]["store"],
                                     None if limit else "f32" if store == "f32" else "f16")
                digests.add(manifest["input"]["digest"])
        self.assertEqual(len(digests), 1)  # of the halves, in whatever order their bytes are stored
        self.assertNotEqual(digests, {first["input"]["digest"]})
        return want

    def test_defaults(self):
        self.same(customers())

    def test_weights_and_lloyd(self):
        w = np.random.default_rng(1).integers(0, 4, N).astype(np.float16)
        plain, _ = self.fit(self.store(customers(), "float32"), "--algorithm", "lloyd", "--seed", 3)
        weighted = self.same(customers(), "--algorithm", "lloyd", "--seed", 3, weight=w)
        self.assertNotEqual(plain["digest"], weighted["digest"])

    def test_missing_and_log1p(self):
        x = np.abs(customers())
        x[5::11, 2] = np.nan
        self.same(x, "--missing", "mean", "--log1p", "f1,f4", "--scale", "robust", "--init", "random", "--restarts", 2)

    def test_every_layout(self):
        x = customers()
        want, _ = self.fit(self.store(x, "float32"))
        data = self.store(x, "contiguous")
        for ranks in (1, 2, 3):
            for threads in (1, 2):
                for kernel in ("ref", "auto"):
                    answer, _ = self.fit(data, "--kernel", kernel, ranks=ranks, threads=threads)
                    self.assertEqual(self.differences(answer, want), [], (ranks, threads, kernel))

    def test_other_commands(self):
        x = customers()
        names = [f"column {i}" for i in range(D)]
        run = self.tmp / "run"
        self.fit(self.write("named.h5", x, names=names))
        self.ok("verify", run)
        swapped = self.write("swapped.h5", x[:, ::-1], names=names[::-1])
        digest = [json.loads(self.ok("assign", data, "--model", run / "model.h5", "--out", self.tmp / "a.h5", "--force",
                                     "--json").stdout)["digest"] for data in (self.tmp / "named.h5", swapped)]
        self.assertEqual(digest[0], digest[1])
        info = json.loads(self.ok("info", swapped, "--json").stdout)
        self.assertEqual(info["type"], "float16")
        column = info["features"][0]
        self.assertEqual(column["min"], float(x[:, -1].min()))
        self.assertEqual(column["max"], float(x[:, -1].max()))

    def test_bad_values(self):
        for value, words in ((np.inf, "infinite values"), (-np.inf, "infinite values"), (np.nan, "missing values")):
            x = customers()
            x[4097, 2] = value
            for way in ("contiguous", "gzip"):
                data = self.store(x, way)
                for options in ((), ("--store", "f32"), ("--memory-limit", "1M")):
                    self.fails(3, rf"{words}.*row 4097 column 2 \(f2\), 1 in all", "fit", data, "--segments", 2,
                               "--out", self.tmp / "none", *options)

    def test_f16_of_other_types_is_refused(self):
        for dtype in ("f4", "f8", "i2", "u1"):
            data = self.write("other.h5", np.abs(customers()[:, :2]).astype(np.float32).clip(0, 100).astype(dtype))
            for ranks in (1, 2):
                self.fails(2, r"not float16: --store f16: .*other.h5, /features is \w+, .*use --store auto", "fit", data,
                           "--segments", 2, "--out", self.tmp / "none", "--store", "f16", ranks=ranks)
            self.assertFalse((self.tmp / "none").exists())

    def test_other_two_byte_floats_are_refused(self):
        import h5py
        path = self.tmp / "bfloat16.h5"
        kind = h5py.h5t.IEEE_F32LE.copy()
        kind.set_fields(15, 7, 8, 0, 7)
        kind.set_precision(16)
        kind.set_size(2)
        with h5py.File(path, "w") as f:
            space = h5py.h5s.create_simple((100, 2))
            h5py.h5d.create(f.id, b"features", kind, space).write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones((100, 2), "f4"))
        self.fails(3, r"wrong type: .*float16 \(not IEEE 754\)", "info", path)

    def test_memory(self):
        """The peak of an f16 fit is at most half the float32 shard, 10% and 300 MB; that of an f32 fit is above its shard."""
        n, d = 2_500_000, 64
        x = np.random.default_rng(2).standard_normal((1 << 16, d), dtype=np.float32).astype(np.float16)
        import h5py
        path = self.tmp / "large.h5"
        with h5py.File(path, "w") as f:
            f.create_dataset("features", (n, d), "<f2")
            for at in range(0, n, len(x)):
                f["features"][at:at + len(x)] = x[:min(len(x), n - at)]
        peak = {}
        for store in ("f16", "f32"):
            _, manifest = self.fit(path, "--store", store, "--max-iterations", 1, "--polish", 0, threads=2)
            peak[store] = max(manifest["peak_memory_bytes_per_rank"])
        shard = 4 * n * d
        self.assertGreater(peak["f32"], shard)
        self.assertLess(peak["f16"], 0.5 * shard * 1.1 + 300e6)


if __name__ == "__main__":
    t.main()
