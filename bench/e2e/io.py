#!/usr/bin/python3
"""A fit from a cold file beside dd: reading the file once and writing as many bytes as the results once.

usage: bench/e2e/io.py DEMARC --dir FOLDER [--json FILE] [--customers N] [--data FILE.h5] [--ranks R] [--quick]

Interleaved rounds, who comes first changing, the file out of the page cache before each:
  dd      if=FILE of=/dev/null bs=16M, then if=/dev/zero of=X bs=16M as long as the results, conv=fsync
  fit     demarc fit FILE --segments 8: wall seconds of the whole command, results written and synced
  stream  the same with --memory-limit, beside the bytes of all its passes over the file at dd's rate. Later passes find
          in the page cache what memory holds of the file, so they are also set beside the rate of dd on the cached file.
Ratios are demarc / dd: 1 is the disk. A file leaves the page cache by posix_fadvise, else by /proc/sys/vm/drop_caches;
what stays is printed. FOLDER needs room for the file (128 bytes a customer), the results (24 to 32) and as much for dd.
A run with the same --json FILE and program goes on where one was stopped.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402

FEATURES, SEGMENTS = 32, 8


def cached_share(path):
    """Share of the file in the page cache; None where fincore (util-linux) is missing."""
    try:
        out = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", path], check=True,
                             capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(out) / max(path.stat().st_size, 1)


def cool(path):
    """Take the file out of the page cache. @return the share that stays, None if that cannot be known"""
    os.sync()
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    share = cached_share(path)
    if share is None or share > 0.01:
        try:
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        except OSError:
            pass
        share = cached_share(path)
    return share


def dd(*operands):
    start = time.perf_counter()
    subprocess.run(["dd", "bs=16M", "status=none", *operands], check=True)
    return time.perf_counter() - start


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("demarc")
    p.add_argument("--dir", type=pathlib.Path, required=True)
    p.add_argument("--json", type=pathlib.Path, help="JSON lines, appended; rounds in it are not measured again")
    p.add_argument("--customers", type=int, help="rows to write (default 20000000, quick 1000000; 80000000 is 10 GB)")
    p.add_argument("--data", type=pathlib.Path, help="a customer file of your own instead")
    p.add_argument("--memory-limit", help="of the streamed fit (default 1G, quick 64M)")
    p.add_argument("--rounds", type=int, help="default 5, quick 2")
    p.add_argument("--ranks", type=int, default=0, help="under mpirun (default: one rank without a launcher)")
    p.add_argument("--threads", type=int, help="per rank (default: the cores, shared by the ranks)")
    p.add_argument("--quick", action="store_true", help="a small file: shows that it works, not how fast")
    a = p.parse_args()
    n = a.customers or (1_000_000 if a.quick else 20_000_000)
    rounds, limit = a.rounds or (2 if a.quick else 5), a.memory_limit or ("64M" if a.quick else "1G")
    threads = a.threads or max(1, len(os.sched_getaffinity(0)) // max(1, a.ranks))
    a.dir.mkdir(parents=True, exist_ok=True)
    demarc, lines = harness.Demarc(a.demarc, a.dir, threads), harness.Lines(a.json)
    data = a.data or harness.write_rows(a.dir / f"rows-{n}x{FEATURES}-{SEGMENTS}.h5", n, FEATURES, SEGMENTS)
    file_bytes = data.stat().st_size

    def read_dd():
        return dd(f"if={data}", "of=/dev/null")

    def fit(*options):
        stayed = cool(data)
        wall, manifest, diagnostics = demarc.fit(data, "--segments", SEGMENTS, *options, ranks=a.ranks)
        results = sum(f.stat().st_size for f in (a.dir / "run").iterdir())
        read = sum(phase["bytes"] for phase in manifest["phases"] if phase["name"] != "write")
        harness.say(f"fit {' '.join(options) or 'in memory'}: {wall:.2f} s, {read / file_bytes:.1f} times the file read")
        return {"seconds": wall, "results": results, "read": read, "cached": stayed,
                "passes": diagnostics["iterations"], "streamed": manifest["layout"]["streamed"],
                "manifest": harness.manifest_layout(manifest)}

    def bare(results):
        stayed = cool(data)
        cold = read_dd()
        warm = read_dd()
        zeros = a.dir / "dd.out"
        try:
            write = dd("if=/dev/zero", f"of={zeros}", f"count={results}", "iflag=count_bytes", "conv=fsync")
        finally:
            zeros.unlink(missing_ok=True)
        harness.say(f"dd: read {cold:.2f} s, from the page cache {warm:.2f} s, write {write:.2f} s")
        return {"read": cold, "read_cached": warm, "write": write, "cached": stayed}

    def measure(turn):
        line = {"file": file_bytes}
        for part in ["fit", "dd", "stream"][::1 if turn % 2 == 0 else -1]:
            if part == "dd":
                line["dd"] = bare((line.get("fit") or line["stream"])["results"])
            else:
                line[part] = fit(*(["--memory-limit", limit] if part == "stream" else []))
        return line

    key = {"part": "io", "data": str(data.absolute()), "file": file_bytes, "ranks": a.ranks, "threads": threads,
           "limit": limit, "demarc": demarc.identity}
    got = [lines.round({**key, "round": turn}, lambda: measure(turn)) for turn in range(rounds)]

    layout = got[0]["fit"]["manifest"]
    stayed = [r[part]["cached"] for r in got for part in ("dd", "fit", "stream")]
    cold = "cannot be told" if None in stayed else f"at most {100 * max(stayed):.1f}%"
    print(f"{data.name}, {file_bytes / 1e9:.2f} GB, results {got[0]['fit']['results'] / 1e9:.2f} GB; "
          f"{layout['layout']['ranks']} ranks x {layout['layout']['threads_per_rank']} threads, kernel "
          f"{layout['versions']['kernel']}; of the file in the page cache before each: {cold}\n")
    if not got[0]["stream"]["streamed"]:
        print(f"The file fits into --memory-limit {limit}: the row `stream` did not stream.\n")
    rows = []

    def add(name, part, bare_seconds):
        ours = [r[part]["seconds"] for r in got]
        rows.append([name, harness.spread(ours), harness.spread(bare_seconds),
                     harness.spread([o / b for o, b in zip(ours, bare_seconds)]),
                     " or ".join({f"{r[part]['manifest']['objective']:.9g}" for r in got})])

    add("fit, in memory; dd: read once, write once", "fit", [r["dd"]["read"] + r["dd"]["write"] for r in got])
    times = got[0]["stream"]["read"] / file_bytes
    add(f"stream, {limit}; dd: {times:.1f} times the file, cold", "stream",
        [r["dd"]["read"] * r["stream"]["read"] / file_bytes for r in got])
    add(f"stream, {limit}; dd: the file once cold, {max(times - 1.0, 0.0):.1f} times cached", "stream",
        [r["dd"]["read"] + r["dd"]["read_cached"] * max(r["stream"]["read"] / file_bytes - 1.0, 0.0) for r in got])
    harness.table(["what", "demarc's seconds, median (min-max)", "dd's seconds", "demarc / dd", "objective"], rows)
    phases = {name: [r["fit"]["manifest"]["phases"][name] for r in got] for name in layout["phases"]}
    harness.table(["phase of fit", "seconds", "streamed"], [
        [name, harness.spread(s), harness.spread([r["stream"]["manifest"]["phases"][name] for r in got])]
        for name, s in phases.items()])


if __name__ == "__main__":
    main()
