"""Answers of select, stability and compare in their documented shape, made up, for tests of the page.

Numbers are random: what a test checks is that the page shows these numbers, not that they make sense.
"""
import json
import pathlib
import random


def save(path, document):
    pathlib.Path(path).write_text(json.dumps(document))
    return path


def diagnostics(run):
    return json.loads((pathlib.Path(run) / "diagnostics.json").read_text())


def select(run, structure=True, seed=1):
    d, rng = diagnostics(run), random.Random(seed)
    per_k = []
    for k in range(1, 9):
        per_k.append({
            "k": k, "objective": 1e5 / k + rng.random(), "explained_share": 1 - 1 / k,
            "calinski_harabasz": None if k == 1 else 4000 + 100 * rng.random(),
            "davies_bouldin": None if k == 1 else 1 + rng.random(),
            "simplified_silhouette": None if k == 1 else rng.random(), "smallest_share": 1 / (k + 1),
            "reachable_share": None, "gap": rng.random(), "gap_se": 0.01 + 0.02 * rng.random(),
            "prediction_strength": None if k == 1 else rng.random(), "prediction_strength_se": 0.05,
            "stability": None if k == 1 else rng.random(), "stability_lowest": None if k == 1 else rng.random() / 2,
            "failed": None, "eligible": k > 1, "reasons": [] if k > 1 else ["one segment"],
            "chosen": structure and k == d["k"]})
    sentence = f"{d['k']} segments are advised" if structure else "no structure to segment: the customers form one cloud"
    return {"command": "select", "format_version": 1, "data": "customers.h5", "n": d["n"], "d": d["d"], "seed": 0,
            "segments": {"from": 1, "to": 8},
            "sample": {"customers": min(d["n"], 32768), "of": d["n"], "meaning": "drawn without replacement"},
            "replicates": {"bootstrap": 50, "gap": 20, "halvings": 20}, "per_k": per_k,
            "recommendation": {"k": d["k"] if structure else None, "structure": structure, "sentence": sentence,
                               "rule": "the largest eligible k within one standard error",
                               "reasons": ["gap", "prediction strength"]}}


def stability(run, seed=2):
    d, rng = diagnostics(run), random.Random(seed)
    segments = []
    for s in d["segments"]:
        mean = rng.uniform(0.4, 0.98)
        segments.append({
            "segment": s["segment"], "name": s.get("name", ""), "size": s["size"], "share": s["share"],
            "jaccard": {"mean": mean, "sd": 0.05, "low": mean - 0.09, "high": min(1.0, mean + 0.07)},
            "recovered_share": rng.random(), "dissolved_share": rng.random() / 4,
            "word": "highly stable" if mean >= 0.85 else "stable" if mean >= 0.75 else "a pattern" if mean >= 0.6 else "unstable",
            "within": {"mean": mean - 0.02, "low": mean - 0.1, "high": mean}, "across": [{"k": 3, "value": rng.random()}]})
    return {"command": "stability", "format_version": 1, "data": "customers.h5", "model_digest": d["digest"], "n": d["n"],
            "d": d["d"], "k": d["k"], "replicates": 100, "seed": 0, "level": 0.95,
            "sample": {"customers": d["n"], "of": d["n"], "meaning": "all"}, "polish": 2, "segments": segments,
            "adjusted_rand": {"mean": 0.83, "low": 0.7, "high": 0.94, "replicates": [0.8] * 3},
            "across": {"from": 3, "to": 5, "solutions": []}, "notes": ["percentile intervals over replicates"]}


def drift_feature(name, rng):
    psi = rng.expovariate(8)
    return {"feature": name, "psi": psi, "psi_p": rng.random(), "psi_p_adjusted": rng.random(),
            "word": "large" if psi > 0.25 else "some" if psi > 0.1 else "small", "ks": rng.random() / 3, "ks_p": rng.random(),
            "wasserstein": 10 * rng.random(), "wasserstein_sd": rng.random(), "old_mean": 10 * rng.random(),
            "new_mean": 10 * rng.random()}


def compare(run, seed=3):
    """An earlier run with as many segments, of which the last has died and another was born."""
    d, rng = diagnostics(run), random.Random(seed)
    k = d["k"]
    names = [s.get("name", f"Segment {s['segment']}") for s in d["segments"]]
    sizes = [s["size"] for s in d["segments"]]
    counts = [[int(sizes[b] * (0.7 if a == b else 0.05 * rng.random())) if b != k - 1 or a == k - 1 else 0
               for b in range(k)] for a in range(k)]
    entered = [sizes[b] - sum(counts[a][b] for a in range(k)) for b in range(k)]
    left = [40 + a for a in range(k)]
    segments = [{"old": j, "new": j, "name": names[j], "colour": j, "status": "matched", "common": counts[j][j],
                 "jaccard": 0.7, "old_size": sizes[j], "new_size": sizes[j]} for j in range(k - 1)]
    segments.append({"old": k - 1, "new": None, "name": "Bygone", "colour": k - 1, "status": "died", "common": 0,
                     "jaccard": None, "old_size": 900, "new_size": None})
    segments.append({"old": None, "new": k - 1, "name": names[k - 1], "colour": k, "status": "born", "common": 0,
                     "jaccard": None, "old_size": None, "new_size": sizes[k - 1]})
    common = sum(map(sum, counts))
    moved = common - sum(counts[j][j] for j in range(k - 1))
    outcomes = [o["name"] for o in d["segments"][0]["outcomes"]]
    calibration = None
    if outcomes:
        calibration = {
            "margin": 0.1, "tests": 2 * k * len(outcomes), "adjust": "holm",
            "segments": [{"segment": j, "name": names[j], "outcome": o, "expected": 5.0, "actual": 5.2 + j, "difference": 0.2 + j,
                          "low": j - 0.1, "high": j + 0.5, "customers": sizes[j],
                          "word": "shifted" if j else "undecided"} for j in range(k) for o in outcomes],
            "advice": [{"segments": [0], "advice": "keep", "why": "its outcomes are as expected"},
                       {"segments": [1], "advice": "redefine", "why": "visit has shifted"}]}
    rows = [[c / (sum(r) + left[a]) for c in r] for a, r in enumerate(counts)]
    return {"command": "compare", "format_version": 1,
            "old": {"run": "run0", "n": 1000, "d": d["d"], "k": k, "digest": "00", "objective": 1.5},
            "new": {"run": str(run), "n": d["n"], "d": d["d"], "k": k, "digest": d["digest"], "objective": d["objective"]},
            "customers": {"common": common, "entered": sum(entered), "left": sum(left)}, "segments": segments,
            "migration": {"counts": counts, "row_share": rows, "entered": entered, "left": left, "moved": moved,
                          "moved_share": moved / common},
            "agreement": {"adjusted_rand": 0.8123, "variation_of_information": 0.41, "variation_of_information_max": 2.2},
            "decomposition": {"order": "customer, scaling, model", "moved": moved, "customer_changed": moved - 3,
                              "scaling_changed": 1, "model_changed": 2,
                              "segments": [{"old": j, "moved": 4, "customer_changed": 2, "scaling_changed": 1, "model_changed": 1}
                                           for j in range(k)]},
            "drift": {"tests": 2 * d["d"], "adjust": "holm", "features": [drift_feature(f, rng) for f in d["features"]],
                      "segments": [{"segment": 0, "name": names[0], "features": [drift_feature(f, rng) for f in d["features"]]}]},
            "calibration": calibration}
