"""Experiments on worlds whose truth is known: how often the boundary tests err, cover and find.

A study is a function (run, folder, seed) -> {figure: [hits, trials]}: it draws one world with NumPy, runs the program on it
and counts. run(*arguments) is the program on one thread, it returns the JSON. Trials of one experiment share their data, so
a summary takes the experiment as its unit (ratio of sums, standard error by the delta method). bench/validity/ does a
thousand experiments of each, tests/property/test_boundary_validity.py a few.
"""
import concurrent.futures
import json
import math
import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

import boundary_data as data

DAYS = 30


class Program:
    """demarc on one thread; call it with arguments, get the JSON that it prints."""

    def __init__(self, binary):
        self.binary = str(binary)
        self.env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")

    def __call__(self, *arguments):
        command = [self.binary, *map(str, arguments), "--threads", "1", "--quiet", "--json"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\nexit code {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)


class Count:
    """[hits, trials] of a figure."""

    def __init__(self):
        self.of = {}

    def add(self, figure, hit, trials=1):
        pair = self.of.setdefault(figure, [0.0, 0.0])
        pair[0] += hit
        pair[1] += trials

    def cover(self, figure, interval, truth):
        """None: no interval was given, no trial."""
        if interval is not None and interval["low"] is not None:
            self.add(figure, interval["low"] <= truth <= interval["high"])


def islands(rng, n, k):
    """Features of k segments that do not overlap, equally likely; segment j is model centroid j."""
    centres = np.array([[4.0 * (j % 2), 4.0 * (j // 2)] for j in range(k)])
    group = rng.integers(0, k, n)
    return centres, centres[group] + rng.uniform(-1.2, 1.2, (n, 2)), group


# ---------------------------------------------------------------------------------------------------------------- sweep
def sweep_of_nothing(run, folder, seed):
    """Outcomes that have nothing to do with the features: no verdict is right; the mean of any movers is known."""
    rng = np.random.default_rng([1, seed])
    centres, x, _ = islands(rng, 3000, 4)
    truth = {"gain": 1.5, "visit": 0.3}
    path = data.write_customers(folder / "x.h5", x, {"gain": rng.normal(1.5, 1.0, len(x)),
                                                     "visit": (rng.random(len(x)) < 0.3).astype(float)})
    model = data.write_model(folder / "m.h5", centres)
    got = run("boundary", "sweep", path, "--model", model, "--seed", seed, "--replicates", 400, "--shifts", "-0.4,-0.2,0.2,0.4")
    c = Count()
    made = [o for s in got["shifts"] for o in s["outcomes"]]
    c.add("family error", any(o["verdict"] in ("joined", "left") for o in made))
    for o in made:
        for key in ("movers", "left", "joined"):
            c.cover("covers", o[key], truth[o["name"]])
    return c.of


def sweep_of_the_middle(run, folder, seed):
    """The hardest null: movers exactly between two segments that differ, so that only one of the two tests holds a
    verdict back. Three pairs of segments on points: J, movers M (a fifth, nearer to L) and L; half as many again in J are
    J and M. In the other direction the movers are J's own, and saying so is right."""
    rng = np.random.default_rng([2, seed])
    points, level, centres = [], [], []
    for pair in range(3):
        at = 100.0 * pair
        centres += [[-1.0, at], [1.0, at]]
        points += [np.tile([v, at], (count, 1)) for v, count in ((-1.0, 400), (0.25, 200), (1.0, 400))]
        level += [np.full(count, v) for v, count in ((-1.0, 400), (0.0, 200), (1.0, 400))]
    x, y = np.concatenate(points), np.concatenate(level) + rng.standard_normal(3000)
    path = data.write_customers(folder / "x.h5", x, {"gain": y})
    model = data.write_model(folder / "m.h5", centres)
    got = run("boundary", "sweep", path, "--model", model, "--seed", seed, "--replicates", 1000, "--shifts", "0.5")
    c = Count()
    rows = {s["segment"]: s["outcomes"][0] for s in got["shifts"]}
    c.add("family error", any(rows[j]["verdict"] in ("joined", "left") for j in (0, 2, 4)))
    for j in (1, 3, 5):
        c.add("found", rows[j]["verdict"] == "left")
    return c.of


def sweep_of_a_line(run, folder, seed):
    """y = 2 x + noise, x uniform on [-1, 1], two segments: the mean of each set is known given the cut that was made."""
    rng = np.random.default_rng([3, seed])
    n = 2000
    x = rng.uniform(-1, 1, n)
    path = data.write_customers(folder / "x.h5", x[:, None], {"gain": 2 * x + rng.standard_normal(n)})
    model = data.write_model(folder / "m.h5", [[-0.5], [0.5]])
    got = run("boundary", "sweep", path, "--model", model, "--seed", seed, "--replicates", 400, "--shifts", "-0.2,0.3")
    c = Count()
    for s in got["shifts"]:
        # A customer is at the cut where (x - c_j)^2 - (x - c_l)^2 is the offset: x = -+ offset / 2.
        cut = -s["offset"] / 2 if s["segment"] == 1 else s["offset"] / 2
        right = (s["segment"] == 1) == (s["shift"] > 0)  # which way the movers go
        low, high = (-1, cut) if right else (cut, 1)     # customers of the segment left that stay
        joined = 1.0 if right else -1.0
        o = s["outcomes"][0]
        c.cover("covers", o["movers"], cut)
        c.cover("covers", o["left"], low + high)
        c.cover("covers", o["joined"], joined)
        c.add("found", o["verdict"] == "left")
    return c.of


# --------------------------------------------------------------------------------------------------------------- replay
def replay_of_nothing(run, folder, seed):
    """Arms without effect on outcomes that differ between segments."""
    rng = np.random.default_rng([4, seed])
    n = 3000
    centres, x, group = islands(rng, n, 3)
    gain = group + rng.standard_normal(n)
    visit = (rng.random(n) < 0.2 + 0.2 * group).astype(float)
    path = data.write_customers(folder / "x.h5", x, {"gain": gain, "visit": visit}, (rng.integers(0, 3, n), None))
    model = data.write_model(folder / "m.h5", centres)
    got = run("boundary", "replay", path, "--model", model, "--seed", seed, "--shifts", "-0.4,-0.2,0.2,0.4")
    c = Count()
    said = [e["verdict"] for o in got["outcomes"] for e in o["effects"] + o["shifts"]]
    c.add("family error", any(v in ("raises", "lowers", "gain", "loss") for v in said))
    c.add("sample ratio stops", got["stopped"] is not None)
    return c.of


def replay_of_arms(run, folder, seed):
    """Arms of known effect in each segment, unlike spreads, weights: differences, and the value of the policy learnt."""
    rng = np.random.default_rng([5, seed])
    n, k = 3000, 3
    centres, x, group = islands(rng, n, k)
    arm = rng.integers(0, 2, n)
    level = np.array([[1.0, 1.3], [0.5, 0.5], [2.0, 1.8]])  # [segment, arm]
    y = level[group, arm] + rng.standard_normal(n) * (1 + arm)
    path = data.write_customers(folder / "x.h5", x, {"gain": y}, (arm, None), weight=rng.gamma(4.0, 0.25, n).astype(np.float32))
    model = data.write_model(folder / "m.h5", centres)
    got = run("boundary", "replay", path, "--model", model, "--seed", seed, "--shifts", "0.3")["outcomes"][0]
    c = Count()
    c.cover("effect covers", got["effects"][0]["difference"], float((level[:, 1] - level[:, 0]).mean()))
    value = 0.0
    for s in got["segments"]:
        j = s["segment"]
        c.cover("effect in a segment covers", s["effects"][0]["difference"], float(level[j, 1] - level[j, 0]))
        value += np.mean([level[j, a] for a in s["policy"]]) / k
    for key in ("ipw", "aipw"):
        c.cover(f"value ({key}) covers", got["value"][key], value)
        for rule in got["value"]["constant"]:
            c.cover(f"constant value ({key}) covers", rule[key], float(level[:, rule["arm"]].mean()))
    return c.of


def replay_of_small_cells(run, folder, seed):
    """Five arms of no effect in small cells: the arm that looks best in a cell is the luckiest. Valued by the customers who
    chose it, its value would be about 0.18 too high, and leaving it a loss; by the others it is 0. Values, not rates."""
    rng = np.random.default_rng([10, seed])
    n, k = 2400, 6
    centres, x, _ = islands(rng, n, k)
    path = data.write_customers(folder / "x.h5", x, {"gain": rng.standard_normal(n)}, (rng.integers(0, 5, n), None))
    model = data.write_model(folder / "m.h5", centres)
    got = run("boundary", "replay", path, "--model", model, "--seed", seed, "--min-cell", 5, "--shifts", "-0.4,0.4")["outcomes"][0]
    c = Count()
    for key in ("ipw", "aipw"):
        c.add(f"value ({key})", got["value"][key]["value"])
    for s in got["shifts"]:
        if s["changing"]:
            c.add("change per changing mover", s["aipw"]["value"] * n, s["changing"])
    return c.of


# -------------------------------------------------------------------------------------------------- plan and analyze
class Line:
    """Customers around the line between two segments at x = 0, and an experiment that `plan` made of them."""

    def __init__(self, run, folder, rng, seed, n, *options):
        self.folder, self.rng = folder, rng
        x = rng.uniform(-1, 1, n)
        self.data = data.write_customers(folder / "x.h5", x[:, None], {"gain": rng.standard_normal(n)}, id=rng.permutation(10 * n)[:n])
        self.model = data.write_model(folder / "m.h5", [[-0.5], [0.5]], size=[n // 2, n - n // 2])
        self.plan = run("boundary", "plan", self.data, "--model", self.model, "--out", folder / "plan", "--force", "--seed", seed,
                        "--salt", f"salt {seed}", *options)
        self.experiment = folder / "plan" / "experiment.h5"
        with h5py.File(self.experiment) as f:
            self.id, self.arm, self.segment, self.margin = (f[name][()] for name in ("id", "arm", "segment", "margin"))
        self.x = np.where(self.segment == 1, self.margin, -self.margin)

    def results(self, effect, rows=None):
        """Outcomes: noise, plus `effect` [n] where a customer was switched."""
        rows = slice(None) if rows is None else rows
        y = (self.noise() + effect * self.arm)[rows]
        return data.write_customers(self.folder / "r.h5", None, {"gain": y}, id=self.id[rows])

    def noise(self):
        if not hasattr(self, "_noise"):
            self._noise = self.rng.standard_normal(len(self.id))
        return self._noise


def analyze_of_nothing(run, folder, seed):
    """Switching does nothing, around three boundaries; before it, the outcome depends on where a customer is."""
    rng = np.random.default_rng([6, seed])
    n = 3000
    x = rng.uniform(-1, 1, (n, 2))
    path = data.write_customers(folder / "x.h5", x, {"gain": rng.standard_normal(n)})
    model = data.write_model(folder / "m.h5", [[-0.6, -0.4], [0.6, -0.4], [0.0, 0.6]])
    run("boundary", "plan", path, "--model", model, "--out", folder / "plan", "--force", "--band-share", 0.5, "--salt", f"salt {seed}")
    with h5py.File(folder / "plan" / "experiment.h5") as f:
        row, id_ = f["row"][()], f["id"][()]
    results = data.write_customers(folder / "r.h5", None, {"gain": x[row, 0] + rng.standard_normal(len(row))}, id=id_)
    got = run("boundary", "analyze", folder / "plan" / "experiment.h5", results)
    c = Count()
    c.add("family error", any(s["verdict"] in ("helps", "hurts") for b in got["boundaries"] for s in b["sides"]))
    for b in got["boundaries"]:
        for s in b["sides"]:
            c.cover("covers", s["effect"], 0.0)
    c.add("stopped", got["stopped"] is not None)
    return c.of


def analyze_of_a_crossing(run, folder, seed):
    """The effect of being treated as segment 1 is 3 (x + 0.35), so the line belongs at x = -0.35 and segment 1 is to be
    widened to there."""
    rng = np.random.default_rng([7, seed])
    at, slope = -0.35, 3.0
    world = Line(run, folder, rng, seed, 3000, "--band", 0.5)
    effect = slope * (world.x - at) * np.where(world.segment == 1, -1.0, 1.0)  # of switching
    b = run("boundary", "analyze", world.experiment, world.results(effect))["boundaries"][0]
    c = Count()
    for s in b["sides"]:
        c.cover("effect covers", s["effect"], float(effect[world.segment == s["segment"]].mean()))
    c.cover("crossing covers", b["crossing"], at)
    c.add("crossing is bounded", b["crossing"] is not None)
    c.add("widens the right one", b["decision"] == "widen 1")
    c.add("widens the wrong one", b["decision"] == "widen 0")
    return c.of


def analyze_day_by_day(run, folder, seed, days=DAYS):
    """Results of a constant effect arrive in portions, each day's interval is looked at: does one ever exclude the truth?"""
    rng = np.random.default_rng([8, seed])
    world = Line(run, folder, rng, seed, 4000, "--band-share", 1.0)
    truth = 0.2
    day = rng.permutation(np.arange(len(world.id)) % days)
    left = {(s, kind): False for s in (0, 1) for kind in ("effect", "anytime")}
    for today in range(days):
        results = world.results(np.full(len(world.id), truth), np.flatnonzero(day <= today))
        got = run("boundary", "analyze", world.experiment, results, "--max-attrition", 1)
        for s in got["boundaries"][0]["sides"]:
            for kind in ("effect", "anytime"):
                interval = s[kind]
                if interval is not None and interval["low"] is not None:
                    left[s["segment"], kind] |= not interval["low"] <= truth <= interval["high"]
    c = Count()
    for s in (0, 1):
        c.add("anytime ever excludes the truth", left[s, "anytime"])
        c.add("fixed horizon ever excludes the truth", left[s, "effect"])
    return c.of


def plan_keeps_its_promise(run, folder, seed):
    """An effect of the size that was planned for, on one side and then on the other: how often it is found, less the power
    promised."""
    rng = np.random.default_rng([9, seed])
    world = Line(run, folder, rng, seed, 3000, "--band-share", 0.5, "--outcome-sd", 1, "--effect", 0.22)
    c = Count()
    for planned in world.plan["boundaries"][0]["sides"]:
        results = world.results(np.where(world.segment == planned["segment"], 0.22, 0.0))
        got = run("boundary", "analyze", world.experiment, results)["boundaries"][0]["sides"]
        found = next(s["verdict"] for s in got if s["segment"] == planned["segment"]) == "helps"
        c.add("found", found)
        c.add("promised", planned["power"])
        c.add("found less promised", found - planned["power"])
    return c.of


STUDIES = {study.__name__: study for study in (
    sweep_of_nothing, sweep_of_the_middle, sweep_of_a_line, replay_of_nothing, replay_of_arms, replay_of_small_cells,
    analyze_of_nothing,
    analyze_of_a_crossing, analyze_day_by_day, plan_keeps_its_promise)}


# ------------------------------------------------------------------------------------------------ many of them
def experiments(run, study, seeds, workers=2, **options):
    """[figures of an experiment] for each seed, in order."""
    def one(seed):
        with tempfile.TemporaryDirectory(prefix="demarc-validity-") as folder:
            return STUDIES[study](run, pathlib.Path(folder), seed, **options)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, seeds))


def summary(results):
    """{figure: (rate, Monte Carlo standard error, trials)} of many experiments."""
    out = {}
    for figure in sorted({key for r in results for key in r}):
        pairs = np.array([r.get(figure, (0.0, 0.0)) for r in results], float)
        hits, trials = pairs.sum(0)
        rate = hits / trials if trials else math.nan
        spread = pairs[:, 0] - rate * pairs[:, 1]
        out[figure] = (rate, math.sqrt((spread**2).sum()) / trials if trials else math.nan, int(trials))
    return out


# What a valid method must show: (study, figure) -> (lowest, highest rate, standard errors of grace).
CLAIMS = {
    ("sweep_of_nothing", "family error"): (0.0, 0.05, 2),
    ("sweep_of_the_middle", "family error"): (0.0, 0.05, 2),
    ("replay_of_nothing", "family error"): (0.0, 0.05, 2),
    ("analyze_of_nothing", "family error"): (0.0, 0.05, 2),
    ("analyze_day_by_day", "anytime ever excludes the truth"): (0.0, 0.05, 0),
    ("sweep_of_nothing", "covers"): (0.93, 0.97, 0),
    ("sweep_of_a_line", "covers"): (0.93, 0.97, 0),
    ("replay_of_arms", "effect covers"): (0.93, 0.97, 0),
    ("replay_of_arms", "effect in a segment covers"): (0.93, 0.97, 0),
    ("replay_of_arms", "value (aipw) covers"): (0.93, 0.97, 0),
    ("replay_of_arms", "value (ipw) covers"): (0.93, 0.97, 0),
    ("replay_of_small_cells", "value (aipw)"): (0.0, 0.0, 3),
    ("replay_of_small_cells", "value (ipw)"): (0.0, 0.0, 3),
    ("replay_of_small_cells", "change per changing mover"): (0.0, 0.0, 3),
    ("analyze_of_nothing", "covers"): (0.93, 0.97, 0),
    ("analyze_of_a_crossing", "effect covers"): (0.93, 0.97, 0),
    ("analyze_of_a_crossing", "crossing covers"): (0.93, 0.97, 0),
    ("plan_keeps_its_promise", "found less promised"): (-0.03, 0.03, 0),
}


def holds(study, figure, rate, error):
    """True, False, or None where nothing is claimed."""
    if (study, figure) not in CLAIMS:
        return None
    low, high, grace = CLAIMS[study, figure]
    return low - grace * error <= rate <= high + grace * error
