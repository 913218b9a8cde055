#!/usr/bin/python3
"""Example: write a customer file for demarc with h5py. Only /features is required; every other dataset is optional.

    scripts/write_customers.py OUT.h5 [CUSTOMERS]
"""
import argparse

import h5py
import numpy as np

parser = argparse.ArgumentParser(description="writes an example customer file for demarc")
parser.add_argument("out", metavar="OUT.h5")
parser.add_argument("customers", metavar="CUSTOMERS", type=int, nargs="?", default=10_000)
arguments = parser.parse_args()
out, n = arguments.out, arguments.customers
rng = np.random.default_rng(1)

# Your own table goes here: one row per customer, one column per feature, any float or integer type.
regular = rng.random(n) < 0.3
orders = rng.poisson(np.where(regular, 12, 2)) + 1
spend = orders * rng.lognormal(np.where(regular, 3.2, 4.0), 0.5)
recency = rng.exponential(np.where(regular, 20, 150))
features = np.column_stack([recency, orders, spend])
arm = rng.integers(0, 2, n)
visit = rng.random(n) < 0.05 + 0.10 * regular + 0.03 * arm

with h5py.File(out, "w") as f:
    f["features"] = features
    f["features"].attrs["feature_names"] = ["recency_days", "orders", "spend"]

    # Must be unique; integers or strings. Without it, the row number is the id.
    f["id"] = [f"C{i:08d}" for i in range(n)]
    # How much a customer counts; >= 0.
    f["weight"] = np.ones(n, np.float32)
    # What happened afterwards. Never used to draw segments, only to compare them.
    f["outcomes"] = np.column_stack([visit, visit * rng.lognormal(3, 1, n)]).astype(np.float32)
    f["outcomes"].attrs["outcome_names"] = ["visit", "revenue"]
    # The arm of a past randomised campaign, 0 = control, and the probability of each arm.
    f["arm"] = arm
    f["arm"].attrs["arm_names"] = ["control", "mail"]
    f["arm"].attrs["control"] = "control"
    f["propensity"] = np.full((n, 2), 0.5)
    # 1 = may be contacted on that channel.
    f["reachable"] = (rng.random((n, 2)) < [0.9, 0.4]).astype(np.uint8)
    f["reachable"].attrs["channel_names"] = ["mail", "phone"]

print(f"{out}: {n} customers, {features.shape[1]} features")
