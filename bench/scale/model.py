#!/usr/bin/python3
"""A Lloyd pass on many ranks by the LogGP model. Prints a projection, not a measurement.

usage: bench/scale/model.py [--constants FILE] [--customers N] [--ranks MOST]      prints the table
       bench/scale/model.py --measure BUILD [--constants FILE] [--rounds N]        measures the constants, keeps the rest

    pass(P)    = ceil(blocks / P) x 4096 x seconds a row  +  sum over the all-reduces of a pass of reduce(P, m)
    reduce(P, m) = ceil(log2 P) x (L + 2 o + (m - 1) G + rest(m))                 recursive doubling, m bytes

L, o, g, G are those of Alexandrov, Ionescu, Schauser & Scheiman, "LogGP: incorporating long messages into the LogP
model", SPAA 1995. g does not show, as a rank sends one message a step and g < L + 2 o. rest(m) is what an all-reduce on
2 ranks of this machine takes beyond L + 2 o + (m - 1) G: its additions and the protocol of MPI, which LogGP leaves out.
Assumptions are printed with the table.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import numpy as np  # noqa: E402

import harness  # noqa: E402

BLOCK_ROWS = 4096  # DM_BLOCK_ROWS: a block is never split between ranks


def json_lines(command, env):
    done = subprocess.run([str(c) for c in command], env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]


def measure(build, rounds, d, k):
    """Seconds a row and core with all cores busy, and the cost of messages between two ranks of this machine."""
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1")
    cores, n = len(os.sched_getaffinity(0)), 8_000_000  # well beyond the caches
    passes = json_lines([harness.program(build / "bench/lloyd_pass"), "--threads", cores, "--rounds", rounds,
                         "--workload", f"W:{n}:{d}:{k}"], env)
    best = min(passes, key=lambda line: line["median"])
    costs = json_lines(["mpirun", "--bind-to", "none", "-n", "2", harness.program(build / "bench/message_cost"),
                        "--rounds", rounds], env)
    figure = {line["figure"]: line["median"] for line in costs if line["figure"] != "all-reduce"}
    return {"machine": harness.machine(), "kernel": best["kernel"],
            "seconds_per_row": best["median"] * cores / n,
            "seconds_per_row_note": f"{n} x {d}, k={k}, median of {rounds}: {cores} threads x seconds / rows",
            **figure, "all_reduce": [[line["bytes"], line["median"]] for line in costs
                                     if line["figure"] == "all-reduce"]}


class Model:
    def __init__(self, constants, customers):
        self.measured, self.assumed, self.n = constants["measured"], constants["assumed"], customers

    def step(self, net, m):
        return net["L"] + 2.0 * net["o"] + (m - 1) * net["G"]

    def rest(self, m):
        size, seconds = zip(*self.measured["all_reduce"])
        return max(0.0, float(np.interp(m, size, seconds)) - self.step(self.measured, m))

    def messages(self, net, ranks):
        sizes = self.assumed["reduced_bytes"] + [4] * self.assumed["agreements"]
        return math.ceil(math.log2(ranks)) * sum(self.step(net, m) + self.rest(m) for m in sizes)

    def compute(self, ranks):
        blocks = math.ceil(self.n / BLOCK_ROWS)
        return min(math.ceil(blocks / ranks) * BLOCK_ROWS, self.n) * self.measured["seconds_per_row"]


def print_table(model, most):
    a, m, net = model.assumed, model.measured, model.assumed["network"]
    one = model.compute(1)
    rows = []
    for ranks in (1 << i for i in range(most.bit_length()) if 1 << i <= most):
        compute, shared, far = model.compute(ranks), model.messages(m, ranks), model.messages(net, ranks)
        rows.append([f"{ranks:,}", f"{model.n / ranks:,.0f}", f"{1e3 * compute:,.2f}", f"{1e3 * shared:.3f}",
                     f"{1e3 * far:.3f}", f"{1e3 * (compute + far):,.2f}", f"{one / (compute + far):,.0f}",
                     f"{100.0 * one / (compute + far) / ranks:.1f}%"])
    print(f"A projection of one Lloyd pass over {model.n:,} x {a['features']}, k={a['segments']}; nothing here was run.\n")
    harness.table(["ranks", "customers a rank", "compute, ms", "messages, ms: this machine's memory",
                   f"messages, ms: {net['name']}", f"pass, ms: {net['name']}", "times faster than 1 rank", "efficiency"],
                  rows)
    print("Assumptions:")
    for line in (f"a rank is a core that takes {1e9 * m['seconds_per_row']:.2f} ns a customer, as measured here with all "
                 f"{m['machine']['cores']} cores busy (kernel {m['kernel']}), and has that share of memory bandwidth; "
                 f"its customers are in memory",
                 f"measured on this machine: L {1e6 * m['L']:.2f} us, o {1e6 * m['o']:.3f} us, g {1e6 * m['g']:.3f} us, "
                 f"G {1e9 * m['G']:.3f} ns a byte",
                 f"assumed of {net['name']}: L {1e6 * net['L']:.2f} us, o {1e6 * net['o']:.3f} us, g "
                 f"{1e6 * net['g']:.3f} us, G {1e9 * net['G']:.3f} ns a byte; every message crosses it, none waits for "
                 f"another",
                 f"a pass has all-reduces of {' and '.join(map(str, a['reduced_bytes']))} bytes and {a['agreements']} "
                 f"agreements on errors of 4 bytes, by recursive doubling",
                 "left out: ranks that wait for a slow one, reading, seeding and writing"):
        print(f"- {line}.")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--constants", type=pathlib.Path, default=pathlib.Path(__file__).with_name("constants.json"))
    p.add_argument("--measure", type=pathlib.Path, metavar="BUILD", help="build folder, such as build/release")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--customers", type=int, default=1_000_000_000)
    p.add_argument("--ranks", type=int, default=4096)
    a = p.parse_args()
    constants = json.loads(a.constants.read_text())
    if a.measure:
        assumed = constants["assumed"]
        constants["measured"] = measure(a.measure, a.rounds, assumed["features"], assumed["segments"])
        a.constants.write_text(json.dumps(constants, indent=2) + "\n")
        harness.say(f"{a.constants}: measured")
        return
    print_table(Model(constants, a.customers), a.ranks)


if __name__ == "__main__":
    main()
