"""The same bytes on every layout: ranks, threads, memory, writers, kernels, BLAS cores, and ways to store the input.

A case is one content under one set of options, so it has one right answer; everything else is a factor that must not
change a byte of it. All combinations would be tens of thousands of runs; `design` picks about a hundred such that every
two values of different factors meet at least once, and each case and each way of storing meets every value.
"""
import itertools
import os
import random
import re

import h5py
import numpy as np

import demarc_testing as t

BLOCK = 4096  # rows are handed out in blocks of this many; most lengths here are no multiple of it
BLAS_CORES = {"Prescott": "sse3", "Haswell": "avx2", "SkylakeX": "avx512bw"}  # and the CPU flag each needs


def kernels():
    """Names of the kernel variants, and of those this CPU can run."""
    line = re.search(r"^kernels\s+(.*)$", t.run("--version").stdout, re.M).group(1)
    found = re.findall(r"(\w+)( \(not on this CPU\))?", line)
    return [name for name, missing in found], [name for name, missing in found if not missing]


def blas_cores():
    """OpenBLAS core types that this CPU can run; "default" where that cannot be known."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            flags = set(re.search(r"^flags\s*:(.*)$", f.read(), re.M).group(1).split())
    except (OSError, AttributeError):
        return ["default"]
    flags.add("sse3" if "pni" in flags else "")
    return [core for core, needs in BLAS_CORES.items() if needs in flags]


FACTORS = {
    "ranks": (1, 2, 3, 4, 7),
    "threads": (1, 2, 3),
    "memory": ("held", "streamed"),
    "io": ("mpio", "funnel"),
    "kernel": tuple(kernels()[1]),
    "core": tuple(blas_cores()),
}


# -------------------------------------------------------------------------------------------------- contents

def blobs(seed, n, d, groups, spread):
    """Overlapping groups: near ties, and searches that end in different places when anything differs on the way."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(groups, d)) * spread
    return centre[rng.integers(0, groups, n)] + rng.normal(size=(n, d))


def contents(name):
    """What a case is about: features and the other columns of its customer file."""
    rng = np.random.default_rng(len(name))
    if name == "plain":
        return {"features": blobs(1, 41003, 6, 5, 1.5).astype(np.float32)}
    if name == "lattice":  # symmetric about 0, few values: many in the same place, exactly between two, exactly as far
        half = np.rint(blobs(2, 20000, 5, 6, 1.2) * 2)
        return {"features": rng.permutation(np.vstack([half, -half, 40 * np.eye(5), -40 * np.eye(5)])).astype(np.int16)}
    if name == "fine":  # no float32 holds these: Unix times, cents of large sums
        x = blobs(3, 41100, 5, 4, 1.5)
        x[:, 0] = 1.7e9 + 86400 * x[:, 0]
        x[:, 1] = 1e7 + 0.01 * x[:, 1]
        return {"features": x}
    if name == "weighted":
        weight = rng.gamma(0.7, 1.5, 40500).astype(np.float32)
        weight[rng.random(40500) < 0.1] = 0
        return {"features": blobs(4, 40500, 6, 5, 1.5).astype(np.float32), "weight": weight}
    if name == "holes":
        x = blobs(5, 41003, 6, 5, 1.5).astype(np.float32)
        x[rng.random(x.shape) < 0.05] = np.nan
        return {"features": x}
    if name == "retail":  # skewed, with all that only the diagnostics use, and text ids
        x = np.exp(blobs(6, 10 * BLOCK, 5, 5, 1.0)).astype(np.float32)
        x[rng.random(x.shape) < 0.1] = 0
        n = len(x)
        return {"features": x, "outcomes": rng.gamma(1, 20, (n, 2)), "arm": rng.integers(0, 2, n),
                "reachable": (rng.random((n, 3)) < 0.6).astype(np.uint8),
                "id": np.array([b"customer-%07d" % (7 * i) for i in range(n)])}
    if name == "few":  # one block: all ranks but one have nothing
        return {"features": blobs(7, 150, 4, 4, 2.0).astype(np.float32)}
    if name == "one":
        return {"features": np.array([[3.25, -1.0, 1e6]], dtype=np.float32)}
    if name == "wide":  # several slabs of the reader and several windows of batches
        return {"features": np.rint(blobs(8, 9001, 1030, 4, 0.2) * 3).astype(np.int16)}
    assert name == "long"  # the final pass takes two turns on some ranks and one on the others
    return {"features": blobs(9, 128 * BLOCK + 77, 1, 4, 3.0).astype(np.float32)}


GZIP = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
SINGLE = {  # ways to store the same float32 values
    "contiguous": ("<f4", {}),
    "odd chunks": ("<f4", {"chunks": (1000, 3)}),
    "guessed chunks": ("<f4", {"chunks": True}),
    "gzip": ("<f4", {"chunks": (777, 4), **GZIP}),
    "gzip fletcher32": ("<f4", {"chunks": (2048, 6), "fletcher32": True, **GZIP}),
    "big-endian": (">f4", {}),
    "float64 copy": ("<f8", {}),
    "big-endian float64": (">f8", {"chunks": (5000, 2), **GZIP}),
}
STORED = {
    "plain": SINGLE,
    "lattice": {
        "contiguous": ("<i2", {}),
        "guessed chunks": ("<i2", {"chunks": True}),
        "big-endian": (">i2", {}),
        "int8": ("<i1", {"chunks": (999, 2), **GZIP}),
        "int64": ("<i8", {"chunks": (1000, 3)}),
        "float32": ("<f4", {}),
        "float64 copy": ("<f8", {"chunks": True, **GZIP}),
    },
    "fine": {
        "contiguous": ("<f8", {}),
        "odd chunks": ("<f8", {"chunks": (1000, 3)}),
        "gzip": ("<f8", {"chunks": True, **GZIP}),
        "big-endian": (">f8", {}),
    },
    "weighted": {k: SINGLE[k] for k in ("contiguous", "odd chunks", "gzip", "float64 copy")},
    "holes": {k: SINGLE[k] for k in ("contiguous", "guessed chunks", "gzip", "big-endian", "float64 copy")},
    "retail": {k: SINGLE[k] for k in ("contiguous", "odd chunks", "gzip", "big-endian")},
    "few": {"contiguous": ("<f4", {}), "odd chunks": ("<f4", {"chunks": (7, 3)}), "float64 copy": ("<f8", {})},
    "one": {"contiguous": ("<f4", {}), "gzip": ("<f4", {"chunks": (1, 2), **GZIP})},
    "wide": {"contiguous": ("<i2", {}), "gzip": ("<i4", {"chunks": (1000, 300), "compression": "gzip"})},
    "long": {"contiguous": ("<f4", {}), "odd chunks": ("<f4", {"chunks": (10000, 1)})},
}


# -------------------------------------------------------------------------------------------------- cases

# Searches are cut short (--polish, --max-iterations) where a converged one could hide that it went another way.
BATCH = "--batch-size 2048"
CASES = {
    "defaults": ("plain", f"--segments 5 {BATCH}"),
    "unpolished": ("plain", f"--segments 6 {BATCH} --polish 0 --seed 3"),
    "lloyd_plus_plus": ("plain", "--segments 6 --algorithm lloyd --init kmeans++ --max-iterations 4"),
    "robust_random_restarts": ("plain", "--segments 5 --scale robust --algorithm lloyd --init random --restarts 3 "
                                        "--max-iterations 3"),
    "minmax_range": ("plain", f"--segments 2:5 --scale minmax {BATCH} --polish 1"),
    "given_far": ("plain", f"--segments 4 --init FILE {BATCH} --polish 1"),
    "share": ("plain", f"--segments 8 --init random --seed 3 --min-segment-share 0.09 {BATCH} --polish 2"),
    "ties": ("lattice", "--segments 7 --scale none --algorithm lloyd --init random --max-iterations 4"),
    "ties_of_farthest": ("lattice", "--segments 5 --init ORIGIN --scale none --algorithm lloyd --max-iterations 3"),
    "ties_plus_plus_restarts": ("lattice", f"--segments 5 --scale minmax --init kmeans++ --restarts 3 {BATCH} "
                                           "--polish 0"),
    "fine_zscore": ("fine", f"--segments 5 {BATCH} --polish 1"),
    "fine_given_robust": ("fine", "--segments 4 --init FILE --scale robust --algorithm lloyd --max-iterations 4"),
    "weights": ("weighted", f"--segments 5 {BATCH} --polish 1"),
    "weights_lloyd_restarts": ("weighted", "--segments 3:4 --algorithm lloyd --init kmeans++ --restarts 3 "
                                           "--max-iterations 3 --scale none"),
    "missing": ("holes", f"--segments 5 --missing mean {BATCH} --polish 1"),
    "missing_robust": ("holes", "--segments 5 --missing mean --scale robust --algorithm lloyd --init random "
                                "--max-iterations 3"),
    "log": ("retail", f"--segments 5 --log1p f0,f1,f3 --feature-weights f1=0.5,f4=2 {BATCH} --polish 1"),
    "few": ("few", "--segments 4"),
    "few_range": ("few", "--segments 2:4 --algorithm lloyd --init kmeans++ --restarts 3 --scale minmax"),
    "one": ("one", "--segments 1 --scale none"),
    "wide": ("wide", f"--segments 3 --scale none {BATCH} --max-epochs 4 --polish 1"),
    "long": ("long", "--segments 3 --init random --algorithm lloyd --max-iterations 1"),
}


def choices(key, run):
    """Values of a key that go with what the run has."""
    if key in run:
        return [run[key]]
    if key == "case":
        return [case for case, (content, _) in CASES.items()
                if run.get("content", content) == content and run.get("stored", "contiguous") in STORED[content]]
    if key == "content":
        return [CASES[run["case"]][0]]
    return list(STORED[run["content"]] if key == "stored" else FACTORS[key])


def grow(run, missing, rng):
    """Complete a pair to a run; each value added is the one that meets most of the others for the first time."""
    for key in ("case", "content", "stored", *rng.sample(list(FACTORS), len(FACTORS))):
        able = choices(key, run)
        rng.shuffle(able)
        run[key] = max(able, key=lambda v: sum(frozenset({(key, v), other}) in missing for other in run.items()))
    return run


def pairs(run):
    return {frozenset(two) for two in itertools.combinations(run.items(), 2)}


def wanted():
    """Every two layout values; each case and each way of storing with every layout value; each content each way."""
    out = {frozenset({("content", content), ("stored", way)}) for content, ways in STORED.items() for way in ways}
    for (f, xs), (g, ys) in itertools.combinations(FACTORS.items(), 2):
        out |= {frozenset({(f, x), (g, y)}) for x in xs for y in ys}
    for f, values in FACTORS.items():
        for value in values:
            out |= {frozenset({("case", case), (f, value)}) for case in CASES}
            out |= {frozenset({("stored", way), (f, value)}) for way in set().union(*STORED.values())}
    return out


def design():
    """Runs as dicts of case, content, way of storing and one value a factor; greedy, the same every time."""
    rng = random.Random(20240607)
    missing = wanted()
    runs = []
    while missing:
        seeds = sorted(missing, key=lambda pair: sorted(map(str, pair)))
        grown = [grow(dict(rng.choice(seeds)), missing, rng) for _ in range(25)]
        best = max(grown, key=lambda run: len(pairs(run) & missing))
        runs.append(best)
        missing -= pairs(best)
    return runs


class Layout(t.Case):
    def store(self, content, way, columns):
        dtype, options = STORED[content][way]
        with np.errstate(all="raise"):
            stored = columns["features"].astype(dtype)
        np.testing.assert_array_equal(stored.astype(np.float64), columns["features"].astype(np.float64))
        rest = {k: v for k, v in columns.items() if k != "features"}
        return self.write(f"{way.replace(' ', '_')}.h5", stored, options=options, **rest)

    def given(self, how, columns, k):
        """FILE: rows, and a centroid so far away that it gets no customer; ORIGIN: 0 and far ones."""
        x = columns["features"].astype(np.float64)
        far = x.mean(axis=0) + 50 * x.std(axis=0)
        rows = x[:: len(x) // k][: k - 1] if how == "FILE" else [np.zeros(x.shape[1]), *(far * i for i in range(2, k))]
        path = self.tmp / "init.h5"
        with h5py.File(path, "w") as f:
            f["centroids"] = np.vstack([rows, far])
        return path

    def answer(self, out):
        """All that must not depend on the layout: {name: bytes or JSON}."""
        found = self.results(out)
        attrs = found.pop("attrs")
        answer = {"diagnostics": found.pop("diagnostics")}
        for key in ("objective", "digest", "seed", "iterations"):
            answer["@" + key] = np.asarray(attrs[key]).tobytes() if key != "digest" else attrs[key]
        for key, v in found.items():
            answer[key] = v.tolist() if v.dtype == object else (v.dtype.str, v.shape, v.tobytes())
        for key in ("segment", "distance", "runner_up", "margin", "id", "centroids", "centroids_scaled"):
            self.assertIn(key, answer)
        return answer

    def fit(self, data, options, run):
        out = self.tmp / "run"
        limit = ("--memory-limit", "1M") if run["memory"] == "streamed" else ()
        env = {} if run["core"] == "default" else {"OPENBLAS_CORETYPE": run["core"]}
        self.ok("fit", data, "--out", out, "--force", "--quiet", "--io", run["io"], "--kernel", run["kernel"], *limit,
                *options, ranks=run["ranks"], threads=run["threads"], env=env)
        with open(out / "manifest.json", encoding="utf-8") as f:
            manifest = t.json.load(f)
        layout, versions = manifest["layout"], manifest["versions"]
        was = {"ranks": layout["ranks"], "threads": layout["threads_per_rank"], "io": layout["io"],
               "memory": "streamed" if layout["streamed"] else "held", "kernel": versions["kernel"],
               "core": "default" if run["core"] == "default" else versions["blas_core"]}
        self.assertEqual(was, {f: run[f] for f in FACTORS}, "the run did not have the layout that was asked for")
        answer = self.answer(out)
        self.assertEqual(manifest["result"]["digest"], answer["@digest"])
        self.assertEqual(np.float64(manifest["result"]["objective"]).tobytes(), answer["@objective"])
        return out, answer, manifest["input"]["digest"]

    def check(self, case):
        content, options = CASES[case]
        columns = contents(content)
        k = int(re.search(r"--segments (\d+)", options).group(1))
        options = [self.given(word, columns, k) if word in ("FILE", "ORIGIN") else word for word in options.split()]
        runs = [run for run in DESIGN if run["case"] == case]
        files = {way: self.store(content, way, columns) for way in STORED[content]}
        first, input_digest = None, {}
        for i, run in enumerate(runs):
            way = run["stored"]
            out, answer, digest = self.fit(files[way], options, run)
            with self.subTest(run=run, first=runs[0]):
                first = first or answer
                self.assertEqual(answer.keys(), first.keys())
                differ = [key for key in first if answer[key] != first[key]]
                self.assertEqual(differ, [], f"{answer['@digest']} instead of {first['@digest']}")
                self.assertEqual(digest, input_digest.setdefault(way, digest), "digest of the input")
            if i == 1:  # what one layout wrote, another one verifies
                limit = () if run["memory"] == "streamed" else ("--memory-limit", "1M")
                p = self.ok("verify", out, *limit, ranks=runs[-1]["ranks"], threads=runs[0]["threads"])
                self.assertIn(answer["@digest"], p.stdout)
        return first

    def test_contents_are_what_they_claim(self):
        """Guards on the data of this test: lengths, ties, values beyond float32."""
        lengths = {name: len(contents(name)["features"]) for name in STORED}
        self.assertEqual([name for name, n in lengths.items() if n % BLOCK == 0], ["retail"])
        self.assertLess(lengths["few"], BLOCK)
        x = contents("lattice")["features"]
        self.assertLess(len(np.unique(x, axis=0)), len(x))
        x = contents("fine")["features"]
        self.assertFalse(np.array_equal(x, x.astype(np.float32).astype(np.float64)))

    def test_design_lets_every_pair_meet(self):
        """Also that the values the promise names are there, unless this machine cannot run them."""
        self.assertEqual(wanted() - set().union(*(pairs(run) for run in DESIGN)), set())
        self.assertLess(len(DESIGN), 130)

    def test_kernels_and_cores_of_this_machine(self):
        missing = [f"kernel {k}" for k in kernels()[0] if k not in FACTORS["kernel"]]
        missing += [f"OpenBLAS core {c}" for c in BLAS_CORES if c not in FACTORS["core"]]
        if missing:
            self.skipTest("this CPU cannot run: " + ", ".join(missing))
        self.assertEqual(set(FACTORS["kernel"]), {"ref", "avx2", "avx512", "blas"})

    def test_answers_are_not_trivial(self):
        """Other seeds give other answers: equal digests above are not equal for want of sensitivity."""
        content, options = CASES["unpolished"]
        data = self.store(content, "contiguous", contents(content))
        digests = set()
        for seed in (3, 4, 5):
            out = self.tmp / f"seed{seed}"
            self.ok("fit", data, "--out", out, "--quiet", *options.split(), "--seed", seed)
            digests.add(self.answer(out)["@digest"])
        self.assertEqual(len(digests), 3)


def add_case(case):
    def test(self):
        self.check(case)
    setattr(Layout, f"test_case_{case}", test)


DESIGN = design()
for name_of_case in CASES:
    add_case(name_of_case)


if __name__ == "__main__":
    t.main()
