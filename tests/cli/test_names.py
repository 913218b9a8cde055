"""Names of segments: given by --names or made, and shown wherever segments are; results do not depend on them."""
import json
import re

import h5py
import numpy as np

from demarc_testing import Case, main


class Names(Case):
    def customers(self):
        rng = np.random.default_rng(1)
        centre = np.repeat(np.array([[0, 0, 0], [8, 0, 0], [0, 8, 0]]), 200, axis=0)
        return self.write("in.h5", centre + rng.normal(size=(600, 3)), names=["spend", "visits", "age"])

    def fit(self, data, name, *more, **kw):
        out = self.tmp / name
        self.ok("fit", data, "--segments", 3, "--out", out, *more, **kw)
        with h5py.File(out / "model.h5") as f:
            stored = [s.decode() for s in f["segment_name"][:]]
        told = json.loads((out / "diagnostics.json").read_text())
        self.assertEqual(stored, [s["name"] for s in told["segments"]])
        return out, stored, told

    def test_automatic(self):
        data = self.customers()
        _, names, told = self.fit(data, "run")
        self.assertEqual(len(set(names)), 3)
        self.assertEqual({s["named"] for s in told["segments"]}, {"automatic"})
        for s in told["segments"]:
            top = s["features"][0]
            self.assertTrue(s["name"].startswith(("High " if top["difference"] > 0 else "Low ") + top["name"]), s["name"])
        for ranks in (1, 2, 3):
            self.assertEqual(self.fit(data, f"run{ranks}", ranks=ranks, threads=2)[1], names)

    def test_given(self):
        data = self.customers()
        plain, automatic, before = self.fit(data, "plain")
        out, names, told = self.fit(data, "run", "--names", "2=Étoile,, \"A\" ,0=Loyal", ranks=2)
        self.assertEqual(names, ["Loyal", automatic[1], "Étoile, \"A\""])
        self.assertEqual([s["named"] for s in told["segments"]], ["given", "automatic", "given"])
        self.assertEqual(told["digest"], before["digest"])
        self.assertEqual((plain / "assignments.h5").read_bytes(), (out / "assignments.h5").read_bytes())
        self.ok("verify", out)
        self.assertEqual(json.loads((out / "manifest.json").read_text())["options"]["names"], "2=Étoile,, \"A\" ,0=Loyal")
        # shown by info and assign
        found = json.loads(self.ok("info", out, "--json").stdout)
        self.assertEqual(found["model"]["names"], names)
        self.assertRegex(self.ok("info", out / "model.h5").stdout, r"(?m)^ +name +Loyal +")
        p = self.ok("assign", data, "--model", out / "model.h5", "--out", self.tmp / "a.h5", "--json")
        self.assertEqual(json.loads(p.stdout)["name"], names)
        text = self.ok("assign", data, "--model", out / "model.h5", "--out", self.tmp / "b.h5", ranks=2).stdout
        self.assertRegex(text, r"(?m)^ +0  Loyal +\d+ ")

    def test_config_file(self):
        (self.tmp / "c").write_text("names = 0=Loyal,1=Big, 2=x=y\n".replace(", ", ","))
        self.assertEqual(self.fit(self.customers(), "run", "--config", self.tmp / "c")[1], ["Loyal", "Big", "x=y"])

    def test_moved_model_keeps_names(self):
        data = self.tmp / "g.h5"
        self.ok("generate", data, "--customers", 2000, "--segments", 3, "--outcomes")
        out, names, _ = self.fit(data, "run", "--names", "1=Loyal")
        self.ok("boundary", "sweep", data, "--model", out / "model.h5", "--replicates", 0, "--apply",
                self.tmp / "moved.h5", "--apply-segment", 1, "--apply-shift", 0.1)
        with h5py.File(self.tmp / "moved.h5") as f:
            self.assertEqual([s.decode() for s in f["segment_name"][:]], names)

    def test_models_without_names(self):
        data = self.customers()
        out, _, _ = self.fit(data, "run")
        with h5py.File(out / "model.h5", "r+") as f:
            del f["segment_name"]
        self.assertEqual(json.loads(self.ok("info", out / "model.h5", "--json").stdout)["names"],
                         ["segment 0", "segment 1", "segment 2"])
        self.ok("verify", out, ranks=2)
        self.assertRegex(self.ok("assign", data, "--model", out / "model.h5", "--out", self.tmp / "a.h5").stdout,
                         r"(?m)^ +2  segment 2 ")

    def test_damaged_names(self):
        data = self.customers()
        out, _, _ = self.fit(data, "run")
        for bad in (["a", "b"], ["a", "", "c"], ["a", "b\n", "c"], ["a", "b", "c" * 81], np.zeros(3)):
            with h5py.File(out / "model.h5", "r+") as f:
                del f["segment_name"]
                f["segment_name"] = bad
            self.fails(3, "model|segment_name", "info", out / "model.h5")

    def test_refused(self):
        data = self.customers()
        base = ["fit", data, "--segments", 3, "--out", self.tmp / "run", "--names"]
        for value, pattern in (("Loyal", "no name: --names 'Loyal'"), ("3=x", "no such segment: --names '3=x': .* 0 to 2"),
                               ("0=x,1=x", "two segments of one name: .* 0 and 1"), ("0=x,0=y", "named twice"),
                               ("0=a\nb", r"control"), ("0=" + "x" * 100000, "at most 80 bytes"), ("0=", "empty name")):
            p = self.fails(2, pattern, *base, value, ranks=2 if value == "Loyal" else 1)
            self.assertLess(len(p.stderr), 1000)
        self.assertFalse((self.tmp / "run").exists())

    def test_range(self):
        """In a range any k may be chosen: names beyond it are told of, not fatal after the work is done."""
        data = self.customers()
        out = self.tmp / "run"
        p = self.ok("fit", data, "--segments", "2:5", "--out", out, "--names", "0=Loyal,4=Lost")
        told = json.loads((out / "diagnostics.json").read_text())
        self.assertEqual(told["k"], 3)
        self.assertEqual(told["segments"][0]["name"], "Loyal")
        self.assertEqual(len(re.findall("warning.*names of segment 4, 'Lost'", p.stderr)), 1)

    def test_new_names_for_a_finished_run(self):
        data = self.customers()
        out, names, before = self.fit(data, "run", "--names", "2=Old")
        inside, stored = sorted(p.name for p in out.iterdir()), (out / "assignments.h5").read_bytes()
        text = (out / "diagnostics.json").read_text()
        for ranks in (1, 2):
            p = self.ok("fit", data, "--segments", 3, "--out", out, "--resume", "--names", "0=Loyal", ranks=ranks)
            self.assertIn("already finished", p.stderr)
            self.assertRegex(p.stdout, r"(?m)^ +0  Loyal +\d+ ")
            told = json.loads((out / "diagnostics.json").read_text())
            self.assertEqual([s["name"] for s in told["segments"]], ["Loyal", names[1], "Old"])
            self.assertEqual([s["named"] for s in told["segments"]], ["given", "automatic", "given"])
            self.assertEqual(json.loads(self.ok("info", out, "--json").stdout)["model"]["names"], ["Loyal", names[1], "Old"])
            self.assertEqual(sorted(p.name for p in out.iterdir()), inside)
        self.assertEqual((out / "diagnostics.json").read_text(),
                         text.replace(f'"{names[0]}",\n      "named": "automatic"', '"Loyal",\n      "named": "given"'))
        self.assertEqual((out / "assignments.h5").read_bytes(), stored)
        self.ok("verify", out)
        self.fails(2, "two segments of one name", "fit", data, "--segments", 3, "--out", out, "--resume", "--names",
                   "0=Old", ranks=2)
        self.assertEqual(sorted(p.name for p in out.iterdir()), inside)
        # without --names, nothing changes
        self.ok("fit", data, "--segments", 3, "--out", out, "--resume")
        self.assertEqual(json.loads((out / "diagnostics.json").read_text()), told)


if __name__ == "__main__":
    main()
