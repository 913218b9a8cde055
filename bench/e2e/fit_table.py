#!/usr/bin/env python3
"""Generate, fit and verify N customers; print seconds per phase and peak memory as the Markdown table of README.md.

usage: fit_table.py DEMARC FOLDER [--customers N] [--features D] [--segments K] [--ranks R] [--runs N] [--memory-limit SIZE]

The fit runs --runs times; each figure is the median, with minimum and maximum. FOLDER needs room for the customers
and the results. OPENBLAS_CORETYPE is removed from the environment. Absolute times are this machine's at this hour.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time


def main():
    p = argparse.ArgumentParser()
    p.add_argument("demarc")
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--customers", type=int, default=10_000_000)
    p.add_argument("--features", type=int, default=32)
    p.add_argument("--segments", type=int, default=8)
    p.add_argument("--ranks", type=int, default=2)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--memory-limit")
    a = p.parse_args()
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1")
    env.pop("OPENBLAS_CORETYPE", None)
    launch = ["mpirun", "--bind-to", "none", "-n", str(a.ranks)]

    def run(*command):
        start = time.perf_counter()
        subprocess.run(launch + [a.demarc, *map(str, command)], check=True, env=env, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    data, out = a.folder / "bench.h5", a.folder / "bench-run"
    seconds = {"generate": [run("generate", data, "--customers", a.customers, "--features", a.features, "--segments",
                                a.segments, "--force", "--quiet")]}
    limit = ["--memory-limit", a.memory_limit] if a.memory_limit else []
    peak, iterations = [], set()
    for _ in range(a.runs):
        seconds.setdefault("fit, whole command", []).append(
            run("fit", data, "--segments", a.segments, "--out", out, "--force", "--quiet", *limit))
        manifest = json.loads((out / "manifest.json").read_text())
        for phase in manifest["phases"]:
            seconds.setdefault("fit: " + phase["name"], []).append(phase["seconds"])
        peak.append(max(manifest["peak_memory_bytes_per_rank"]))
        iterations.add(json.loads((out / "diagnostics.json").read_text())["iterations"])
        seconds.setdefault("verify", []).append(run("verify", out, "--quiet"))
    result, version = manifest["result"], manifest["versions"]
    shard = a.customers * a.features * 4 / a.ranks
    print(f"{a.customers:,} x {a.features}, k = {a.segments}, {a.ranks} ranks x {manifest['layout']['threads_per_rank']} "
          f"threads, kernel {version['kernel']}, {version['blas']} core type {version['blas_core']}; objective "
          f"{result['objective']:.9g} after {'/'.join(map(str, iterations))} full passes, digest {result['digest']}\n")
    print("| step | seconds, median (min-max) |\n| --- | --- |")
    for step, s in seconds.items():
        print(f"| {step} | {statistics.median(s):.2f} ({min(s):.2f}-{max(s):.2f}) |")
    held = f"a shard of {shard / 1e6:.0f} MB and {(max(peak) - shard) / 1e6:.0f} MB more"
    print(f"\nPeak memory per rank: {max(peak) / 1e6:.0f} MB ({'streamed' if manifest['layout']['streamed'] else held}).")


if __name__ == "__main__":
    main()
