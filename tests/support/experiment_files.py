"""Experiments that no plan drew: experiment.h5 and results files by h5py, with a known effect along the distance."""
import h5py
import numpy as np


def write_experiment(path, n=3000, pairs=((0, 1),), strata=4, share=0.5, seed=1, ids=None, digest="ab" * 16, order=None,
                     columns=None, **attributes):
    """
    Bands of margin <= 1 + boundary. `columns` replaces what is drawn; `order` puts the rows in another order.
    @return the columns as a dict, with "x": signed distance and "as_second": treated as the boundary's second segment
    """
    rng = np.random.default_rng(seed)
    pair = np.asarray(pairs, np.int32)
    e = {"boundary": rng.integers(0, len(pairs), n).astype(np.int32), "side": rng.integers(0, 2, n)}
    band = 1.0 + np.arange(len(pairs))
    e["margin"] = rng.random(n) * band[e["boundary"]]
    e["propensity"] = np.full(n, share)
    e["arm"] = (rng.random(n) < share).astype(np.int32)
    e |= columns or {}
    n = len(e["boundary"])
    e["id"] = np.arange(n) * 7 - 50 if ids is None else np.asarray(ids)
    e["row"] = np.arange(n)
    e["segment"], e["other"] = pair[e["boundary"], e["side"]], pair[e["boundary"], 1 - e["side"]]
    e["stratum"] = np.empty(n, np.int32)
    for b in range(len(pairs)):
        for s in (0, 1):
            rows = np.flatnonzero((e["boundary"] == b) & (e["side"] == s))
            rank = np.argsort(np.argsort(e["margin"][rows], kind="stable"), kind="stable")
            e["stratum"][rows] = (b * 2 + s) * strata + rank * strata // max(len(rows), 1)
    if order is not None:
        e = {name: v[order] for name, v in e.items()}
    with h5py.File(path, "w") as f:
        for name, v in e.items():
            if name != "side":
                f[name] = v
        f["boundaries"] = pair
        f["gap"] = attributes.pop("gap", 2.0 + np.arange(len(pairs)) / 4)
        f["band"] = attributes.pop("band", band)
        f.attrs.update({"kind": "experiment", "format_version": np.int64(1), "model_digest": digest, "salt": "s",
                        "outcome": "spend", "seed": np.uint64(0), "distance_strata": np.int64(strata),
                        "customers": np.int64(n), "alpha": 0.05, "power": 0.8, "effect": 0.1, "outcome_sd": 1.0,
                        "switch_share": share} | attributes)
    e["x"] = np.where(e["side"] == 1, e["margin"], -e["margin"])
    e["as_second"] = e["arm"] != e["side"]
    return e


def write_results(path, ids, outcomes, order=None):
    """outcomes {name: values}; no features."""
    y = np.column_stack([np.asarray(v, np.float64) for v in outcomes.values()])
    ids = np.asarray(ids)
    if order is not None:
        ids, y = ids[order], y[order]
    with h5py.File(path, "w") as f:
        f["id"] = ids.astype(object) if ids.dtype.kind == "U" else ids  # text: variable length
        f["outcomes"] = y
        f["outcomes"].attrs["outcome_names"] = list(outcomes)
    return path


def outcomes_of(e, seed=2, level=0.0, slope=0.0):
    """A covariate, an outcome whose effect of being treated as the second segment is level + slope x, a 0/1 one."""
    rng = np.random.default_rng(seed)
    n = len(e["id"])
    before = rng.standard_normal(n)
    spend = 20 + before + e["as_second"] * (level + slope * e["x"]) + rng.standard_normal(n)
    visit = (rng.random(n) < 0.3).astype(float)
    return {"before": before, "spend": spend, "visit": visit}
