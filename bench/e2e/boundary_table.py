#!/usr/bin/python3
"""Boundary tests of N customers: seconds, arithmetic rate and peak memory, as the Markdown table of ../README.md.

usage: boundary_table.py DEMARC FOLDER [--customers N] [--features D] [--segments K] [--replicates R] [--rounds N]

One file of `demarc generate` with a campaign of three arms, its outcomes visit, conversion and spend, one model; then
sweep (six shifts), replay and plan in turn, --rounds times, each a process of its own with two threads. The rate of the
bootstrap is what `--verbose` tells: multiplications and additions in sgemm over the seconds its threads spent there,
beside sgemm of 512 x 512 in the same minute. FOLDER needs room for the customers and the results.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import h5py  # noqa: E402

import harness  # noqa: E402


def measured(command, env):
    """@return seconds, peak bytes, stdout, stderr of a process"""
    start = time.perf_counter()
    with open(os.devnull) as none, subprocess.Popen([str(c) for c in command], env=env, stdin=none, text=True,
                                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        out, err = p.communicate()
        seconds = time.perf_counter() - start
    if p.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nexit code {p.returncode}: {err.strip()}")
    peak = re.search(r"Maximum resident set size \(kbytes\): (\d+)", err)
    return seconds, 1024 * int(peak.group(1)), out, err


def three_outcomes(path):
    """visit, conversion and spend of /outcomes as a dataset of their own."""
    with h5py.File(path, "r+") as f:
        if "outcomes3" not in f:
            y = f.create_dataset("outcomes3", data=f["outcomes"][:, 1:4])
            y.attrs["outcome_names"] = list(f["outcomes"].attrs["outcome_names"])[1:4]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("demarc")
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--customers", type=int, default=10_000_000)
    p.add_argument("--features", type=int, default=32)
    p.add_argument("--segments", type=int, default=8)
    p.add_argument("--replicates", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    demarc = harness.Demarc(a.demarc, a.folder, 2)
    data, model = a.folder / "boundary.h5", a.folder / "run" / "model.h5"
    a.folder.mkdir(parents=True, exist_ok=True)
    if not data.exists():
        subprocess.run([demarc.binary, "generate", data, "--customers", str(a.customers), "--features", str(a.features),
                        "--segments", str(a.segments), "--arms", "3", "--outcomes", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL, env=demarc.env)
    three_outcomes(data)
    _, manifest, _ = demarc.fit(data, "--segments", a.segments)
    common = ["--model", model, "--outcomes", "/outcomes3", "--threads", "2", "--verbose", "--json"]
    runs = {"sweep": ["sweep", data, "--replicates", a.replicates],
            "sweep, streamed (--memory-limit 400M)": ["sweep", data, "--replicates", a.replicates, "--memory-limit", "400M"],
            "sweep, no replicates": ["sweep", data, "--replicates", 0],
            "replay": ["replay", data],
            "plan": ["plan", data, "--out", a.folder / "plan", "--force"]}
    seconds, peaks, rates, drawing, results = {}, {}, [], [], {}
    for turn in range(a.rounds):
        for name, command in runs.items():
            harness.say(f"round {turn + 1}: {name}")
            s, peak, out, err = measured(["/usr/bin/time", "-v", demarc.binary, "boundary", *command, *common], demarc.env)
            seconds.setdefault(name, []).append(s)
            peaks.setdefault(name, []).append(peak)
            results.setdefault(name.split(",")[0] + str("no replicates" in name), set()).add(out)
            work = re.findall(r"threads of rank 0: ([\d.e+]+) GFLOP by sgemm in ([\d.]+) s, weights drawn in ([\d.]+) s", err)
            if name == "sweep":
                rates.append(sum(float(w[0]) for w in work) / sum(float(w[1]) for w in work))
                drawing.append(sum(float(w[2]) for w in work))
                total = sum(float(w[0]) for w in work)
    same = all(len(texts) == 1 for texts in results.values())
    shard = 4 * a.customers * a.features
    print(f"{a.customers:,} x {a.features}, k = {a.segments}, 6 shifts, 3 outcomes, R = {a.replicates}, 1 rank x 2 threads, "
          f"objective {manifest['result']['objective']:.9g}; every result the same bytes: {'yes' if same else 'NO'}\n")
    harness.table(["command", "seconds, median (min-max)", "peak memory, MB (shard " + f"{shard / 1e6:.0f})"],
                  [[name, harness.spread(seconds[name], "{:.1f}"), f"{max(peaks[name]) / 1e6:.0f}"] for name in runs])
    print(f"Replicates of sweep: {total:.0f} GFLOP in sgemm at {harness.spread(rates, '{:.0f}')} GFLOP/s a thread; weights "
          f"drawn in {harness.spread(drawing, '{:.1f}')} s of threads.")


if __name__ == "__main__":
    main()
