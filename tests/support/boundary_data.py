"""Models and customers of the boundary tests, written with h5py: known centroids, ties, ids of all kinds."""
import h5py
import numpy as np


def write_model(path, centroids, offsets=None, size=None, digest="0123456789abcdef0123456789abcdef"):
    """A model.h5 of known centroids, not scaled: original, scaled and working space are one."""
    c = np.atleast_2d(np.asarray(centroids, np.float64))
    k, d = c.shape
    with h5py.File(path, "w") as f:
        f["centroids"] = f["centroids_scaled"] = c
        f["offsets"] = np.zeros(k) if offsets is None else np.asarray(offsets, np.float64)
        f["size"] = np.zeros(k, np.int64) if size is None else np.asarray(size, np.int64)
        f.create_dataset("feature_names", data=[f"f{i}" for i in range(d)], dtype=h5py.string_dtype())
        f["feature_names"].attrs["from_input"] = np.int64(0)
        g = f.create_group("transform")
        g["log1p"], g["center"], g["factor"], g["origin"] = np.zeros(d, np.uint8), np.zeros(d), np.ones(d), np.zeros(d)
        g["centroids"] = c
        g.attrs.update({"unit": 1.0, "scale": "none", "missing": "error"})
        f.attrs.update({"format_version": np.int64(1), "objective": 0.0, "digest": digest, "seed": np.uint64(0),
                        "iterations": np.int64(0), "created_utc": "2000-01-01T00:00:00Z"})
    return path


def write_customers(path, features, outcomes=None, arm=None, **columns):
    """A customer file: outcomes {name: values}, arm (codes, names or None), id=, weight=, propensity=."""
    with h5py.File(path, "w") as f:
        if features is not None:
            f["features"] = np.asarray(features)
        if outcomes is not None:
            f["outcomes"] = np.column_stack([np.asarray(y, np.float64) for y in outcomes.values()])
            f["outcomes"].attrs["outcome_names"] = list(outcomes)
        if arm is not None:
            f["arm"] = np.asarray(arm[0], np.int32)
            if arm[1] is not None:
                f["arm"].attrs["arm_names"] = list(arm[1])
        for name, values in columns.items():
            f[name] = values
    return path


def move_offsets(model, offsets):
    """Give a model other offsets in place."""
    with h5py.File(model, "r+") as f:
        f["offsets"][...] = offsets
    return model


def string_ids(n, rng):
    """Bytes of unlike length in no order; some are beginnings of others."""
    ids = np.array([f"{'c' * (1 + i % 3)}{i}" if i % 5 else f"c{i}x" for i in range(n)], dtype="S")
    return rng.permutation(ids)


def clusters(rng, n, d, k, spread=1.0):
    """Overlapping groups of unequal size."""
    centres = rng.normal(0, 1.5, (k, d))
    group = rng.choice(k, n, p=np.arange(k, 0, -1) / (k * (k + 1) / 2))
    return centres[group] + spread * rng.standard_normal((n, d)), group


def outcomes_of(rng, x, group):
    """A binary one, a large one with little spread, a skewed one with missing values."""
    n = len(x)
    spend = 1e5 + 3.0 * x[:, 0] + rng.standard_normal(n)
    visit = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    tenure = rng.lognormal(0, 1, n) + 0.3 * group
    tenure[rng.random(n) < 0.15] = np.nan
    return {"visit": visit, "spend": spend, "tenure": tenure}
