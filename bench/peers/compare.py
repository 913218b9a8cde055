#!/usr/bin/python3
"""scikit-learn, faiss and demarc on the same rows with the same threads, in interleaved rounds, with objectives.

usage: bench/peers/compare.py DEMARC --dir FOLDER [--json FILE] [--part pass|quality] [--workload NAME:N:D:K]... [--quick]

pass: seconds per full Lloyd pass from the same k rows. A peer's is (seconds of N + 1 passes - seconds of 1 pass) / N,
so that its set-up does not count; demarc's is its polish phase / (N + 1), the first pass with it. The objective after
N + 1 passes must be that of scikit-learn in double to 1e-6, or the row says DIFFERS: sums in single precision drift.

quality: seconds until an objective is reached, seeding included, reading not. The peer runs to its end; demarc's result
after each pass does not depend on the run, so a long run tells how many passes it needs, and a run of just so many
(--polish) is timed: its seed, minibatch and polish phases. MiniBatchKMeans runs without its final labelling, as
demarc's is not counted either. One round a seed.

Every objective is that of the final centroids over all rows, in double, by one function. Ratios are peer / demarc:
above 1 demarc is ahead. A run with the same --json FILE and program goes on where one was stopped.

OPENBLAS_CORETYPE is set anew for the peers: OpenBLAS takes its oldest kernels on a CPU it does not know, and a peer
that is slow for that is no peer. The type of the fastest sgemm is taken.
"""
import argparse
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

WORKLOADS = ["W1:2000000:32:8", "W2:2000000:64:32", "W3:500000:128:256"]
BATCH_SIZES = [1024, 8192, 65536]
CORE_TYPES = ["", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"]  # "" = OpenBLAS's own choice
SGEMM = """
import time, numpy as np
a, best = np.ones((1024, 1024), np.float32), 9.0
for i in range(20):
    start = time.perf_counter(); a @ a; best = min(best, time.perf_counter() - start)
print(2 * 1024 ** 3 / best * 1e-9)
"""


def peer_environment(threads):
    """This environment with `threads` for OpenMP and BLAS and the OpenBLAS core type of the fastest sgemm."""
    env = dict(os.environ, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads))
    supported = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "").split()
    needs = {"Haswell": "avx2", "Zen": "avx2", "SkylakeX": "avx512bw", "Cooperlake": "avx512_bf16",
             "SapphireRapids": "avx512_bf16"}
    rate = {}
    for core in 3 * [c for c in CORE_TYPES if c not in needs or needs[c] in supported]:  # the best of three rounds
        env.pop("OPENBLAS_CORETYPE", None)
        if core:
            env["OPENBLAS_CORETYPE"] = core
        done = subprocess.run([sys.executable, "-c", SGEMM], env=env, capture_output=True, text=True)
        if done.returncode == 0:  # a core type that the CPU lacks dies
            rate[core] = max(rate.get(core, 0.0), float(done.stdout))
    env.pop("OPENBLAS_CORETYPE", None)
    best = max(rate, key=rate.get)
    if rate.get("", 0.0) < 0.9 * rate[best]:
        env["OPENBLAS_CORETYPE"] = best
    env["DEMARC_PEERS_SGEMM"] = ", ".join(f"{c or 'own choice'} {r:.0f}" for c, r in rate.items())
    return env


def objective(x, c):
    """sum over rows of the squared distance to the nearest centroid, in double."""
    c = np.asarray(c, np.float64)
    norm, parts = np.einsum("jf,jf->j", c, c), []
    for begin in range(0, len(x), harness.BLOCK // 4):
        b = x[begin:begin + harness.BLOCK // 4].astype(np.float64)
        squared = (norm - 2.0 * (b @ c.T)).min(axis=1) + np.einsum("if,if->i", b, b)
        parts.append(math.fsum(squared))
    return math.fsum(parts)


def clocked(x, run):
    """@return {"seconds", "objective", "passes"} of run() -> (centroids, passes)"""
    start = time.perf_counter()
    c, passes = run()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "objective": objective(x, c), "passes": passes}


def sklearn_kmeans(x, k, init, passes, tol, algorithm="lloyd", seed=0):
    m = cluster.KMeans(k, init=init, n_init=1, max_iter=passes, tol=tol, algorithm=algorithm, random_state=seed).fit(x)
    return m.cluster_centers_, m.n_iter_


def sklearn_minibatch(x, k, batch, seed):
    m = cluster.MiniBatchKMeans(k, n_init=1, batch_size=batch, compute_labels=False, random_state=seed).fit(x)
    return m.cluster_centers_, m.n_iter_


def faiss_kmeans(x, k, init, passes, seed=1):
    # All rows: by default faiss takes 256 a centroid.
    m = faiss.Kmeans(x.shape[1], k, niter=passes, nredo=1, seed=seed, max_points_per_centroid=len(x),
                     min_points_per_centroid=1)
    m.train(x, init_centroids=init)
    return m.centroids, passes


class Workload:
    def __init__(self, text, quick):
        name, n, d, k = text.split(":")
        self.name, self.n, self.d, self.k = name, int(n) // (20 if quick else 1), int(d), int(k)

    def __str__(self):
        return f"{self.name} {self.n:,} x {self.d}, k={self.k}"

    def load(self, folder):
        self.path = harness.write_rows(folder / f"rows-{self.n}x{self.d}-{self.k}.h5", self.n, self.d, self.k)
        with h5py.File(self.path) as f:
            x = f["features"][()]
        self.start = x[self.n // self.k * np.arange(self.k)]  # as in micro/lloyd_pass.c
        self.start_path = harness.write_centroids(folder / f"start-{self.n}x{self.d}-{self.k}.h5", self.start)
        return x


def fit_seconds(manifest):
    phases = harness.phase_seconds(manifest)
    return phases["seed"] + phases["minibatch"] + phases["polish"]


def pass_round(a, w, x, demarc, turn):
    """One round of part `pass`; who comes first changes from round to round."""
    n = a.passes + 1

    def peer(run):
        once, many = clocked(x, lambda: run(1)), clocked(x, lambda: run(n))
        return {"seconds": (many["seconds"] - once["seconds"]) / (n - 1), "objective": many["objective"],
                "passes": many["passes"]}

    def ours():
        _, manifest, diagnostics = demarc.fit(w.path, "--segments", w.k, "--scale", "none", "--algorithm", "lloyd",
                                              "--init", w.start_path, "--max-iterations", n, "--tolerance", 0)
        passes = diagnostics["iterations"]
        return {"seconds": harness.phase_seconds(manifest)["polish"] / passes, "passes": passes,
                "objective": objective(x, demarc.centroids()), "manifest": harness.manifest_layout(manifest)}

    entrants = {"demarc": ours,
                "scikit-learn lloyd": lambda: peer(lambda p: sklearn_kmeans(x, w.k, w.start, p, 0.0)),
                "scikit-learn elkan": lambda: peer(lambda p: sklearn_kmeans(x, w.k, w.start, p, 0.0, "elkan"))}
    if faiss:
        entrants["faiss"] = lambda: peer(lambda p: faiss_kmeans(x, w.k, w.start, p))
    order = list(entrants)[turn % len(entrants):] + list(entrants)[:turn % len(entrants)]
    result = {}
    for name in order:
        result[name] = entrants[name]()
        harness.say(f"{w}: round {turn + 1}: {name}: {result[name]['seconds']:.4f} s a pass")
    return {"versions": versions(), "entrants": result}


def reference(a, w, x):
    """What N + 1 passes come to without rounding to single precision."""
    c, _ = sklearn_kmeans(x.astype(np.float64), w.k, w.start.astype(np.float64), a.passes + 1, 0.0)
    return {"versions": versions(), "objective": objective(x, c)}


def quality_round(w, x, demarc, seed):
    """One round of part `quality`: every target with the peer that sets it and demarc's time to it."""
    common = ["--segments", w.k, "--scale", "none", "--seed", seed]
    timed, peers, need_of = {}, {}, {}

    def peer(name, run):
        peers[name] = clocked(x, run)
        harness.say(f"{w}: seed {seed}: {name}: {peers[name]['seconds']:.3f} s, {peers[name]['objective']:.9g}")

    def ours(name, *options):
        _, manifest, diagnostics = demarc.fit(w.path, *common, *options)
        timed[name] = {"seconds": fit_seconds(manifest), "objective": objective(x, demarc.centroids()),
                       "passes": diagnostics["iterations"], "manifest": harness.manifest_layout(manifest)}
        harness.say(f"{w}: seed {seed}: demarc {name}: {timed[name]['seconds']:.3f} s, {timed[name]['objective']:.9g}")
        return diagnostics

    trace = ours("to the end", "--tolerance", 0)
    # passes[i].objective is that of the centroids the pass starts from, so item i is the objective after i passes.
    full = [p for p in trace["passes"] if p["phase"] in ("exchange", "lloyd")]
    reached = [p["objective"] for p in full]
    reached.append(timed["to the end"]["objective"])
    for batch in BATCH_SIZES:
        peer(f"MiniBatchKMeans {batch}", lambda: sklearn_minibatch(x, w.k, batch, seed))
    targets = {name: entry["objective"] for name, entry in peers.items()}

    def ours_to(names):
        for name in names:
            # A run that ends with pass i makes no exchange in it.
            need = next((i for i, value in enumerate(reached)
                         if value <= targets[name] and (i == 0 or full[i - 1]["phase"] == "lloyd")), None)
            if need is not None and f"polish {need}" not in timed:
                ours(f"polish {need}", "--tolerance", 0, "--polish", need)
            if need is not None and timed[f"polish {need}"]["objective"] > targets[name] * (1.0 + 1e-9):
                sys.exit(f"{w}: seed {seed}: demarc with --polish {need} is not where its longer run was after {need}")
            need_of[name] = need

    ours_to(list(targets))
    peer("KMeans", lambda: sklearn_kmeans(x, w.k, "k-means++", 300, 1e-4, seed=seed))
    ours("by default")
    targets["KMeans + 0.1%"] = 1.001 * peers["KMeans"]["objective"]
    targets["KMeans"] = peers["KMeans"]["objective"]
    if faiss:
        peer("faiss 25 passes", lambda: faiss_kmeans(x, w.k, None, 25, seed))
        targets["faiss 25 passes"] = peers["faiss 25 passes"]["objective"]
    ours_to([name for name in targets if name not in need_of])
    return {"versions": versions(), "peers": peers, "targets": targets, "polish": need_of, "demarc": timed}


def versions():
    blas = [{key: p[key] for key in ("internal_api", "version", "architecture", "threading_layer", "num_threads")}
            for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]
    return {"python": sys.version.split()[0], "numpy": np.__version__, "scikit-learn": sklearn.__version__,
            "faiss": faiss.__version__ if faiss else None, "peers_blas": blas,
            "peers_sgemm_gflops": os.environ["DEMARC_PEERS_SGEMM"],
            "environment": {name: value for name, value in os.environ.items()
                            if name.startswith(("OMP_", "GOMP_", "OPENBLAS_"))}}


def pass_table(measured, passes):
    rows = []
    for w, exact, lines in measured:
        for name in lines[0]["entrants"]:
            own = [line["entrants"]["demarc"] for line in lines]
            now = [line["entrants"][name] for line in lines]
            off = max((n["objective"] / exact["objective"] - 1.0 for n in now), key=abs)
            stopped = any(n["passes"] != passes + 1 for n in now)
            rows.append([w, name, harness.spread([n["seconds"] for n in now], "{:.4f}"),
                         harness.spread([n["seconds"] / o["seconds"] for n, o in zip(now, own)]),
                         f"{now[0]['objective']:.9g}",
                         f"{off:.0e}{' DIFFERS' if abs(off) > 1e-6 else ''}{', stopped early' if stopped else ''}"])
    harness.table(["workload", "program", "seconds a pass, median (min-max)", "its time / demarc's",
                   "objective after the same passes", "off the objective in double"], rows)


def quality_table(measured):
    rows = []
    for w, lines in measured:
        def ratios(target, peer):
            """Per seed that reaches the target: peer's seconds / demarc's, demarc's seconds, passes."""
            got = [(line["peers"][peer]["seconds"], line["demarc"][f"polish {line['polish'][target]}"])
                   for line in lines if line["polish"][target] is not None]
            return [p / o["seconds"] for p, o in got], [o["seconds"] for _, o in got], [o["passes"] for _, o in got]

        def add(text, target, peer):
            ratio, seconds, passes = ratios(target, peer)
            above = [100.0 * (line["targets"][target] / line["peers"]["KMeans"]["objective"] - 1.0) for line in lines]
            rows.append([w, text, harness.spread(above, "{:.2f}"),
                         harness.spread([line["peers"][peer]["seconds"] for line in lines], "{:.3f}"),
                         harness.spread(seconds, "{:.3f}") if ratio else "-",
                         harness.spread(ratio) if ratio else "not reached", f"{len(ratio)} of {len(lines)}",
                         harness.spread(passes, "{:.0f}") if ratio else "-"])

        batches = [name for name in lines[0]["peers"] if name.startswith("MiniBatch")]
        hardest = min(batches, key=lambda b: (len(ratios(b, b)[0]), statistics.median(ratios(b, b)[0] or [0.0])))
        for name in batches:
            add(name + (", the hardest to beat" if name == hardest else ""), name, name)
        add(f"KMeans + 0.1%, against {hardest}", "KMeans + 0.1%", hardest)
        add("KMeans + 0.1%, against KMeans", "KMeans + 0.1%", "KMeans")
        add("KMeans", "KMeans", "KMeans")
        if "faiss 25 passes" in lines[0]["peers"]:
            add("faiss 25 passes", "faiss 25 passes", "faiss 25 passes")
        own = [line["demarc"]["by default"] for line in lines]
        full = [line["peers"]["KMeans"] for line in lines]
        above = [100.0 * (o["objective"] / f["objective"] - 1.0) for o, f in zip(own, full)]
        share = [100.0 * o["manifest"]["phases"]["seed"] / o["seconds"] for o in own]
        rows.append([w, f"demarc's own stop, against KMeans; seeding {harness.spread(share, '{:.0f}')}%",
                     harness.spread(above, "{:.2f}"), harness.spread([f["seconds"] for f in full], "{:.3f}"),
                     harness.spread([o["seconds"] for o in own], "{:.3f}"),
                     harness.spread([f["seconds"] / o["seconds"] for o, f in zip(own, full)]), "-",
                     harness.spread([o["passes"] for o in own], "{:.0f}")])
    harness.table(["workload", "objective to reach: that of", "% above KMeans", "its seconds", "demarc's seconds",
                   "its time / demarc's", "seeds that reach it", "full passes"], rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("demarc")
    p.add_argument("--dir", type=pathlib.Path, required=True, help="rows (kept) and results; 1.3 GB")
    p.add_argument("--json", type=pathlib.Path, help="JSON lines, appended; rounds in it are not measured again")
    p.add_argument("--workload", action="append", metavar="NAME:N:D:K", help="default: " + " ".join(WORKLOADS))
    p.add_argument("--part", choices=["pass", "quality"], help="default: both")
    p.add_argument("--rounds", type=int, help="of part pass (default 7, quick 3)")
    p.add_argument("--seeds", type=int, help="rounds of part quality (default 3, quick 2)")
    p.add_argument("--passes", type=int, default=10, help="N of part pass (default 10)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--quick", action="store_true", help="a twentieth of the rows: shows that it works, not how fast")
    a = p.parse_args()
    rounds, seeds = a.rounds or (3 if a.quick else 7), a.seeds or (2 if a.quick else 3)
    a.dir.mkdir(parents=True, exist_ok=True)
    demarc, lines = harness.Demarc(a.demarc, a.dir, a.threads), harness.Lines(a.json)
    passes, quality = [], []
    for w in [Workload(text, a.quick) for text in a.workload or WORKLOADS]:
        x = w.load(a.dir)
        shape = {"workload": w.name, "n": w.n, "d": w.d, "k": w.k}
        key = {**shape, "threads": a.threads, "demarc": demarc.identity, "faiss": bool(faiss)}
        if a.part != "quality":
            exact = lines.round({"part": "reference", "passes": a.passes, **shape}, lambda: reference(a, w, x))
            passes.append((w, exact, [lines.round({"part": "pass", "passes": a.passes, "round": turn, **key},
                                                  lambda: pass_round(a, w, x, demarc, turn)) for turn in range(rounds)]))
        if a.part != "pass":
            quality.append((w, [lines.round({"part": "quality", "seed": seed, **key},
                                            lambda: quality_round(w, x, demarc, seed))
                                for seed in range(1, seeds + 1)]))
    used = [line["versions"] for part in passes + quality for line in part[-1]]
    v = used[-1]
    blas = {f"{b['internal_api']} {b['version']} core type {b['architecture']}" for u in used for b in u["peers_blas"]}
    print(f"{a.threads} threads; scikit-learn {v['scikit-learn']}, "
          f"faiss {v['faiss'] or 'not installed (scripts/install-deps.sh --bench)'}; the peers' BLAS "
          f"{' or '.join(sorted(blas))} (sgemm GFLOP/s by core type: {v['peers_sgemm_gflops']})\n")
    if passes:
        pass_table(passes, a.passes)
    if quality:
        quality_table(quality)


if __name__ == "__main__":
    if "DEMARC_PEERS_SGEMM" not in os.environ:  # threads and core type are read when the libraries load
        given = argparse.ArgumentParser(add_help=False)
        given.add_argument("--threads", type=int, default=2)
        if not {"-h", "--help"} & set(sys.argv):
            os.execve(sys.executable, [sys.executable, *sys.argv],
                      peer_environment(given.parse_known_args()[0].threads))
    import h5py
    import numpy as np
    import sklearn
    import threadpoolctl
    from sklearn import cluster

    import harness
    try:
        import faiss
    except ImportError:
        faiss = None
    warnings.filterwarnings("ignore", category=sklearn.exceptions.ConvergenceWarning)
    main()
