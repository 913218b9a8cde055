"""What the program writes as JSON agrees with the schemas in src/report/schema, and the schemas are strict."""
import copy
import json
import math
import unittest

try:
    import jsonschema
except ImportError:
    jsonschema = None

from demarc_testing import SOURCE, Case, main

SCHEMAS = ("diagnostics", "manifest", "info", "select", "sweep", "stability", "report", "compare", "analyze")


def schema(name):
    return json.loads((SOURCE / "src" / "report" / "schema" / f"{name}.schema.json").read_text(encoding="utf-8"))


def strict_json(text):
    """Parse JSON; NaN and Infinity, which Python would take, are errors, and so is a repeated key."""
    def constant(word):
        raise ValueError(f"{word} is not JSON")

    def unique(pairs):
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key is repeated")
        return found
    return json.loads(text, parse_constant=constant, object_pairs_hook=unique)


def objects(document, path=()):
    """(path, object) of every object inside a document."""
    if isinstance(document, dict):
        yield path, document
        items = document.items()
    else:
        items = enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        yield from objects(value, path + (key,))


def at(document, path):
    for key in path:
        document = document[key]
    return document


@unittest.skipIf(jsonschema is None, "python3-jsonschema is not installed")
class Schemas(Case):
    def check(self, name, document):
        """The document fits the schema, and no longer does when any object loses or gains a key."""
        validator = jsonschema.Draft202012Validator(schema(name))
        errors = [f"{list(e.absolute_path)}: {e.message}" for e in validator.iter_errors(document)]
        self.assertEqual(errors, [])
        named = {("overall", "mean"), ("overall", "sd")}  # keys are the features' names there
        for path, found in objects(document):
            if path in named or any(isinstance(p, int) and p > 0 for p in path):
                continue  # the first element of a list stands for the others
            for key in found:
                broken = copy.deepcopy(document)
                del at(broken, path)[key]
                self.assertFalse(validator.is_valid(broken), f"{name}: {path} without {key} is accepted")
            broken = copy.deepcopy(document)
            at(broken, path)["surprise"] = 1
            self.assertFalse(validator.is_valid(broken), f"{name}: {path} with a surprise is accepted")

    def generate(self):
        data = self.tmp / "x.h5"
        self.ok("generate", data, "--customers", 5000, "--features", 6, "--segments", 3, "--seed", 1, "--outcomes",
                "--arms", 2)
        return data

    def fit(self, data, segments, *more):
        out = self.tmp / f"run-{segments.replace(':', '-')}"
        self.ok("fit", data, "--segments", segments, "--out", out, *more)
        documents = {}
        for name in ("diagnostics", "manifest"):
            documents[name] = strict_json((out / f"{name}.json").read_text(encoding="utf-8"))
            self.check(name, documents[name])
        return out, documents["diagnostics"], documents["manifest"]

    def test_schemas_are_valid_and_closed(self):
        for name in SCHEMAS:
            jsonschema.Draft202012Validator.check_schema(schema(name))
            for path, part in objects(schema(name)):
                if "properties" in part and path[-1:] != ("properties",):
                    self.assertIs(part.get("additionalProperties"), False, (name, path))
                    self.assertEqual(part.get("required"), list(part["properties"]), (name, path))

    def test_fit(self):
        data = self.generate()
        out, diagnostics, manifest = self.fit(data, "3")
        segments = diagnostics["segments"]
        self.assertEqual([s["segment"] for s in segments], [0, 1, 2])
        self.assertEqual(sum(s["size"] for s in segments), 5000)
        self.assertTrue(math.isclose(sum(s["objective"] for s in segments), diagnostics["objective"], rel_tol=1e-9))
        self.assertEqual(list(diagnostics["overall"]["mean"]), diagnostics["features"])
        for s in segments:
            self.assertEqual(sorted(f["name"] for f in s["features"]), sorted(diagnostics["features"]))
            sizes = [abs(f["difference"]) for f in s["features"]]
            self.assertEqual(sizes, sorted(sizes, reverse=True))
            self.assertNotEqual(s["nearest_segment"], s["segment"])
            self.assertGreater(len(s["outcomes"]), 0)
        self.assertEqual(diagnostics["per_k"], [])
        self.assertEqual(manifest["command"], "fit")
        self.assertEqual(manifest["options"]["segments"], 3)
        self.assertEqual(manifest["result"]["digest"], diagnostics["digest"])
        self.assertEqual(manifest["result"]["objective"], diagnostics["objective"])
        self.assertEqual(manifest["input"]["path"], str(data.resolve()))
        self.assertEqual(manifest["input"]["bytes"], data.stat().st_size)
        self.assertEqual(len(manifest["peak_memory_bytes_per_rank"]), manifest["layout"]["ranks"])
        names = [p["name"] for p in manifest["phases"]]
        self.assertLessEqual(set(names), {"read", "scan", "seed", "minibatch", "polish", "assign", "write"})
        self.assertEqual(len(names), len(set(names)))

    def test_stability(self):
        data = self.generate()
        out, _, _ = self.fit(data, "3")
        for across in ((), ("--across", "1:3")):
            p = self.ok("stability", data, "--model", out / "model.h5", "--replicates", 4, "--json", *across)
            document = strict_json(p.stdout)
            if across:
                self.check("stability", document)
            else:
                self.assertIsNone(document["across"])
            self.assertEqual(sum(s["size"] for s in document["segments"]), 5000)

    def test_fit_of_one_segment(self):
        _, diagnostics, _ = self.fit(self.generate(), "1")
        self.assertIsNone(diagnostics["segments"][0]["nearest_segment"])
        self.assertIsNone(diagnostics["segments"][0]["nearest_distance"])

    def test_fit_over_a_range(self):
        _, diagnostics, manifest = self.fit(self.generate(), "2:4", "--seed", 2**64 - 1)
        self.assertEqual([row["k"] for row in diagnostics["per_k"]], [2, 3, 4])
        self.assertEqual([row["k"] for row in diagnostics["per_k"] if row["chosen"]], [diagnostics["k"]])
        self.assertEqual(manifest["options"]["segments"], "2:4")
        self.assertEqual(manifest["options"]["seed"], str(2**64 - 1))

    def test_select(self):
        data = self.generate()
        found = strict_json(self.ok("select", data, "--segments", "1:4", "--replicates", 3, "--gap-draws", 3, "--halvings",
                                    2, "--seed", 2**64 - 1, "--json").stdout)
        self.check("select", found)
        self.assertEqual([row["k"] for row in found["per_k"]], [1, 2, 3, 4])
        self.assertEqual([row["k"] for row in found["per_k"] if row["chosen"]],
                         [found["recommendation"]["k"]] * (found["recommendation"]["k"] is not None))
        self.assertEqual(found["sample"]["customers"], 5000)
        self.assertEqual(found["seed"], str(2**64 - 1))

    def test_info(self):
        data = self.generate()
        out, diagnostics, _ = self.fit(data, "3")
        for path, kind in ((data, "customers"), (out / "model.h5", "model"), (out / "assignments.h5", "assignments"),
                           (out, "results")):
            found = strict_json(self.ok("info", path, "--json").stdout)
            self.assertEqual(found["kind"], kind)
            self.check("info", found)
        self.assertEqual(found["model"]["sizes"], [s["size"] for s in diagnostics["segments"]])
        self.assertEqual(found["assignments"]["sizes"], found["model"]["sizes"])
        self.assertEqual(found["manifest"]["digest"], diagnostics["digest"])

    def test_boundary_sweep(self):
        data = self.generate()
        out, diagnostics, _ = self.fit(data, "3")
        found = strict_json(self.ok("boundary", "sweep", data, "--model", out / "model.h5", "--json", "--replicates", 20,
                                    "--shifts", "-0.1,0.2,90", "--seed", 2**64 - 1).stdout)
        self.check("sweep", found)
        self.assertEqual(found["objective"], diagnostics["objective"])
        self.assertEqual([s["size"] for s in found["segments"]], [s["size"] for s in diagnostics["segments"]])
        self.assertEqual([s["status"] for s in found["shifts"]], ["ok", "ok", "impossible"] * 3)

    def test_compare(self):
        data = self.generate()
        out, _, _ = self.fit(data, "3")
        other, _, _ = self.fit(data, "4")
        found = strict_json(self.ok("compare", out, other, "--json").stdout)
        self.check("compare", found)
        self.assertEqual(sorted(s["status"] for s in found["segments"]), ["born", "matched", "matched", "matched"])
        self.assertGreater(len(found["calibration"]["advice"]), 0)

    def test_info_of_boundary_tests(self):
        import h5py
        import numpy as np
        data = self.generate()
        out, _, _ = self.fit(data, "3")
        plan, offsets = self.tmp / "plan", self.tmp / "offsets.h5"
        self.ok("boundary", "plan", data, "--model", out / "model.h5", "--out", plan, "--force", "--seed", 2 ** 63)
        found = strict_json(self.ok("info", plan, "--json").stdout)
        self.check("info", found)
        self.assertEqual(found["kind"], "experiment")
        self.assertEqual(found["path"], str(plan / "experiment.h5"))
        designed = strict_json((plan / "plan.json").read_text(encoding="utf-8"))
        self.assertEqual(found["seed"], designed["seed"])
        self.assertEqual(found["n"], designed["customers"])
        for b, want in zip(found["boundaries"], designed["boundaries"], strict=True):
            self.assertEqual([b["segment"], b["other"]], want["segments"])
            for arm in ("keep", "switch"):
                self.assertEqual(b[arm], sum(s[arm] for s in want["sides"]))
        with h5py.File(offsets, "w") as f:
            f["critical_offset"] = np.zeros((7, 3))
            f.attrs["kind"] = "critical offsets"
            f.attrs["model_digest"] = "abc"
        found = strict_json(self.ok("info", offsets, "--json").stdout)
        self.check("info", found)
        self.assertEqual((found["kind"], found["n"], found["k"]), ("critical offsets", 7, 3))

    def test_info_of_customers(self):
        import numpy as np
        x = np.array([[1.0, np.nan], [3.0, np.inf], [5.0, 4.0]])
        path = self.write("audit.h5", x, names=["plain", 'say "hi"'])
        found = strict_json(self.ok("info", path, "--json").stdout)
        self.check("info", found)
        plain, hostile = found["features"]
        self.assertAlmostEqual(plain.pop("sd"), math.sqrt(8 / 3), places=12)
        self.assertEqual(plain, {"name": "plain", "count": 3, "missing": 0, "non_finite": 0, "min": 1.0, "max": 5.0,
                                 "mean": 3.0})
        self.assertEqual(hostile, {"name": 'say "hi"', "count": 1, "missing": 1, "non_finite": 1, "min": 4.0,
                                   "max": 4.0, "mean": 4.0, "sd": 0.0})
        self.assertIsNone(found["arms"])
        self.assertEqual(found["id"]["kind"], "row")

    def test_info_of_arms(self):
        """Who is the control is told, and that nobody is."""
        table = "x,group\n" + "".join(f"{i},{('mail', 'Call')[i % 2]}\n" for i in range(9))
        for given, want in (([], ""), (["--control", "mail"], "mail")):
            (self.tmp / "a.csv").write_text(table)
            self.ok("import", self.tmp / "a.csv", self.tmp / "a.h5", "--arm", "group", "--force", *given)
            found = strict_json(self.ok("info", self.tmp / "a.h5", "--json").stdout)
            self.check("info", found)
            self.assertEqual(found["control"], want)
            self.assertRegex(self.ok("info", self.tmp / "a.h5").stdout,
                             r"(?m)^control +" + (want or r"none named \(give --control NAME\)") + "$")

    def test_boundary_analyze(self):
        """A line that moves, with everything told; and an analysis that stopped, with nothing judged."""
        import numpy as np

        from boundary_data import write_customers, write_model
        from experiment_files import write_experiment
        rng = np.random.default_rng(5)
        e = write_experiment(self.tmp / "e.h5", 4000, ((0, 1),), seed=3)
        model = write_model(self.tmp / "m.h5", [[-1, 0], [1, 0]], [0.0, 0.0], [500, 700], digest="ab" * 16)
        before = rng.standard_normal(4000)
        spend = before + e["as_second"] * (0.8 + e["x"]) + 0.3 * rng.standard_normal(4000)
        run = ("boundary", "analyze", self.tmp / "e.h5", self.tmp / "r.h5", "--model", model, "--json", "--outcome", "spend")
        write_customers(self.tmp / "r.h5", None, {"spend": spend, "before": before}, id=e["id"])
        found = strict_json(self.ok(*run, "--pre", "before", "--apply", self.tmp / "moved.h5").stdout)
        self.check("analyze", found)
        first = found["boundaries"][0]
        self.assertRegex(first["decision"], "widen")
        for told in (first["move"], first["crossing"], first["curve"], first["sides"][0]["cuped"], found["offsets"]):
            self.assertIsNotNone(told)
        self.assertAlmostEqual(first["crossing"]["value"], -0.8, delta=0.1)
        rows = np.flatnonzero(rng.random(4000) < 0.5)
        write_customers(self.tmp / "r.h5", None, {"spend": spend[rows]}, id=e["id"][rows])
        found = strict_json(self.ok(*run).stdout)
        self.check("analyze", found)
        self.assertIsNotNone(found["stopped"])
        self.assertIsNone(found["boundaries"][0]["decision"])


if __name__ == "__main__":
    main()
