#!/usr/bin/python3
"""Validity of the boundary tests by simulation: errors under a true null, coverage, power, one process an experiment.

usage: bench/validity/validity.py DEMARC [--experiments N] [--study NAME,...] [--json FILE] [--workers N]

The studies are those of tests/support/boundary_simulation.py: worlds with a known truth, drawn by NumPy from the number of
the experiment. Prints a Markdown table, NO where a claim does not hold, and then ends with exit code 1. A run with the same
--json FILE and program goes on where one was stopped.
"""
import argparse
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "tests" / "support")]
import boundary_simulation as simulation  # noqa: E402
import harness  # noqa: E402

BATCH = 50  # experiments a JSON line


def study_results(run, identity, lines, study, experiments, workers):
    results = []
    for begin in range(0, experiments, BATCH):
        seeds = range(begin, min(begin + BATCH, experiments))

        def measure():
            start = time.perf_counter()
            done = simulation.experiments(run, study, seeds, workers)
            harness.say(f"{study}: {seeds[0]} to {seeds[-1]}")
            return {"results": done, "seconds": time.perf_counter() - start}

        key = {"study": study, "from": seeds[0], "experiments": len(seeds), "demarc": identity}
        results += lines.round(key, measure)["results"]
    return results


def claim_text(study, figure):
    if (study, figure) not in simulation.CLAIMS:
        return ""
    low, high, grace = simulation.CLAIMS[study, figure]
    text = f"at most {100 * high:g}" if low == 0.0 else f"{100 * low:g} to {100 * high:g}"
    return text + (f" + {grace} se" if grace else "")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1].splitlines()[0])
    parser.add_argument("demarc")
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--study", default=",".join(simulation.STUDIES))
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--workers", type=int, default=2)
    o = parser.parse_args()
    unknown = set(o.study.split(",")) - set(simulation.STUDIES)
    if unknown:
        parser.error(f"no study {', '.join(sorted(unknown))}; there are {', '.join(simulation.STUDIES)}")
    run, lines = simulation.Program(harness.program(o.demarc)), harness.Lines(o.json)
    rows, good = [], True
    for study in o.study.split(","):
        results = study_results(run, harness.identity(o.demarc), lines, study, o.experiments, o.workers)
        for figure, (rate, error, trials) in simulation.summary(results).items():
            held = simulation.holds(study, figure, rate, error)
            good = good and held is not False
            rows.append([study.replace("_", " "), figure, f"{100 * rate:.1f} +- {100 * error:.1f}", trials,
                         claim_text(study, figure), {True: "yes", False: "NO", None: ""}[held]])
    print(f"{o.experiments} experiments of each study; rates in percent with their Monte Carlo standard error\n")
    harness.table(["study", "figure", "rate", "trials", "claimed", "holds"], rows)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
