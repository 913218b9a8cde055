#!/usr/bin/python3
"""Ranks: the same result and the same messages per pass on 1 to 64 of them, and what the second one gains.

usage: bench/scale/ranks.py DEMARC --dir FOLDER [--json FILE] [--customers N] [--part messages|speed] [--quick]

messages: a small file on 1, 2, 4, ... 64 ranks of one thread, many more ranks than cores. The digest of a whole fit must
be the same; the messages of one Lloyd pass are (those of a fit of 8 passes - those of a fit of 3) / 5, by the counters
of manifest.json: calls and bytes that a rank hands to MPI (an all-reduce of m bytes counts m; MPI sends them
about log2(ranks) times; agreement on errors is not counted). They must not depend on the number of customers.

speed: one fit on 1 and on 2 ranks of one thread, interleaved, both under mpirun, the file in the page cache.

Prints NO where something is not as it must be, and then ends with exit code 1. A run with the same --json FILE and
program goes on where one was stopped.
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import h5py  # noqa: E402

import harness  # noqa: E402

FEW, MANY = 3, 8  # passes


def start_file(folder, data, k):
    """k rows of the file, far apart, as first centroids."""
    with h5py.File(data) as f:
        rows = f["features"]
        start = [rows[len(rows) // k * j] for j in range(k)]
    return harness.write_centroids(folder / f"start-{data.stem}-{k}.h5", start)


def messages_part(demarc, lines, folder, n, most):
    ranks = [1 << i for i in range(most.bit_length()) if 1 << i <= most]

    def traffic(count, data, k, passes):
        _, manifest, diagnostics = demarc.fit(data, "--segments", k, "--algorithm", "lloyd", "--init",
                                              start_file(folder, data, k), "--tolerance", 0, "--max-iterations", passes,
                                              ranks=count)
        if diagnostics["iterations"] != passes:
            sys.exit(f"{data}: converged before {passes} passes: use more customers")
        return manifest["messages"]

    def measure(count, rows, d, k, whole):
        data = harness.write_rows(folder / f"rows-{rows}x{d}-8.h5", rows, d, 8)
        few, many = traffic(count, data, k, FEW), traffic(count, data, k, MANY)
        result = {name: (many[name] - few[name]) / (MANY - FEW) / count for name in ("count", "bytes")}
        if whole:
            _, manifest, _ = demarc.fit(data, "--segments", k, ranks=count)
            result["manifest"] = harness.manifest_layout(manifest)
            result["whole_fit"] = {name: manifest["messages"][name] / count for name in ("count", "bytes")}
        harness.say(f"{count} ranks, {rows} x {d}, k={k}: a pass has {result['count']:g} calls, {result['bytes']:g} bytes a rank")
        return result

    def one(count, rows, d, k, whole=False):
        return lines.round({"part": "messages", "ranks": count, "n": rows, "d": d, "k": k, "demarc": demarc.identity},
                           lambda: measure(count, rows, d, k, whole))

    d, k, rows, good = 16, 8, [], True
    digest = None
    for count in ranks:
        base, more = one(count, n, d, k, whole=True), one(count, 4 * n, d, k)
        digest = digest or base["manifest"]["digest"]
        same = base["manifest"]["digest"] == digest
        flat = (base["count"], base["bytes"]) == (more["count"], more["bytes"])
        good = good and same and flat
        rows.append([count, "yes" if same else "NO", f"{base['count']:g}", f"{base['bytes']:,.0f}",
                     f"{base['bytes'] / (k * d):.1f}", "yes" if flat else "NO",
                     f"{base['whole_fit']['count']:,.0f}", f"{base['whole_fit']['bytes']:,.0f}",
                     f"{base['manifest']['seconds']:.2f}"])
    print(f"{n:,} x {d}, k={k}, 1 thread a rank; digest {digest}, objective {base['manifest']['objective']:.9g}\n")
    harness.table(["ranks", "same digest", "calls a rank and pass", "bytes a rank and pass", "bytes / (k d)",
                   f"the same for {4 * n:,} customers", "calls a rank, whole fit", "bytes a rank, whole fit",
                   "seconds of the fit"], rows)
    count = min(4, ranks[-1])
    base = one(count, n, d, k)
    rows = [["k d", "1", "1"]]
    for name, shape in (("k 2d", (2 * d, k)), ("2k d", (d, 2 * k))):
        other = one(count, n, *shape)
        rows.append([name, f"{other['count'] / base['count']:.2f}", f"{other['bytes'] / base['bytes']:.2f}"])
    harness.table([f"shape, {count} ranks", "calls a pass, ratio", "bytes a pass, ratio"], rows)
    return good


def speed_part(demarc, lines, folder, n, rounds):
    data = harness.write_rows(folder / f"rows-{n}x32-8.h5", n, 32, 8)

    def measure(turn):
        line = {}
        with open(data, "rb") as f:  # into the page cache
            while f.read(1 << 24):
                pass
        for count in [1, 2][::1 if turn % 2 == 0 else -1]:
            wall, manifest, diagnostics = demarc.fit(data, "--segments", 8, ranks=count)
            harness.say(f"{n} customers, round {turn + 1}: {count} ranks: {manifest['seconds']:.2f} s")
            line[str(count)] = {"wall": wall, "passes": diagnostics["iterations"],
                                "manifest": harness.manifest_layout(manifest)}
        return line

    got = [lines.round({"part": "speed", "n": n, "round": turn, "demarc": demarc.identity}, lambda: measure(turn))
           for turn in range(rounds)]
    manifests = {count: [line[count]["manifest"] for line in got] for count in ("1", "2")}
    rows = []

    def add(name, one, two):
        ratios = [a / b for a, b in zip(one, two) if b > 0.0]
        rows.append([name, harness.spread(one), harness.spread(two), harness.spread(ratios) if ratios else "-"])

    add("fit", *([m["seconds"] for m in manifests[count]] for count in ("1", "2")))
    for phase in manifests["1"][0]["phases"]:
        add(phase, *([m["phases"][phase] for m in manifests[count]] for count in ("1", "2")))
    digests = {m["digest"] for count in manifests for m in manifests[count]}
    print(f"{n:,} x 32, k=8, 1 thread a rank, {got[0]['1']['passes']} full passes, kernel "
          f"{manifests['1'][0]['versions']['kernel']}; same digest: {'yes' if len(digests) == 1 else 'NO'}, objective "
          f"{manifests['1'][0]['objective']:.9g}\n")
    harness.table(["", "seconds on 1 rank, median (min-max)", "on 2 ranks", "times faster"], rows)
    return len(digests) == 1


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("demarc")
    p.add_argument("--dir", type=pathlib.Path, required=True)
    p.add_argument("--json", type=pathlib.Path, help="JSON lines, appended; what is in it is not measured again")
    p.add_argument("--part", choices=["messages", "speed"], help="default: both")
    p.add_argument("--customers", type=int, help="of part speed (default 20000000, quick 1000000)")
    p.add_argument("--small", type=int, default=300_000, help="customers of part messages (default 300000)")
    p.add_argument("--most-ranks", type=int, help="default 64, quick 8")
    p.add_argument("--rounds", type=int, help="of part speed (default 5, quick 2)")
    p.add_argument("--quick", action="store_true", help="few ranks, a small file: shows that it works, not how fast")
    a = p.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    demarc, lines = harness.Demarc(a.demarc, a.dir, 1), harness.Lines(a.json)
    good = True
    if a.part != "speed":
        good = messages_part(demarc, lines, a.dir, a.small, a.most_ranks or (8 if a.quick else 64))
    if a.part != "messages":
        good = speed_part(demarc, lines, a.dir, a.customers or (1_000_000 if a.quick else 20_000_000),
                          a.rounds or (2 if a.quick else 5)) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
