"""The oracle of `demarc boundary replay`, by brute force in double precision (see boundary_oracle.py)."""
import math

import numpy as np

from boundary_oracle import SHIFTS, Move, adjust_tests, chi_squared, enough, estimate, hash64, is_binary, mean, mean_and_var, \
    total, two_sided


class Campaign:
    """Arms, control and propensities of a file."""

    def __init__(self, f, control=None, candidates=None, arm_shares=None, srm_alpha=0.001, policy=None, costs=None):
        """policy: an arm for each segment; costs: {arm: per customer}."""
        names = f.arm_names or []
        columns = f.propensity.shape[1] if f.propensity is not None else 0
        self.arms = max(len(names), columns, int(f.arm.max()) + 1)
        self.n = np.bincount(f.arm, minlength=self.arms)
        self.names = names + [None] * (self.arms - len(names))
        present = np.flatnonzero(self.n)
        self.control = self._control(f, control)
        self.against = int(present[0]) if self.control is None else self.control
        self.candidates = [int(a) for a in present] if candidates is None else sorted(candidates)
        self.policy = policy
        if policy is not None:
            self.candidates = sorted(set(policy))
        self.costs = None if costs is None else [float(costs.get(a, 0.0)) for a in range(self.arms)]
        self.cost = np.zeros(self.arms) if costs is None else np.array(self.costs)
        if f.propensity is not None:
            self.e, expected = f.propensity, [total(c) for c in f.propensity.T]
        else:
            self.e = np.broadcast_to(self.n / f.n, (f.n, self.arms))
            shares = np.ones(self.arms) if arm_shares is None else np.asarray(arm_shares, float)
            expected = list(f.n * shares / shares.sum())
        self.expected = expected
        self.ratio = chi_squared(self.n, expected)
        self.ratio["passed"] = self.ratio["p"] >= srm_alpha

    def _control(self, f, control):
        if control is not None:
            if control == "none":
                return None
            return self.names.index(control) if control in self.names else int(control)
        if f.named_control is not None:
            return self.names.index(f.named_control) if f.named_control else None
        return next((i for i, name in enumerate(self.names) if name and name.lower() == "control"), 0)

    def json(self, f):
        rows = [{"arm": a, "name": self.names[a], "n": int(self.n[a]), "expected": self.expected[a]} for a in range(self.arms)]
        return {"arms": rows, "control": self.control, "candidates": self.candidates,
                "policy": "learnt" if self.policy is None else "given", "arm_costs": self.costs,
                "propensity": "file" if f.propensity is not None else "observed shares", "sample_ratio": self.ratio}


def folds(f, seed):
    return (f.ids.hashes(hash64(b"replay fold", seed)) & np.uint64(1)).astype(np.int64)


def difference(cell_a, cell_0, alpha):
    (m_a, v_a), (m_0, v_0) = cell_a, cell_0
    if None in (m_a, m_0):
        return None
    return estimate(m_a - m_0, None if None in (v_a, v_0) else v_a + v_0, alpha)


class Replay:
    """One outcome of a campaign: policies of both halves, scores, values."""

    def __init__(self, f, c, y, fold, min_cell):
        self.f, self.c, self.y, self.fold = f, c, y, fold
        self.here = ~np.isnan(y)
        self.mu = np.zeros((2, f.k, c.arms))
        whole = np.zeros((2, c.arms))
        count = np.zeros((2, f.k, c.arms), np.int64)
        for g in range(2):
            for a in range(c.arms):
                whole[g, a] = self._hajek(self.here & (fold == g) & (f.arm == a), a, 0.0)
                for j in range(f.k):
                    cell = self.here & (fold == g) & (f.arm == a) & (f.segment == j)
                    self.mu[g, j, a] = self._hajek(cell, a, whole[g, a])
                    count[g, j, a] = cell.sum()
        self.policy = np.zeros((f.k, 2), np.int64)
        for half in range(2):
            g = 1 - half
            for j in range(f.k):
                good = [a for a in c.candidates if count[g, j, a] >= min_cell]
                score = (self.mu[g, j] if good else whole[g]) - c.cost
                self.policy[j, half] = max(good or c.candidates, key=lambda a: (score[a], -a))
                if c.policy is not None:
                    self.policy[j, half] = c.policy[j]

    def _hajek(self, cell, a, otherwise):
        value = mean(self.f.w[cell] / self.c.e[cell, a], self.y[cell])
        return otherwise if value is None else value

    def scores(self, arm):
        """IPW and AIPW scores of giving customer i arm[i], net of its cost; NaN where the outcome is missing."""
        f, rows = self.f, np.arange(self.f.n)
        e, mu, given = self.c.e[rows, arm], self.mu[1 - self.fold, f.segment, arm], f.arm == arm
        cost = np.where(self.here, self.c.cost[arm], np.nan)
        return (np.where(given, self.y / e, 0.0) - cost, mu + np.where(given, (self.y - mu) / e, 0.0) - cost)

    def rule(self, segment):
        return self.policy[segment, self.fold]

    def mean(self, values, alpha):
        return estimate(*mean_and_var(self.f.w[self.here], values[self.here]), alpha)

    def value(self, alpha):
        n = self.f.n
        ipw, aipw = self.scores(self.rule(self.f.segment))
        out = {"ipw": self.mean(ipw, alpha), "aipw": self.mean(aipw, alpha), "gain_over_control": None, "constant": []}
        if self.c.control is not None:
            out["gain_over_control"] = self.mean(aipw - self.scores(np.full(n, self.c.control))[1], alpha)
        for a in np.flatnonzero(self.c.n):
            one, two = self.scores(np.full(n, a))
            out["constant"].append({"arm": int(a), "ipw": self.mean(one, alpha), "aipw": self.mean(two, alpha)})
        return out

    def shift(self, move, alpha, min_cell, min_events, stopped):
        row = move.row()
        if not move.possible:
            return row | {"status": "impossible", "p": None, "verdict": None}
        f = self.f
        old, new = self.rule(f.segment), self.rule(move.after)
        (ipw_old, aipw_old), (ipw_new, aipw_new) = self.scores(old), self.scores(new)
        ipw, aipw = (np.where(move.movers, b - a, 0.0) for a, b in ((ipw_old, ipw_new), (aipw_old, aipw_new)))
        changing = move.movers & self.here & (old != new)
        was, will = changing & (f.arm == old), changing & (f.arm == new)
        tried = self.y[was | will]
        moved = move.movers & self.here
        row |= {"changing": int(changing.sum()), "ipw": self.mean(ipw, alpha), "aipw": self.mean(aipw, alpha),
                "per_mover": mean(f.w[moved], aipw[moved]), "p": None}
        if not changing.any():
            row["status"] = "same arm"
        elif min(was.sum(), will.sum()) < min_cell or not enough(tried, is_binary(self.y), 0, min_events):
            row["status"] = "not enough data"
        else:
            row["status"] = "ok"
            if not stopped:
                row["p"] = two_sided(row["aipw"]["value"] / row["aipw"]["se"])
        return row


def effect_rows(f, c, y, rows, alpha):
    """Means of the arms among `rows`, and their differences from the arm compared against."""
    cells = [rows & (f.arm == a) & ~np.isnan(y) for a in range(c.arms)]
    moments = [mean_and_var(f.w[cell], y[cell]) for cell in cells]
    arms = [{"arm": a, "n": int(cells[a].sum()), "mean": m, "se": None if v is None else math.sqrt(v)}
            for a, (m, v) in enumerate(moments)]
    effects = [{"arm": a, "against": c.against, "difference": difference(moments[a], moments[c.against], alpha)}
               for a in range(c.arms) if a != c.against]
    return arms, effects, cells


def replay(f, shifts=SHIFTS, seed=0, alpha=0.05, how="holm", srm_alpha=0.001, min_cell=30, min_events=5, outcomes=None,
           **campaign):
    c = Campaign(f, srm_alpha=srm_alpha, **campaign)
    stopped = not c.ratio["passed"]
    fold = folds(f, seed)
    moves = [Move(f, j, s) for j in range(f.k) for s in shifts]
    tests, out = [], []
    for name in outcomes or f.names:
        y = f.y[:, f.names.index(name)]
        binary = is_binary(y)
        r = Replay(f, c, y, fold, min_cell)
        arms, effects, cells = effect_rows(f, c, y, np.ones(f.n, bool), alpha)
        for e in effects:
            good = all(enough(y[cells[a]], binary, min_cell, min_events) for a in (e["arm"], e["against"]))
            e["enough"] = good
            e["p"] = two_sided(e["difference"]["value"] / e["difference"]["se"]) if good and not stopped else None
        segments = []
        for j in range(f.k):
            a, e, _ = effect_rows(f, c, y, f.segment == j, alpha)
            segments.append({"segment": j, "size": int((f.segment == j).sum()), "policy": [int(v) for v in r.policy[j]],
                             "arms": a, "effects": e})
        rows = [r.shift(m, alpha, min_cell, min_events, stopped) for m in moves]
        tests += effects + rows
        out.append({"name": name, "n": int((~np.isnan(y)).sum()), "binary": binary, "arms": arms, "effects": effects,
                    "segments": segments, "value": r.value(alpha), "shifts": rows})
    count = adjust_tests(tests, how)
    for o in out:
        for e in o["effects"]:
            e["verdict"] = _sign(e, e.pop("enough"), e["difference"], alpha, ("raises", "lowers"), stopped)
        for s in o["shifts"]:
            s["verdict"] = (_sign(s, True, s["aipw"], alpha, ("gain", "loss"), stopped) if s["status"] == "ok" else None)
        o["verdicts"] = [{"segment": j, "verdict": None, "shift": None} if stopped else
                         replay_verdict(j, [s for s in o["shifts"] if s["segment"] == j]) for j in range(f.k)]
    return f.head("boundary replay", seed, alpha, how, count) | {
        "srm_alpha": srm_alpha, "min_cell": min_cell, "min_events": min_events, "campaign": c.json(f), "outcomes": out}


def _sign(test, good, value, alpha, words, stopped):
    if stopped:
        return None
    if not good:
        return "not enough data"
    return "undecided" if test["p_adjusted"] > alpha else words[value["value"] < 0]


def replay_verdict(j, rows):
    gains = [s for s in rows if s["verdict"] == "gain"]
    if gains:
        best = max(gains, key=lambda s: s["aipw"]["value"])
        return {"segment": j, "verdict": "widen" if best["shift"] > 0 else "narrow", "shift": best["shift"]}
    ways = [[s for s in rows if (s["shift"] > 0) == up] for up in (True, False)]
    settled = all(any(s["verdict"] == "loss" for s in way) or all(s["status"] == "same arm" for s in way)
                  for way in ways if way)
    return {"segment": j, "verdict": "keep" if settled else "undecided", "shift": None}
