"""What `demarc compare` should say, computed from its definitions with numpy, scipy and scikit-learn alone.

`compare(old_run, new_run, old_data, new_data)` returns a document of the same shape; it reads the model and assignments
files by h5py and decides everything else anew, with brute force where there is a choice.
"""
import json
import pathlib

import h5py
import numpy as np
from scipy import special, stats
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, mutual_info_score

STEPS = ("customer_changed", "scaling_changed", "model_changed")


def text(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


class Run:
    """A results directory and its customer file."""

    def __init__(self, folder, data):
        with h5py.File(pathlib.Path(folder) / "model.h5") as f:
            self.feature = text(f["feature_names"][()])
            self.segment = text(f["segment_name"][()])
            self.centroids = f["centroids_scaled"][()]
            t = f["transform"]
            self.center, self.factor, self.origin = t["center"][()], t["factor"][()], t["origin"][()]
            self.log1p = t["log1p"][()].astype(bool)
            self.digest, self.objective = f.attrs["digest"], f.attrs["objective"]
        with h5py.File(pathlib.Path(folder) / "assignments.h5") as f:
            self.label, ids = f["segment"][()], f["id"][()]
        self.ids = text(ids) if ids.dtype.kind in "SO" else [int(v) for v in ids]
        self.k = len(self.centroids)
        with h5py.File(data) as f:
            columns = text(f["features"].attrs["feature_names"])
            x = f["features"][()].astype(float)
            self.x = {name: x[:, i] for i, name in enumerate(columns)}
            self.weighted = "weight" in f
            self.w = f["weight"][()].astype(float) if self.weighted else np.ones(len(x))
            self.outcome = {}
            if "outcomes" in f:
                y = f["outcomes"][()].astype(float)
                self.outcome = {name: y[:, i] for i, name in enumerate(text(f["outcomes"].attrs["outcome_names"]))}

    def scale(self, other):
        """Values of `other`'s customers in this run's scaled space; a missing one is at the mean."""
        t = []
        for i, name in enumerate(self.feature):
            v = np.log1p(other.x[name]) if self.log1p[i] else other.x[name]
            t.append((np.where(np.isnan(v), self.origin[i], v) - self.center[i]) * self.factor[i])
        return np.column_stack(t)


def nearest(x, centroids):
    return ((x[:, None, :] - centroids[None]) ** 2).sum(2).argmin(1)


def holm(p):
    """Adjusted p-values, NaN = not made; and their number."""
    p = np.asarray(p, float)
    made = np.flatnonzero(~np.isnan(p))
    out = np.full(len(p), np.nan)
    worst = 0.0
    for rank, i in enumerate(made[np.argsort(p[made], kind="stable")]):
        worst = max(worst, min(1.0, (len(made) - rank) * p[i]))
        out[i] = worst
    return out, len(made)


# ---------------------------------------------------------------------------------------------------- who is where

def matching(old, new, doc):
    where = {v: i for i, v in enumerate(old.ids)}
    before = np.array([old.label[where[v]] if v in where else -1 for v in new.ids])
    common = before >= 0
    counts = np.zeros((old.k, new.k), int)
    np.add.at(counts, (before[common], new.label[common]), 1)
    row, column = counts.sum(1), counts.sum(0)
    either = row[:, None] + column[None] - counts
    jaccard = np.where(either > 0, counts / np.maximum(either, 1), 0.0)
    pairs = {int(j): int(i) for i, j in zip(*linear_sum_assignment(jaccard, maximize=True)) if jaccard[i, j] > 0}
    sizes = [np.bincount(r.label, minlength=r.k) for r in (old, new)]
    segments, colour = [], old.k
    for j in sorted(pairs):
        i = pairs[j]
        segments.append(dict(old=i, new=j, name=old.segment[i], colour=i, status="matched", common=int(counts[i, j]),
                             jaccard=jaccard[i, j], old_size=int(sizes[0][i]), new_size=int(sizes[1][j])))
    for i in sorted(set(range(old.k)) - set(pairs.values())):
        segments.append(dict(old=i, new=None, name=old.segment[i], colour=i, status="died", common=0, jaccard=0.0,
                             old_size=int(sizes[0][i]), new_size=0))
    for j in sorted(set(range(new.k)) - set(pairs)):
        name, n = new.segment[j], 0
        while name in [s["name"] for s in segments]:
            n += 1
            name = new.segment[j] + (" (new)" if n == 1 else f" (new {n})")
        segments.append(dict(old=None, new=j, name=name, colour=colour, status="born", common=0, jaccard=0.0, old_size=0,
                             new_size=int(sizes[1][j])))
        colour += 1
    a, b = before[common], new.label[common]
    h = [stats.entropy(np.bincount(v)) for v in (a, b)]
    partner = np.array([pairs.get(j, -1) for j in range(new.k)])
    l3 = partner[new.label]
    moved = common & (l3 != before)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / row[:, None], counts / column[None]
    doc["customers"] = dict(common=int(common.sum()), entered=int((~common).sum()), left=len(old.ids) - int(common.sum()))
    doc["segments"] = segments
    doc["migration"] = dict(counts=counts.tolist(), row_share=shares[0].tolist(), column_share=shares[1].tolist(),
                            entered=np.bincount(new.label[~common], minlength=new.k).tolist(),
                            left=(sizes[0] - row).tolist(), moved=int(moved.sum()), moved_share=moved.sum() / common.sum())
    doc["agreement"] = dict(adjusted_rand=adjusted_rand_score(a, b),
                            variation_of_information=h[0] + h[1] - 2 * mutual_info_score(a, b),
                            variation_of_information_max=min(np.log(common.sum()), np.log(old.k) + np.log(new.k)))
    return before, pairs, l3


def decomposition(old, new, before, l3, doc):
    l1 = nearest(old.scale(new), old.centroids)
    order = [old.feature.index(name) for name in new.feature]
    l2 = nearest(new.scale(new), old.centroids[:, order])
    moved = (before >= 0) & (l3 != before)
    step = np.where(l1 != before, 0, np.where(l2 != before, 1, 2))
    rows = []
    for j in range(old.k):
        here = moved & (before == j)
        rows.append(dict(old=j, moved=int(here.sum()), **{s: int((here & (step == i)).sum()) for i, s in enumerate(STEPS)}))
    total = {key: sum(r[key] for r in rows) for key in ("moved", *STEPS)}
    doc["decomposition"] = dict(**total, segments=rows)


# ---------------------------------------------------------------------------------------------------- drift

def spread(x, w):
    mean = x[0] + np.average(x - x[0], weights=w)
    return mean, np.sqrt(np.average((x - mean) ** 2, weights=w))


def effective(w, weighted):
    return w.sum() ** 2 / (w ** 2).sum() if weighted else float(len(w))


def upto(x, w, at):
    """Share of the weight at values <= at."""
    return w[x <= at].sum() / w.sum()


def psi(x, wx, y, wy, bins, n, m):
    """Index and bins: edges by the inverse of the old distribution function, found by walking all its values."""
    values = np.unique(x)
    share = np.array([upto(x, wx, v) for v in values])
    edges = []
    for b in range(1, bins):
        edge = values[np.argmax(share >= b / bins - 1e-12)]
        if edge != values[-1] and edge not in edges:
            edges.append(edge)
    ends = [*edges, np.inf]
    p, q = (np.diff([0.0, *[upto(v, w, e) for e in ends]]) for v, w in ((x, wx), (y, wy)))
    p, q = np.where(p > 1e-12, p, 0.5 / n), np.where(q > 1e-12, q, 0.5 / m)
    return ((q - p) * np.log(q / p)).sum(), len(ends)


def drift_row(name, old, new, in_old, in_new, bins):
    sides = []
    for run, here in ((old, in_old), (new, in_new)):
        here = here & (run.w > 0)
        x, w = run.x[name][here], run.w[here]
        sides.append((x[~np.isnan(x)], w[~np.isnan(x)], int(np.isnan(x).sum())))
    (x, wx, gone_x), (y, wy, gone_y) = sides
    n, m = effective(wx, old.weighted), effective(wy, new.weighted)
    mean, sd = spread(x, wx)
    every = np.unique(np.concatenate([x, y]))
    ks = max(abs(upto(x, wx, v) - upto(y, wy, v)) for v in every)
    index, count = psi(x, wx, y, wy, bins, n, m)
    distance = stats.wasserstein_distance(x, y, wx, wy)
    harmonic = n * m / (n + m)
    return dict(feature=name, bins=count, psi=index if count > 1 else None,
                psi_p=stats.chi2.sf(index * harmonic, count - 1) if count > 1 else None,
                ks=ks, ks_p=special.kolmogorov(ks * np.sqrt(harmonic)), wasserstein=distance,
                wasserstein_sd=distance / sd if sd > 0 else None, old_mean=mean, new_mean=spread(y, wy)[0],
                old_count=len(x), new_count=len(y), old_missing=gone_x, new_missing=gone_y)


def drift(old, new, pairs, bins, alpha, doc):
    every = [[drift_row(f, old, new, np.full(len(old.w), True), np.full(len(new.w), True), bins) for f in old.feature]]
    for j in sorted(pairs):
        every.append([drift_row(f, old, new, old.label == pairs[j], new.label == j, bins) for f in old.feature])
    flat = [r for rows in every for r in rows]
    p, tests = holm([np.nan if v is None else v for r in flat for v in (r["psi_p"], r["ks_p"])])
    for i, r in enumerate(flat):
        a = p[2 * i]
        r["psi_p_adjusted"] = None if np.isnan(a) else a
        r["ks_p_adjusted"] = p[2 * i + 1]
        r["word"] = (None if np.isnan(a) else "none shown" if a > alpha else "small" if r["psi"] < 0.1 else
                     "moderate" if r["psi"] < 0.25 else "large")
    doc["drift"] = dict(tests=tests, adjust="holm", alpha=alpha, bins=bins, features=every[0],
                        segments=[dict(segment=j, features=rows) for j, rows in zip(sorted(pairs), every[1:])])


# ---------------------------------------------------------------------------------------------------- calibration

def mean_of(y, w):
    """(n, mean, variance of the mean): linearised ratio of sums, Cochran 1977."""
    here = ~np.isnan(y) & (w > 0)
    y, w = y[here], w[here]
    if len(y) < 2:
        return len(y), y.mean() if len(y) else np.nan, np.nan
    mean = spread(y, w)[0]
    return len(y), mean, (w ** 2 * (y - mean) ** 2).sum() / w.sum() ** 2 * len(y) / (len(y) - 1)


def contrast(a, b, margin, alpha):
    """a - b: (difference, low, high, p, p of equivalence)."""
    (n, ma, va), (m, mb, vb) = a, b
    d, v = ma - mb, va + vb
    if np.isnan(v):
        return d, np.nan, np.nan, np.nan, np.nan
    se, df = np.sqrt(v), v ** 2 / (va ** 2 / (n - 1) + vb ** 2 / (m - 1))
    half = stats.t.ppf(1 - alpha / 2, df) * se
    return (d, d - half, d + half, 2 * stats.t.sf(abs(d) / se, df),
            max(stats.t.sf((d + margin) / se, df), stats.t.cdf((d - margin) / se, df)))


def calibration(old, new, before, pairs, margin, alpha, doc):
    names = [o for o in old.outcome if o in new.outcome]
    if not names:
        doc["calibration"] = None
        return
    sd = {}
    for o in names:
        here = ~np.isnan(old.outcome[o])
        sd[o] = spread(old.outcome[o][here], old.w[here])[1]
    rows = []
    for j in sorted(pairs):
        for o in names:
            was, now = old.label == pairs[j], new.label == j
            b, a = mean_of(old.outcome[o][was], old.w[was]), mean_of(new.outcome[o][now], new.w[now])
            stay = now & (before == pairs[j])
            s = mean_of(new.outcome[o][stay], new.w[stay])
            d, low, high, p, same = contrast(a, b, margin * sd[o], alpha)
            rows.append(dict(segment=j, outcome=o, expected=b[1], actual=a[1], difference=d, low=low, high=high,
                             expected_customers=b[0], customers=a[0], margin=margin * sd[o], p=p, equivalence_p=same,
                             stayers=dict(customers=s[0], actual=s[1])))
    adjusted, tests = holm([v for r in rows for v in (r["p"], r["equivalence_p"])])
    for i, r in enumerate(rows):
        r["p_adjusted"], r["equivalence_p_adjusted"] = adjusted[2 * i], adjusted[2 * i + 1]
        r["word"] = ("as expected" if r["equivalence_p_adjusted"] <= alpha else "shifted" if r["p_adjusted"] <= alpha
                     else "undecided")
    both, p = [], []
    for a in range(new.k):
        for b in range(a + 1, new.k):
            means = [[mean_of(new.outcome[o][new.label == j], new.w[new.label == j]) for j in (a, b)] for o in names]
            both.append([a, b])
            p.append(max(contrast(*m, margin * sd[o], alpha)[4] for m, o in zip(means, names)))
    p, merges = holm(p)
    advice = [dict(segments=pair, advice="merge", p_adjusted=v) for pair, v in zip(both, p) if v <= alpha]
    for j in range(new.k):
        words = [r["word"] for r in rows if r["segment"] == j]
        advice.append(dict(segments=[j], advice="redefine" if "shifted" in words else "keep", p_adjusted=None))
    doc["calibration"] = dict(margin=margin, tests=tests, merge_tests=merges, adjust="holm", alpha=alpha, segments=rows,
                              advice=advice)


def compare(old_run, new_run, old_data, new_data, bins=10, alpha=0.05, margin=0.1):
    old, new = Run(old_run, old_data), Run(new_run, new_data)
    doc = {"command": "compare", "format_version": 1}
    for key, run in (("old", old), ("new", new)):
        doc[key] = dict(n=len(run.label), d=len(run.feature), k=run.k, digest=run.digest, objective=run.objective)
    before, pairs, l3 = matching(old, new, doc)
    decomposition(old, new, before, l3, doc)
    drift(old, new, pairs, bins, alpha, doc)
    calibration(old, new, before, pairs, margin, alpha, doc)
    return json.loads(json.dumps(doc, default=float))
