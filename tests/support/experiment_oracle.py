"""The oracle of `demarc boundary plan` and `analyze`, by brute force in double precision (see boundary_oracle.py).

An experiment is a dict of the datasets of experiment.h5 plus "attributes"; results are ids and columns.
"""
import math

import h5py
import numpy as np
from scipy import stats

from boundary_oracle import Ids, adjust_tests, chi_squared, enough, estimate, hash64, is_binary, llround, mean, \
    mean_and_var, quantile, student_quantile, student_sf, total


# ----------------------------------------------------------------------------------------------------------------- plan
def sample_sd(w, y):
    var = mean_and_var(w, y)[1]
    return None if var is None else math.sqrt(var * len(y))


def power_of(n, sd, share, effect, tests, alpha, target, strata):
    if not sd:
        return {"mde": None, "power": None}
    if n == 0:
        return {"mde": None, "power": alpha / tests}
    se = sd * math.sqrt(1 / (n * share) + 1 / (n * (1 - share)))
    freedom = max(1, n - 2 * strata)
    c, shift = student_quantile(alpha / (2 * tests), freedom), abs(effect) / se
    return {"mde": (c + student_quantile(1 - target, freedom)) * se,
            "power": student_sf(c - shift, freedom) + student_sf(c + shift, freedom)}


def facet_bands(f, pairs, band, band_share):
    """[(a, b), facet rows, band rows in order of (margin, id), margins] of the boundaries in the experiment."""
    low, high = np.minimum(f.segment, f.runner_up), np.maximum(f.segment, f.runner_up)
    out = []
    for a in range(f.k):
        for b in range(a + 1, f.k):
            rows = np.flatnonzero((low == a) & (high == b))
            if len(rows) == 0 or (pairs is not None and (a, b) not in pairs):
                continue
            margin = np.abs(f.q[rows, b] - f.q[rows, a]) / (2 * f.gap(a, b))
            order = np.lexsort((f.ids.rank[rows], margin))
            keep = (margin[order] <= band).sum() if band > 0 else llround(band_share * len(rows))
            if keep > 0:
                out.append(((a, b), rows, rows[order[:keep]], margin[order[:keep]]))
    return out


def plan(f, seed=0, alpha=0.05, power=0.8, pairs=None, band=0.0, band_share=0.2, strata=4, switch_share=0.5, salt=None,
         outcome=None, outcome_sd=0.0, effect=0.0):
    """@return (JSON of the command, datasets of experiment.h5)"""
    bands = facet_bands(f, pairs, band, band_share)
    salt = f"{f.digest}/{seed}" if salt is None else salt
    name = outcome or (f.names[0] if f.names else "")
    y = f.y[:, f.names.index(name)] if name else np.full(f.n, np.nan)
    hashes = f.ids.hashes(hash64(salt.encode(), 0))
    arm = ((hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53 < switch_share).astype(np.int64)

    def spread(rows):
        rows = rows[~np.isnan(y[rows])]
        return mean(f.w[rows], y[rows]), outcome_sd or sample_sd(f.w[rows], y[rows])

    everyone = np.sort(np.concatenate([rows for _, _, rows, _ in bands]))
    sd_all = spread(everyone)[1]
    effect = effect or 0.1 * sd_all
    tests = 2 * len(bands)
    h5 = {name_: np.zeros(f.n, type_) for name_, type_ in (("boundary", np.int32), ("stratum", np.int32), ("margin", float))}
    boundaries = []
    for i, ((a, b), facet, rows, margin) in enumerate(bands):
        m, sd = spread(rows)
        sides = []
        for side, own in enumerate((a, b)):
            mine = rows[f.segment[rows] == own]
            h5["stratum"][mine] = (i * 2 + side) * strata + np.arange(len(mine)) * strata // max(len(mine), 1)
            sides.append({"segment": own, "customers": len(mine), "keep": int((arm[mine] == 0).sum()),
                          "switch": int((arm[mine] == 1).sum()),
                          **power_of(len(mine), sd, switch_share, effect, tests, alpha, power,
                                     strata)})
        h5["boundary"][rows], h5["margin"][rows] = i, margin
        boundaries.append({"boundary": i, "segments": [a, b], "gap": f.gap(a, b), "facet_customers": len(facet),
                           "customers": len(rows), "outcome_mean": m, "outcome_sd": sd, "sides": sides,
                           "_largest": float(margin[-1])})
    h5 = {key: v[everyone] for key, v in h5.items()}
    own = f.segment[everyone]
    h5 |= {"row": everyone, "segment": own, "other": f.runner_up[everyone], "arm": arm[everyone],
           "propensity": np.full(len(everyone), switch_share), "boundaries": np.array([b["segments"] for b in boundaries]),
           "gap": np.array([b["gap"] for b in boundaries]), "id": [f.ids.values[r] for r in everyone]}
    weakest = min(s["power"] or 0.0 for b in boundaries for s in b["sides"])
    return f.head("boundary plan", seed, alpha, "holm", tests) | {"salt": salt, "outcome_sd": sd_all, "effect": effect, "power": power, "switch_share": switch_share,
                   "distance_strata": strata, "band_share": None if band > 0 else band_share, "customers": len(everyone),
                   "boundaries": boundaries, "underpowered": weakest < power}, h5


# -------------------------------------------------------------------------------------------------------------- analyze
def read_experiment(path):
    with h5py.File(path) as f:
        return {name: f[name][()] for name in f} | {"attributes": dict(f.attrs)}


def joined(experiment, ids, column):
    """The column of the results in the order of the experiment, NaN where a customer has no row."""
    n = len(experiment["id"])
    have = dict(zip(Ids(ids, len(ids)).bytes, column))
    return np.array([have.get(b, math.nan) for b in Ids(experiment["id"], n).bytes], np.float64)


def merged_strata(stratum, arm, first, count):
    """[(first stratum, last stratum, rows)] of a side: each has two customers in both arms."""
    groups, rows, start = [], np.zeros(len(stratum), bool), first
    for s in range(first, first + count):
        rows = rows | (stratum == s)
        if min((arm[rows] == 0).sum(), (arm[rows] == 1).sum()) >= 2:
            groups.append([start, s, rows])
            rows, start = np.zeros(len(stratum), bool), s + 1
    if start < first + count and groups:
        groups[-1] = [groups[-1][0], first + count - 1, groups[-1][2] | rows]
    return groups


def arm_moments(y, rows, arm):
    cells = [y[rows & (arm == a)] for a in (0, 1)]
    return [(len(c), mean(np.ones(len(c)), c), total((c - mean(np.ones(len(c)), c))**2) / (len(c) - 1)) for c in cells]


def post_stratified(y, arm, groups):
    n = sum(int(rows.sum()) for *_, rows in groups)
    effect = var = uncertain = 0.0
    for *_, rows in groups:
        (n0, m0, v0), (n1, m1, v1) = arm_moments(y, rows, arm)
        share = (n0 + n1) / n
        effect += share * (m1 - m0)
        var += share**2 * (v1 / n1 + v0 / n0)
        uncertain += (share**2 * v1 / n1)**2 / (n1 - 1) + (share**2 * v0 / n0)**2 / (n0 - 1)
    return effect, var, var**2 / uncertain if uncertain > 0 else None


def student(value, var, freedom, alpha):
    """estimate() by Student's t (Welch 1947, Satterthwaite 1946)."""
    se = math.sqrt(var)
    half = student_quantile(alpha / 2, freedom) * se if se > 0 else 0.0
    return {"value": value, "se": se, "low": value - half, "high": value + half}


def cuped(y, x, arm, groups):
    """(theta, adjusted outcome); every customer of the groups, missing x at the mean of the others."""
    rows = np.logical_or.reduce([g[2] for g in groups])
    xbar = mean(np.ones(int((rows & ~np.isnan(x)).sum())), x[rows & ~np.isnan(x)])
    x = np.where(np.isnan(x), xbar, x)
    xy = xx = 0.0
    for *_, group in groups:
        for a in (0, 1):
            cell = group & (arm == a)
            dx = x[cell] - total(x[cell]) / cell.sum()
            dy = y[cell] - total(y[cell]) / cell.sum()
            xy, xx = xy + total(dx * dy), xx + total(dx * dx)
    theta = xy / xx if xx > 0 else 0.0
    return theta, y - theta * (x - xbar)


def anytime(effect, var, n, n_star, alpha):
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / n_star
    sigma = math.sqrt(n * var)
    half = sigma * math.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * math.log(math.sqrt(n * rho2 + 1) / alpha))
    t = effect / sigma
    p = math.sqrt(n * rho2 + 1) * math.exp(-(n**2 * rho2 * t**2) / (2 * (n * rho2 + 1)))
    return {"low": effect - half, "high": effect + half, "p": min(1.0, p), "rho": math.sqrt(rho2)}


def fieller(a, b, vaa, vab, vbb, alpha):
    """The interval of x = -a / b, None unless it is bounded."""
    z2 = quantile(1 - alpha / 2)**2
    q, h, c = b * b - z2 * vbb, a * b - z2 * vab, a * a - z2 * vaa
    if not q > 0:
        return None
    root = math.sqrt(max(0.0, h * h - q * c))
    return {"value": -a / b, "low": (-h - root) / q, "high": (-h + root) / q}


def curve(signed, g, alpha):
    """Least squares of g on (1, x) with HC1 covariance."""
    x = np.column_stack([np.ones(len(g)), signed])
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ g)
    u = g - x @ beta
    v = inverse @ ((x * (u * u)[:, None]).T @ x) @ inverse * len(g) / (len(g) - 2)
    a, b = float(beta[0]), float(beta[1])
    return ({"intercept": estimate(a, v[0, 0], alpha), "slope": estimate(b, v[1, 1], alpha), "covariance": float(v[0, 1])},
            fieller(a, b, v[0, 0], v[0, 1], v[1, 1], alpha))


def decide(verdicts, crossing, a, b, band):
    """(decision, x0 or None) of the verdicts of sides a and b."""
    helps = [v == "helps" for v in verdicts]
    if helps == [True, False]:
        inside = crossing is not None and -band <= crossing["value"] <= 0
        return f"widen {b}", crossing["value"] if inside else -band
    if helps == [False, True]:
        inside = crossing is not None and 0 <= crossing["value"] <= band
        return f"widen {a}", crossing["value"] if inside else band
    return ("keep" if verdicts == ["hurts", "hurts"] else "undecided"), None


def offset_change(k, size, pairs, wanted, weight):
    """Least squares of b_b - b_a = wanted over the boundaries; the largest segment of each component stays."""
    change, seen = np.zeros(k), set()
    for start in {int(j) for pair in pairs for j in pair}:
        if start in seen:
            continue
        part, grew = {start}, True
        while grew:
            more = {int(j) for pair in pairs if part & {int(v) for v in pair} for j in pair}
            grew, part = not more <= part, part | more
        seen |= part
        anchor = min(part, key=lambda j: (-size[j], j))
        free = sorted(part - {anchor})
        edges = [i for i, pair in enumerate(pairs) if int(pair[0]) in part]
        design = np.array([[(j == pairs[i][1]) * 1.0 - (j == pairs[i][0]) for j in free] for i in edges])
        root = np.sqrt(np.asarray(weight, float)[edges])
        change[free] = np.linalg.lstsq(design * root[:, None], np.asarray(wanted)[edges] * root, rcond=None)[0]
    return change


def analyze(experiment, y, pre=None, alpha=0.05, how="holm", srm_alpha=0.001, max_attrition=0.1, min_cell=30, min_events=5,
            model=None):
    """y and pre in the order of the experiment (joined()). model: (offsets, sizes) for new offsets."""
    e = experiment
    arm, p1 = e["arm"].astype(int), e["propensity"]
    seen, n = ~np.isnan(y), len(y)
    strata = int(e["attributes"]["distance_strata"])
    ratio = {key: chi_squared([(arm[r] == 0).sum(), (arm[r] == 1).sum()], [total(1 - p1[r]), total(p1[r])])
             for key, r in (("assigned", np.ones(n, bool)), ("observed", seen))}
    ratio["passed"] = min(ratio["assigned"]["p"], ratio["observed"]["p"]) >= srm_alpha
    missing = int(n - seen.sum())
    loss = {"missing": missing, "share": missing / n, "limit": max_attrition}
    if missing:
        table = np.array([[((arm == a) & (seen == s)).sum() for s in (True, False)] for a in (0, 1)])
        chi2, p, *_ = stats.chi2_contingency(table, correction=False)
        loss |= {"chi_squared": float(chi2), "p": float(p)}
    loss["passed"] = missing / n <= max_attrition and loss.get("p", 1.0) >= srm_alpha
    stopped = not (ratio["passed"] and loss["passed"])
    tests, boundaries = [], []
    for i, pair in enumerate(e["boundaries"]):
        a, b = int(pair[0]), int(pair[1])
        mine = e["boundary"] == i
        sides, scores, points = [], np.full(n, np.nan), []
        for side, own in enumerate((a, b)):
            everyone = mine & (e["segment"] == own)
            row, groups, used = analyze_side(e, y, pre, seen & everyone, (i * 2 + side) * strata, strata,
                                             int(everyone.sum()), alpha, min_cell, min_events, stopped)
            sides.append({"segment": own, "other": b if side == 0 else a} | row)
            for first, last, rows in groups:
                points.append(score(e, used, rows, side, scores) | {"segment": own, "strata": [first, last]})
        tests += sides
        rows = ~np.isnan(scores)
        signed = np.where(e["segment"] == b, e["margin"], -e["margin"])
        line, crossing = curve(signed[rows], scores[rows], alpha)
        boundaries.append({"boundary": i, "segments": [a, b], "gap": float(e["gap"][i]), "band": float(e["band"][i]),
                           "customers": int(mine.sum()), "observed": int((mine & seen).sum()), "sides": sides,
                           "curve": line, "points": points, "crossing": crossing})
    count = adjust_tests(tests, how)
    for s in tests:
        s["verdict"] = (None if stopped else "not enough data" if s["p"] is None else "undecided"
                        if s["p_adjusted"] > alpha else "helps" if s["effect"]["value"] > 0 else "hurts")
    out = {"command": "boundary analyze", "n": n, "alpha": alpha, "adjust": how, "tests": count, "srm_alpha": srm_alpha,
           "max_attrition": max_attrition, "min_cell": min_cell, "min_events": min_events, "sample_ratio": ratio,
           "attrition": loss, "boundaries": boundaries}
    return out | {"_offsets": decisions(boundaries, e, stopped, model)}


def analyze_side(e, y, pre, rows, first, strata, n_star, alpha, min_cell, min_events, stopped):
    """The JSON of a side, its merged strata and the outcome that was used."""
    arm = e["arm"].astype(int)
    cells = [y[rows & (arm == a)] for a in (0, 1)]
    groups = merged_strata(np.where(rows, e["stratum"], -1), arm, first, strata)
    effect, var, freedom = post_stratified(y, arm, groups)
    out = {"customers": n_star, "unadjusted_effect": student(effect, var, freedom, alpha), "cuped": None}
    for name, cell in (("keep", cells[0]), ("switch", cells[1])):
        out[name] = {"n": len(cell), "mean": mean(np.ones(len(cell)), cell)}
    used = y
    if pre is not None:
        theta, used = cuped(y, pre, arm, groups)
        before = var
        effect, var, freedom = post_stratified(used, arm, groups)
        out["cuped"] = {"theta": theta, "variance_reduction": 1 - var / before}
    good = all(enough(c, is_binary(y), min_cell, min_events) for c in cells)
    good = good and not stopped
    sequence = anytime(effect, var, int(rows.sum()), n_star, alpha)
    p = 2 * student_sf(abs(effect) / math.sqrt(var), freedom) if good else None
    out |= {"effect": student(effect, var, freedom, alpha), "freedom": freedom, "p": p,
            "anytime": sequence if good else sequence | {"p": None}}
    return out, groups, used


def score(e, y, rows, side, scores):
    """Fill the scores of treating a merged stratum as b; its point of the curve."""
    switched = e["arm"].astype(int)
    treated = switched if side == 0 else 1 - switched
    chance = e["propensity"] if side == 0 else 1 - e["propensity"]
    (n0, m0, v0), (n1, m1, v1) = arm_moments(y, rows, treated)
    p = chance[rows]
    m = (1 - p) * m1 + p * m0
    scores[rows] = np.where(treated[rows] == 1, (y[rows] - m) / p, -(y[rows] - m) / (1 - p))
    sign = -1.0 if side == 0 else 1.0
    return {"distance": sign * total(e["margin"][rows]) / int(rows.sum()), "effect": m1 - m0,
            "se": math.sqrt(v1 / n1 + v0 / n0), "n": n0 + n1}


def decisions(boundaries, e, stopped, model):
    """Fill decision and move of each boundary; the new offsets, None without a model or a move."""
    wanted = np.zeros(len(boundaries))
    for i, b in enumerate(boundaries):
        b["decision"], x0 = (None, None) if stopped else decide([s["verdict"] for s in b["sides"]], b["crossing"],
                                                               *b["segments"], b["band"])
        b["move"] = None if x0 is None else {"distance": x0, "offset_difference": -2 * b["gap"] * x0}
        wanted[i] = 0.0 if x0 is None else -2 * b["gap"] * x0
    if model is None or all(b["move"] is None for b in boundaries):
        return None
    offsets, size = model
    change = offset_change(len(offsets), size, e["boundaries"], wanted, [b["customers"] for b in boundaries])
    for b in boundaries:
        lo, hi = b["segments"]
        b["shift"] = -float(change[hi] - change[lo]) / (2 * b["gap"])
        if b["move"]:
            b["move"]["achieved"] = b["shift"]
    return offsets + change
