"""Boundary tests once more, by brute force in double precision: the oracle of `demarc boundary sweep`.

Nothing here is shared with the program but the definitions (CONTRACT section 5, the headers of src/boundary). Customers,
models and results are read with h5py; sums are Python's correctly rounded math.fsum. Functions return what the JSON of the
command holds, as dicts with its keys; a key that is left out is not defined by the data alone (bootstrap intervals), one
that begins with _ is for tests. `differences` compares the two.
`replay_oracle.py` and `experiment_oracle.py` (plan, analyze) go on from here.
"""
import ctypes
import ctypes.util
import math

import h5py
import numpy as np
from scipy import special, stats

SHIFTS = (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)


# ---------------------------------------------------------------------------------------------------- small things
def _xxhash():
    library = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    function = library.XXH3_64bits_withSeed
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return lambda data, seed: function(data, len(data), seed)


hash64 = _xxhash()


def total(values):
    return math.fsum(np.asarray(values, np.float64).ravel())


def llround(v):
    """C's llround of v >= 0: halves away from zero."""
    whole = math.floor(v)
    return int(whole) + (v - whole >= 0.5)


def two_sided(z):
    return float(2 * stats.norm.sf(abs(z)))


def quantile(p):
    return float(stats.norm.ppf(p))


def student_sf(t, freedom):
    """P(T > t) by the incomplete beta function, good in the tail; SciPy's own quantile is good to 1e-9 only."""
    tail = 0.5 * float(special.betainc(freedom / 2, 0.5, freedom / (freedom + t * t)))
    return tail if t >= 0 else 1 - tail


def student_quantile(q, freedom):
    """t with P(T > t) = q."""
    t = float(stats.t.isf(q, freedom))
    for _ in range(3):
        t += (student_sf(t, freedom) - q) / float(stats.t.pdf(t, freedom))
    return t


def mean(w, y):
    """sum w y / sum w, None of nothing."""
    weight = total(w)
    return total(w * y) / weight if weight > 0 else None


def mean_and_var(w, y):
    """The weighted mean and its variance sum w^2 (y - mean)^2 / (sum w)^2 n / (n - 1)."""
    m = mean(w, y)
    if m is None or len(y) < 2:
        return m, None
    return m, total((w * (y - m))**2) / total(w)**2 * len(y) / (len(y) - 1)


def estimate(value, var, alpha):
    if value is None:
        return None
    if var is None:
        return {"value": value, "se": None, "low": None, "high": None}
    se = math.sqrt(var)
    z = quantile(1 - alpha / 2)
    return {"value": value, "se": se, "low": value - z * se, "high": value + z * se}


def adjust(p, how):
    """R's p.adjust over the tests that were made; None stays None."""
    made = sorted((v, i) for i, v in enumerate(p) if v is not None)
    out = [None] * len(p)
    running = 0.0 if how == "holm" else 1.0
    m = len(made)
    for rank, (v, i) in (enumerate(made) if how == "holm" else reversed(list(enumerate(made)))):
        if how == "holm":
            running = max(running, min(1.0, (m - rank) * v))
        else:
            running = min(running, min(1.0, m * v / (rank + 1)))
        out[i] = running
    return out


def adjust_tests(tests, how):
    """Fill p_adjusted of dicts that have p; returns the number of tests."""
    for t, a in zip(tests, adjust([t["p"] for t in tests], how)):
        t["p_adjusted"] = a
    return sum(t["p"] is not None for t in tests)


def is_binary(y):
    present = y[~np.isnan(y)]
    return bool(np.isin(present, (0.0, 1.0)).all())


def enough(y, binary, min_cell, min_events):
    """Whether a cell with these present outcomes carries a test."""
    if len(y) < min_cell:
        return False
    return not binary or min((y == 1).sum(), (y == 0).sum()) >= min_events


def chi_squared(observed, expected):
    keep = np.asarray(expected) > 0
    o, e = np.asarray(observed, float)[keep], np.asarray(expected, float)[keep]
    value = total((o - e)**2 / e)
    freedom = int(keep.sum()) - 1
    return {"chi_squared": value, "freedom": freedom, "p": float(stats.chi2.sf(value, freedom))}


def differences(got, want, scale=1.0, rtol=1e-9, where=""):
    """Where `got` is not what `want` says: lines. Numbers within rtol, or 1e-12 of `scale` where they cancel out."""
    if isinstance(want, dict):
        if got is None and all(v is None for v in want.values()):
            return []
        if not isinstance(got, dict):
            return [f"{where}: {got!r}, expected {want!r}"]
        return [line for key, value in want.items() if not key.startswith("_") for line in (
            differences(got[key], value, scale, rtol, f"{where}.{key}") if key in got else [f"{where}: no {key}"])]
    if isinstance(want, (list, tuple)):
        if not isinstance(got, list) or len(got) != len(want):
            return [f"{where}: {got!r}, expected {len(want)} values: {want!r}"]
        return [line for i, value in enumerate(want) for line in differences(got[i], value, scale, rtol, f"{where}[{i}]")]
    if want is None and isinstance(got, dict) and all(v is None for v in got.values()):
        return []
    if isinstance(want, float) and isinstance(got, (int, float)) and not isinstance(got, bool):
        good = math.isclose(got, want, rel_tol=rtol, abs_tol=1e-12 * scale)
    else:
        good = got == want
    return [] if good else [f"{where}: {got!r}, expected {want!r}"]


def texts(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


# ------------------------------------------------------------------------------------------------ model and customers
class Ids:
    """/id or row numbers: an order and the bytes that are hashed."""

    def __init__(self, values, n):
        values = np.arange(n, dtype=np.int64) if values is None else values
        self.text = values.dtype.kind in "SO"
        if self.text:
            self.values = [v if isinstance(v, bytes) else str(v).encode() for v in values]
            self.bytes = self.values
        else:
            self.values = values.astype(np.uint64 if values.dtype == np.uint64 else np.int64)
            self.bytes = [v.tobytes() for v in self.values]
        order = sorted(range(n), key=lambda i: self.values[i])
        self.rank = np.empty(n, np.int64)
        self.rank[order] = np.arange(n)

    def hashes(self, seed):
        return np.array([hash64(b, seed) for b in self.bytes], np.uint64)


class Frozen:
    """A saved model over a customer file: distances, segments and critical offsets as the definition of a label says."""

    def __init__(self, model, data):
        with h5py.File(model) as f:
            g = f["transform"]
            origin, factor, log1p = g["origin"][()], g["factor"][()], g["log1p"][()] != 0
            self.unit, self.centroids = float(g.attrs["unit"]), g["centroids"][()]
            self.offset, self.size = f["offsets"][()], f["size"][()]
            self.digest = texts([f.attrs["digest"]])[0]
            names = texts(f["feature_names"][()]) if f["feature_names"].attrs["from_input"] else None
        with h5py.File(data) as f:
            v = f["features"][()].astype(np.float64)
            if names and "feature_names" in f["features"].attrs:
                have = texts(f["features"].attrs["feature_names"])
                v = v[:, [have.index(name) for name in names]]
            self.n, self.d, self.k = len(v), v.shape[1], len(self.centroids)
            self.w = f["weight"][()].astype(np.float32).astype(np.float64) if "weight" in f else np.ones(self.n)
            self.ids = Ids(f["id"][()] if "id" in f else None, self.n)
            self.names, self.y = [], np.empty((self.n, 0))
            if "outcomes" in f:
                self.y = f["outcomes"][()].astype(np.float64).reshape(self.n, -1)
                self.names = texts(f["outcomes"].attrs["outcome_names"])
            self.arm = f["arm"][()].astype(np.int64) if "arm" in f else None
            attributes = dict(f["arm"].attrs) if "arm" in f else {}
            self.arm_names = texts(attributes["arm_names"]) if "arm_names" in attributes else None
            self.named_control = texts([attributes["control"]])[0] if "control" in attributes else None
            self.propensity = f["propensity"][()].astype(np.float64) if "propensity" in f else None
        v = np.where(log1p, np.log1p(np.where(log1p, v, 0)), v)
        self.x = ((v - origin) * factor / self.unit).astype(np.float32).astype(np.float64)
        self._distances()

    def _distances(self):
        part = [np.zeros((self.n, self.k)) for _ in range(8)]  # the order of summation is part of a label's definition
        for f in range(self.d):
            part[f % 8] += (self.x[:, f, None] - self.centroids[None, :, f])**2
        s = ((part[0] + part[4]) + (part[2] + part[6])) + ((part[1] + part[5]) + (part[3] + part[7]))
        self.squared = s * self.unit**2
        self.q = self.squared - self.offset
        rows = np.arange(self.n)
        self.segment = self.q.argmin(1)
        rest = self.q.copy()
        rest[rows, self.segment] = np.inf
        self.runner_up = rest.argmin(1)
        self.t = np.empty((self.n, self.k))
        for j in range(self.k):
            other = np.where(self.segment == j, self.runner_up, self.segment)
            self.t[:, j] = self.squared[:, j] - (self.squared[rows, other] - self.offset[other])

    def gap(self, a, b):
        return math.sqrt(total((self.centroids[a] - self.centroids[b])**2)) * self.unit

    def head(self, command, seed, alpha, how, tests):
        seed = seed if seed < 2**63 else str(seed)  # as in manifest.json
        return {"command": command, "n": self.n, "d": self.d, "k": self.k, "model_digest": self.digest, "seed": seed,
                "alpha": alpha, "adjust": how, "tests": tests}


class Move:
    """Segment j made to hold (1 + s) of its customers."""

    def __init__(self, f, j, s):
        self.segment, self.shift = j, s
        member = f.segment == j
        self.target = llround((1.0 + s) * int(member.sum()))
        self.possible = self.target <= f.n
        if not self.possible:
            return
        order = np.lexsort((f.ids.rank, ~member, f.t[:, j]))
        inside = np.zeros(f.n, bool)
        inside[order[:self.target]] = True
        t = f.t[order, j]
        self.inside = t[self.target - 1] if self.target > 0 else -math.inf
        self.outside = t[self.target] if self.target < f.n else math.inf
        self.tied = int((f.t[~inside, j] == self.inside).sum())
        self.movers = inside & ~member if s > 0 else member & ~inside
        self.other = np.where(self.movers, f.segment if s > 0 else f.runner_up, -1)  # where they come from, or go
        self.after = np.where(self.movers, j if s > 0 else f.runner_up, f.segment)
        self.stays = ~self.movers

    def offset_is_right(self, offset):
        """The middle of the two neighbours where both exist, else beyond the one that does; the tie's where ids decide."""
        if self.tied:
            return offset == self.inside
        if math.isinf(self.inside):
            return offset <= self.outside
        if math.isinf(self.outside):
            return offset > self.inside
        return math.isclose(offset, (self.inside + self.outside) / 2, rel_tol=1e-12, abs_tol=1e-12)

    def row(self):
        out = {"segment": self.segment, "shift": self.shift, "target": self.target}
        return out | ({"tied": self.tied, "movers": int(self.movers.sum())} if self.possible else {})


# ---------------------------------------------------------------------------------------------------------------- sweep
def eta_squared(segment, w, y):
    here = ~np.isnan(y)
    m = mean(w[here], y[here])
    if m is None:
        return None
    spread = total(w[here] * (y[here] - m)**2)
    if not spread > 0:
        return None
    between = 0.0
    for l in np.unique(segment[here]):
        cell = here & (segment == l)
        if w[cell].sum() > 0:
            between += total(w[cell]) * (mean(w[cell], y[cell]) - m)**2
    return between / spread


def sweep_sets(f, move, y):
    """(present movers, [(other segment, its customers that are compared)], customers of j that are compared)."""
    here = ~np.isnan(y)
    movers = move.movers & here
    if move.shift > 0:
        sides = [(l, here & move.stays & (f.segment == l)) for l in np.unique(move.other[movers])]
        own = here & (f.segment == move.segment)
    else:
        sides = [(l, here & (f.segment == l)) for l in np.unique(move.other[movers])]
        own = here & move.stays & (f.segment == move.segment)
    return movers, sides, own


def sweep_figures(f, move, y, w):
    """Means of movers, of the segment left and of the one joined, change of eta squared, D and C; w as weights."""
    movers, sides, own = sweep_sets(f, move, y)
    mine = mean(w[own], y[own])
    weight, sum_ = 0.0, 0.0
    for l, rows in sides:
        share = total(w[movers & (move.other == l)])
        nu = mean(w[rows], y[rows])
        if share > 0:
            weight += share
            sum_ = None if nu is None or sum_ is None else sum_ + share * nu
    others = sum_ / weight if weight > 0 and sum_ is not None else None
    left, joined = (others, mine) if move.shift > 0 else (mine, others)
    m = mean(w[movers], y[movers])
    before, after = eta_squared(f.segment, w, y), eta_squared(move.after, w, y)
    whole = None not in (m, left, joined)
    return {"movers": m, "left": left, "joined": joined,
            "eta_squared_change": None if None in (before, after) else after - before,
            "difference": joined - left if whole else None, "contrast": 2 * m - left - joined if whole else None}


def objective_change(f, move, w):
    rows = np.flatnonzero(move.movers)
    return total(w[rows] * (f.squared[rows, move.after[rows]] - f.squared[rows, f.segment[rows]]))


def sweep_testable(f, move, y, min_cell, min_events):
    movers, sides, own = sweep_sets(f, move, y)
    behind = sum(int(rows.sum()) for _, rows in sides)
    return enough(y[movers], is_binary(y), min_cell, min_events) and min(behind, int(own.sum())) >= min_cell


def sweep(f, shifts=SHIFTS, min_cell=30, min_events=5):
    """All of a sweep but what comes of replicates. Each outcome of a shift has "_testable"."""
    objective = total(f.w * f.squared[np.arange(f.n), f.segment])
    rows = []
    for j in range(f.k):
        for s in shifts:
            move = Move(f, j, s)
            row = move.row() | {"status": "ok" if move.possible else "impossible"}
            rows.append(row)
            if not move.possible:
                continue
            change = objective_change(f, move, f.w)
            with_ = [{"segment": int(l), "count": int((move.other == l).sum())} for l in np.unique(move.other[move.movers])]
            row |= {"_move": move, "movers_weight": total(f.w[move.movers]), "with": with_,
                    "objective_change": {"value": change}, "objective_change_share": change / objective, "outcomes": []}
            for o, name in enumerate(f.names):
                y = f.y[:, o]
                v = sweep_figures(f, move, y, f.w)
                row["outcomes"].append({"name": name, "n": int((move.movers & ~np.isnan(y)).sum()),
                                        "_testable": sweep_testable(f, move, y, min_cell, min_events),
                                        **{key: {"value": value} for key, value in v.items()}})
    outcomes = [{"name": name, "n": int((~np.isnan(y)).sum()), "mean": mean(f.w[~np.isnan(y)], y[~np.isnan(y)]),
                 "eta_squared": eta_squared(f.segment, f.w, y), "binary": is_binary(y)} for name, y in zip(f.names, f.y.T)]
    segments = [{"segment": j, "size": int((f.segment == j).sum()), "offset": float(f.offset[j])} for j in range(f.k)]
    return {"observational": True, "min_cell": min_cell, "min_events": min_events, "objective": objective,
            "outcomes": outcomes, "segments": segments, "shifts": rows}


def sweep_verdict(difference, contrast, testable, p_adjusted, alpha):
    """Of the values and the adjusted p."""
    if not testable or p_adjusted is None:
        return "not enough data"
    if p_adjusted > alpha:
        return "undecided"
    return "joined" if (difference > 0) == (contrast > 0) else "left"
