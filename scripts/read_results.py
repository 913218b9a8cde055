#!/usr/bin/python3
"""Example: read the results of `demarc fit` with h5py and print the size and centre of every segment.

    scripts/read_results.py RESULTS_DIRECTORY
"""
import argparse
import pathlib
import sys

import h5py
import numpy as np

parser = argparse.ArgumentParser(description="prints the size and centre of every segment of a fit")
parser.add_argument("run", metavar="RESULTS_DIRECTORY", type=pathlib.Path)
run = parser.parse_args().run

with h5py.File(run / "model.h5") as f:
    names = f["feature_names"].asstr()[:]
    centroids = f["centroids"][:]  # [k, d], original units
    stored_size = f["size"][:]
    objective = f.attrs["objective"]

with h5py.File(run / "assignments.h5") as f:  # rows in the order of the input
    ids = f["id"][:]
    segment = f["segment"][:]
    margin = f["margin"][:]  # distance to the boundary with the runner-up

size = np.bincount(segment, minlength=len(centroids))
if not np.array_equal(size, stored_size):
    sys.exit("model.h5 and assignments.h5 are not of the same fit")

print(f"{len(ids)} customers, {len(centroids)} segments, objective {objective:.6g}")
for j, centre in enumerate(centroids):
    members = segment == j
    near = margin[members].mean() if size[j] else float("nan")
    print(f"segment {j}: {size[j]} customers ({size[j] / len(ids):.1%}), mean margin {near:.3g}")
    print("    " + ", ".join(f"{name} {round(float(value), 6) + 0.0:.4g}" for name, value in zip(names, centre)))
