"""The page of `demarc report`, opened in headless Chromium."""
import json
import math
import os
import pathlib
import re
import shutil
import tempfile
import unittest

import numpy as np

import browser
import report_fixtures as made_up
from demarc_testing import Case, main

SHOTS = os.environ.get("DEMARC_SHOTS")
HOSTILE = "<script>document.title='owned'</script>"

# Every table as {caption, headings, rows of {text, value}}; value is None where the cell is no number.
TABLES = """
document.querySelectorAll("details").forEach((d) => { d.open = true; });
document.querySelectorAll("table").forEach((t) => t.fill && t.fill());
return [...document.querySelectorAll("table")].map((t) => ({
  caption: t.caption.textContent,
  headings: [...t.tHead.rows[0].cells].map((c) => c.textContent),
  rows: [...t.tBodies[0].rows].map((r) => [...r.cells].map((c) => {
    const d = c.querySelector("data");
    return { text: c.textContent, value: d ? d.getAttribute("value") : null };
  })),
}));
"""
PLOTS = """
return [...document.querySelectorAll(".plot")].map((p) => {
  const svg = p.querySelector("svg"), box = p.getBoundingClientRect(), inside = svg ? svg.getBBox() : { width: 0, height: 0 };
  return { label: p.getAttribute("aria-label"), role: p.getAttribute("role"), caption: p.parentElement.querySelector("figcaption").textContent,
    width: box.width, height: box.height, drawn: [inside.width, inside.height], paths: p.querySelectorAll("svg path").length,
    texts: p.querySelectorAll("svg text").length, tables: p.closest("section").querySelectorAll("table").length,
    readings: p.closest("section").querySelectorAll("p.reading").length, bad: /NaN|undefined/.test(p.innerHTML) };
});
"""


def customers(case, name="customers.h5", n=1500, seed=4, features=("recency", "spend", "visits", "returns"), **more):
    """Three clouds with outcomes, a campaign and channels."""
    rng = np.random.default_rng(seed)
    cloud = rng.integers(0, 3, n)
    x = rng.normal(size=(n, len(features))) + 4 * rng.normal(size=(3, len(features)))[cloud]
    import h5py
    path = case.write(name, x, names=list(features), **more)
    with h5py.File(path, "a") as f:
        f["outcomes"] = np.column_stack([rng.random(n) < 0.1 + 0.1 * cloud, rng.gamma(2, 5 + cloud)]).astype("f4")
        f["outcomes"].attrs["outcome_names"] = ["visit", "revenue"]
        f["arm"] = rng.integers(0, 2, n)
        f["arm"].attrs["arm_names"] = ["control", "mail"]
        f["arm"].attrs["control"] = "control"
        f["reachable"] = (rng.random((n, 2)) < [0.8, 0.4]).astype("u1")
        f["reachable"].attrs["channel_names"] = ["mail", "phone"]
    return path


def document_of(page):
    """The JSON inside a page, as a browser's parser would find it: up to the first end tag of a script."""
    text = pathlib.Path(page).read_text(encoding="utf-8")
    return json.loads(text.split('id="document">', 1)[1].split("</script", 1)[0])


@unittest.skipUnless(browser.AVAILABLE, "chromium, chromedriver or python3-selenium is not installed")
class PageCase(Case):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.browser.media(False)
        self.browser.size(1200, 900)

    def full_run(self, **more):
        """A run with the answers of all boundary tests, and made-up ones of the other commands."""
        data, run = customers(self, **more), self.tmp / "run"
        self.ok("fit", data, "--segments", 3, "--out", run)
        options = []
        for test, arguments in (("sweep", ["--replicates", 30]), ("replay", []), ("plan", ["--out", self.tmp / "plan", "--force"])):
            p = self.ok("boundary", test, data, "--model", run / "model.h5", "--json", "--quiet", *arguments)
            (self.tmp / f"{test}.json").write_text(p.stdout)
            options += ["--boundary", self.tmp / f"{test}.json"]
        for name in ("select", "stability", "compare"):
            options += [f"--{name}", made_up.save(self.tmp / f"{name}.json", getattr(made_up, name)(run))]
        return run, options

    def report(self, run, *options):
        page = self.tmp / "report.html"
        self.ok("report", run, "--out", page, "--force", *options)
        self.browser.open(page)
        return page

    def assert_quiet(self, page):
        """No complaint in the console, no request but the page itself."""
        self.assertEqual([c["message"] for c in self.browser.complaints()], [])
        self.assertEqual([u for u in self.browser.requests() if not u.startswith("data:,")], [page.resolve().as_uri()])


class Whole(PageCase):
    """One page with all its parts; tests only look at it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.maker = cls("make")
        Case.setUp(cls.maker)
        run, options = cls.maker.full_run()
        cls.page = cls.maker.report(run, *options)
        cls.document = document_of(cls.page)
        cls.kept = pathlib.Path(tempfile.mkdtemp(prefix="demarc-page-"))
        cls.addClassCleanup(shutil.rmtree, cls.kept, ignore_errors=True)
        cls.addClassCleanup(cls.maker.doCleanups)

    def make(self):
        """Not a test: the case that makes the page."""

    def setUp(self):
        super().setUp()
        self.browser.open(self.page)

    def test_quiet(self):
        self.assert_quiet(self.page)

    def test_no_other_script_and_no_request_is_allowed(self):
        """The policy holds: a script or an image that is added is not run, not loaded."""
        self.browser.requests()
        self.browser.run("""const s = document.createElement("script"); s.textContent = "window.added = 1"; document.head.append(s);
            const i = new Image(); i.src = "http://192.0.2.1/x.png"; document.body.append(i);""")
        self.browser.settle()
        self.assertIsNone(self.browser.run("return window.added ?? null"))
        self.assertGreaterEqual(len(self.browser.complaints()), 2)
        self.assertEqual(self.browser.requests(), {"http://192.0.2.1/x.png": "csp"})

    def test_charts_are_drawn(self):
        plots = self.browser.run(PLOTS)
        self.assertGreaterEqual(len(plots), 17)
        for p in plots:
            with self.subTest(p["caption"]):
                self.assertEqual(p["role"], "img")
                self.assertGreater(len(p["label"]), 20)
                self.assertGreater(min(p["width"] - 200, p["height"] - 50), 0)
                self.assertGreater(min(p["drawn"][0] - 150, p["drawn"][1] - 30), 0)
                self.assertGreater(p["paths"], 3)
                self.assertGreater(p["texts"], 2)
                self.assertGreaterEqual(p["tables"], 1)
                self.assertGreaterEqual(p["readings"], 1)
                self.assertFalse(p["bad"])
        words = self.browser.run("return document.body.innerText")
        self.assertNotRegex(words, r"undefined|NaN|\[object")

    def expected(self):
        """caption -> (rows of numbers in the order of the table's columns; None = not a number there)."""
        d, g = self.document, self.document["diagnostics"]
        segments, names = g["segments"], g["features"]
        by = [{f["name"]: f for f in s["features"]} for s in segments]
        strength = {f: max(abs(b[f]["difference"] or 0) for b in by) for f in names}
        order = sorted(names, key=lambda f: -strength[f])
        tables = {
            "Sizes": [[s["size"], s["share"]] for s in segments],
            "All segments": [[s["size"], s["share"], s["mean_distance"], s["mean_margin"], s["near_boundary_share"],
                              s["simplified_silhouette"], *(o["mean"] for o in s["outcomes"]), s["reach"]["any"]] for s in segments],
            "Difference of each feature (standard deviations)": [[b[f]["difference"] for b in by] for f in order],
            "Mean of each feature (original units)": [[*(b[f]["mean"] for b in by), g["overall"]["mean"][f], g["overall"]["sd"][f]]
                                                      for f in order],
            "Steps of the fit": [[i + 1, p["iteration"], p["objective"], p["shift"]] for i, p in enumerate(g["passes"])],
            "Time and reading": [[p["seconds"], p["bytes"]] for p in d["manifest"]["phases"]],
        }
        m = d["map"]
        tables["Centres on the map (scaled units)"] = [
            [m["centroids"][2 * j] * m["step"], m["centroids"][2 * j + 1] * m["step"], m["segment"].count(j)] for j in range(g["k"])]
        rows = sorted((("across", "up")[a], -abs(x["correlation"][f]), x["correlation"][f], x["loading"][f])
                      for a, x in enumerate(m["axes"]) for f in range(g["d"]))
        tables["What the directions are made of"] = [list(r[2:]) for r in rows]
        tables.update(self.expected_others(d))
        return tables

    def expected_others(self, d):
        select, stability, compare = d["select"], d["stability"], d["compare"]
        keys = ("k", "objective", "explained_share", "calinski_harabasz", "davies_bouldin", "simplified_silhouette", "smallest_share",
                "reachable_share", "gap", "gap_se", "prediction_strength", "prediction_strength_se", "stability", "stability_lowest")
        tables = {
            "Criteria for each number of segments": [[r[key] for key in keys] for r in select["per_k"]],
            "Stability of each segment": [[s["jaccard"]["mean"], s["jaccard"]["low"], s["jaccard"]["high"], s["jaccard"]["sd"], s["recovered_share"],
                                           s["dissolved_share"], s["within"]["mean"], s["across"][0]["value"]] for s in stability["segments"]],
        }
        m = compare["migration"]
        drift = ("psi", "psi_p", "psi_p_adjusted", "ks", "ks_p", "ks_p_adjusted", "wasserstein", "wasserstein_sd", "old_mean", "new_mean")
        moves = ("moved", "customer_changed", "scaling_changed", "model_changed")
        w = compare["decomposition"]
        tables.update({
            "Customers by earlier and present segment": [row + [m["left"][a]] for a, row in enumerate(m["counts"])],
            "Shares of each earlier segment": m["row_share"],
            "New customers": [[v] for v in m["entered"]],
            "Which segment became which": [[s[key] for key in ("old", "new", "common", "jaccard", "old_size", "new_size")] for s in compare["segments"]],
            "Moves by cause": [[x[key] for key in moves] for x in [w, *w["segments"]]],
            "Drift of each feature": [[f.get(key) for key in drift] for f in compare["drift"]["features"]],
            "Expected and actual means": [[s[key] for key in ("expected", "actual", "difference", "low", "high", "customers")]
                                          for s in compare["calibration"]["segments"]],
            "Advice": [[] for _ in compare["calibration"]["advice"]],
        })
        for s in compare["drift"]["segments"]:
            tables[f"Drift within {d['names'][s['segment']]}"] = [[f.get(key) for key in drift] for f in s["features"]]
        sweep, replay, plan = d["boundary"]
        for o in sweep["outcomes"]:
            pairs = [(s, e) for s in sweep["shifts"] for e in s["outcomes"] if e["name"] == o["name"]]
            tables[f"Movers and {o['name']}"] = [[s["shift"], s["movers"], e["movers"]["value"], e["movers"]["low"], e["movers"]["high"], e["left"]["value"],
                                                  e["joined"]["value"], e["p_adjusted"]] for s, e in pairs]
        tables["Every move"] = [[s["shift"], s["target"], s["movers"], *(s["objective_change"][key] for key in ("value", "low", "high"))] for s in sweep["shifts"]]
        for o in replay["outcomes"]:
            tables[f"Every move, {o['name']}"] = [[s["shift"], s["aipw"]["value"], s["aipw"]["low"], s["aipw"]["high"], s["per_mover"], s["p_adjusted"]]
                                                  for s in o["shifts"]]
            tables[f"Verdict for each segment, {o['name']}"] = [[v["shift"]] for v in o["verdicts"]]
        tables["The design"] = [[s["keep"], s["switch"], s["mde"], s["power"]] for b in plan["boundaries"] for s in b["sides"]]
        return tables

    def test_numbers_equal_the_json(self):
        shown = {t["caption"]: t for t in self.browser.run(TABLES)}
        expected = self.expected()
        self.assertEqual(set(shown) - {"Options of the fit"}, set(expected))
        for caption, rows in expected.items():
            with self.subTest(caption):
                t = shown[caption]
                found = [[None if c["text"] == "–" else float(c["value"]) for c in row[1:] if c["value"] is not None or c["text"] == "–"]
                         for row in t["rows"]]
                if caption in ("Steps of the fit", "Criteria for each number of segments"):  # the head of the row is a number too
                    found = [[float(row[0]["value"]), *rest] for row, rest in zip(t["rows"], found, strict=True)]
                if caption == "What the directions are made of":  # ties in the order may fall either way
                    found, rows = sorted(map(tuple, found)), sorted(map(tuple, rows))
                if caption.startswith("Verdict for"):  # "–" stands for an absent arm as well
                    found = [row[-1:] for row in found]
                self.assertEqual([list(r) for r in found], [list(r) for r in rows])

    def test_text_is_the_number_rounded(self):
        cells = [c for t in self.browser.run(TABLES) for row in t["rows"] for c in row if c["value"] is not None]
        self.assertGreater(len(cells), 300)
        for c in cells:
            text, value = c["text"].replace(",", "").replace("−", "-"), float(c["value"])
            if text.startswith("<"):
                self.assertLess(value, 0.0001)
                continue
            share = text.endswith("%")
            read = float(text.rstrip("%")) / (100 if share else 1)
            # Shares have a tenth of a percent, numbers four digits and whole ones above a thousand, p-values four places.
            self.assertTrue(math.isclose(read, value, rel_tol=0 if share else 5.1e-4, abs_tol=5.1e-4 if share else 5.1e-5) or
                            abs(value) >= 1000 and abs(read - value) <= 0.51 or 0 < abs(value) < 1e-4 and math.isclose(read, value, rel_tol=6e-3), c)

    def test_structure(self):
        """Landmarks, one h1, no level of heading skipped, a name for everything that can be reached."""
        e = self.browser.run("""return {
            lang: document.documentElement.lang, title: document.title, h1: document.querySelectorAll("h1").length,
            marks: ["header", "nav", "main", "footer"].map((t) => document.querySelectorAll(`body > ${t}`).length),
            levels: [...document.querySelectorAll("h1, h2, h3, h4")].map((x) => Number(x.tagName[1])),
            sections: [...document.querySelectorAll("main > section")].map((s) => document.getElementById(s.getAttribute("aria-labelledby"))?.textContent ?? ""),
            links: [...document.querySelectorAll("nav a")].map((a) => document.querySelector(a.getAttribute("href")) !== null),
            regions: [...document.querySelectorAll("[tabindex]")].map((x) => x.getAttribute("aria-label") ?? ""),
            heads: [...document.querySelectorAll("table")].map((t) => t.querySelectorAll("thead th[scope=col]").length > 1 && t.querySelectorAll("caption").length === 1),
        }""")
        self.assertEqual((e["lang"], e["h1"], e["marks"]), ("en", 1, [1, 1, 1, 1]))
        self.assertIn("3 segments", e["title"])
        for before, after in zip(e["levels"], e["levels"][1:], strict=False):
            self.assertLessEqual(after - before, 1)
        for part in ("The segments", "How large they are", "What sets them apart", "Map of customers", "How many segments", "How stable they are", "If a boundary moved",
                     "What a past campaign says", "A planned experiment", "What changed since the earlier run", "How the fit went", "Where it comes from"):
            self.assertIn(part, e["sections"])
        self.assertEqual(len(e["links"]), len(e["sections"]))
        self.assertTrue(all(e["links"]) and all(e["regions"]) and all(e["heads"]))

    def test_keyboard(self):
        """Tab goes to the skip link first, then through the contents to every table; where it is can be seen."""
        from selenium.webdriver.common.by import By
        from selenium.webdriver.common.keys import Keys
        body = self.browser.driver.find_element(By.TAG_NAME, "body")
        body.send_keys(Keys.TAB)
        seen = []
        for _ in range(200):
            e = self.browser.run("""const e = document.activeElement, s = getComputedStyle(e);
                return [e.tagName, e.className, e.textContent.slice(0, 40), parseFloat(s.outlineWidth) >= 2 && s.outlineStyle !== "none", e.getBoundingClientRect().width > 0];""")
            if e[0] == "BODY":
                break
            seen.append(e)
            self.browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        self.assertEqual(seen[0][1], "skip")
        self.assertTrue(all(e[3] and e[4] for e in seen), [e for e in seen if not (e[3] and e[4])])
        summaries = self.browser.run("return document.querySelectorAll('summary').length")
        self.assertEqual(sum(e[0] == "SUMMARY" for e in seen), summaries)
        self.browser.open(self.page)
        self.browser.driver.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
        self.assertTrue(self.browser.run("return document.querySelector('details').open"))

    def colours(self):
        return self.browser.run("""const text = document.querySelector(".plot svg text");
            return { ground: getComputedStyle(document.querySelector(".part")).backgroundColor, ink: getComputedStyle(document.body).color,
              chart: text.getAttribute("fill") || text.style.fill, palette: demarc.palette, mark: document.querySelector(".card path").getAttribute("fill") }""")

    def test_light_and_dark(self):
        light = self.colours()
        self.browser.media(True)
        self.browser.settle()
        dark = self.colours()
        for key in ("ground", "ink", "chart", "mark"):
            self.assertNotEqual(light[key], dark[key], key)
        for mode, found in (("light", light), ("dark", dark)):
            ground = [int(v) for v in re.findall(r"\d+", found["ground"])[:3]]
            self.assertGreaterEqual(contrast(ground, [int(v) for v in re.findall(r"\d+", found["ink"])[:3]]), 7)
            for c in found["palette"][mode]:
                self.assertGreaterEqual(contrast(ground, [int(c[i:i + 2], 16) for i in (1, 3, 5)]), 3, (mode, c))

    def test_narrow(self):
        self.browser.size(400, 800)
        self.browser.settle()
        self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), 400)
        for p in self.browser.run(PLOTS):
            self.assertLessEqual(p["width"], 400)
            self.assertGreater(p["drawn"][0], 100)
            self.assertFalse(p["bad"])

    def test_print(self):
        """A PDF of some pages; for print the charts are drawn in light, also where the screen is dark."""
        self.browser.media(True)
        self.browser.settle()
        before = self.colours()["chart"]
        self.browser.run("window.dispatchEvent(new Event('beforeprint'))")
        self.assertTrue(self.browser.run("return demarc.printing"))
        self.assertEqual(self.browser.run("return demarc.palette.light[0]"), self.colours()["mark"])
        self.browser.run("window.dispatchEvent(new Event('afterprint'))")
        self.assertEqual(self.colours()["chart"], before)
        self.browser.pdf(self.kept / "report.pdf")
        pdf = (self.kept / "report.pdf").read_bytes()
        self.assertTrue(pdf.startswith(b"%PDF"))
        pages = max(int(n) for n in re.findall(rb"/Count (\d+)", pdf))
        self.assertTrue(3 <= pages <= 40, pages)

    def test_screenshots(self):
        """Kept where DEMARC_SHOTS says, to be looked at."""
        folder = pathlib.Path(SHOTS) if SHOTS else self.kept
        folder.mkdir(exist_ok=True)
        for name, dark in (("light", False), ("dark", True)):
            self.browser.media(dark)
            self.browser.settle()
            self.browser.whole(folder / f"{name}.png")
            self.assertGreater((folder / f"{name}.png").stat().st_size, 100000)


def contrast(a, b):
    """WCAG 2.1, of two [r, g, b] of 0 ... 255."""
    def luminance(c):
        c = np.array(c) / 255
        return float(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


class Others(PageCase):
    def test_hostile_names(self):
        """Markup in names of features, outcomes and segments and in ids stays text."""
        n = 300
        ids = np.array([f"</script>{HOSTILE}{i}".encode() for i in range(n)])
        run, options = self.full_run(n=n, features=(HOSTILE, "<img src=x onerror=alert(1)>", "a&b\"'`", "plain"), id=ids)
        page = self.report(run, "--names", f"0={HOSTILE},1=<b>bold</b>", *options)
        self.assert_quiet(page)
        e = self.browser.run("""document.querySelectorAll("details").forEach((d) => { d.open = true; });
            return { title: document.title, made: document.querySelectorAll("main script, main img, main b").length,
              scripts: document.scripts.length, text: document.getElementById("main").textContent }""")
        self.assertNotIn("owned", e["title"].replace("customers.h5", ""))
        self.assertEqual(e["made"], 0)
        self.assertEqual(e["scripts"], 9)  # the document, ECharts, seven of ours
        for text in (HOSTILE, "<img src=x onerror=alert(1)>", "<b>bold</b>", f"</script>{HOSTILE}"):
            self.assertIn(text, e["text"])
        self.assertFalse([p for p in self.browser.run(PLOTS) if p["bad"]])

    def test_answers_of_the_commands_themselves(self):
        """What select, stability, compare and the boundary tests print today is what the page reads."""
        data, run, old = customers(self, n=900), self.tmp / "run", self.tmp / "old"
        self.ok("fit", customers(self, "old.h5", n=800, seed=4), "--segments", 2, "--out", old)
        self.ok("fit", data, "--segments", "2:4", "--out", run)
        answers = {"select": ["select", data, "--segments", "1:4", "--replicates", 5, "--gap-draws", 4, "--halvings", 4],
                   "stability": ["stability", data, "--model", run / "model.h5", "--replicates", 6, "--across", "2:4"],
                   "compare": ["compare", old, run],
                   "boundary": ["boundary", "sweep", data, "--model", run / "model.h5", "--replicates", 10]}
        options = []
        for name, command in answers.items():
            (self.tmp / f"{name}.json").write_text(self.ok(*command, "--json", "--quiet").stdout)
            options += [f"--{name}", self.tmp / f"{name}.json"]
        page = self.report(run, *options)
        self.assert_quiet(page)
        tables = self.browser.run(TABLES)
        self.assertNotRegex(self.browser.run("return document.body.innerText"), r"undefined|NaN|\[object")
        self.assertFalse([p for p in self.browser.run(PLOTS) if p["bad"]])
        document = document_of(page)
        shown = {t["caption"]: t["rows"] for t in tables}
        for caption, rows in (("Criteria for each number of segments", document["select"]["per_k"]), ("Stability of each segment", document["stability"]["segments"]),
                              ("Drift of each feature", document["compare"]["drift"]["features"]), ("Which segment became which", document["compare"]["segments"])):
            self.assertEqual(len(shown[caption]), len(rows), caption)
        gap = [float(row[8]["value"]) for row in shown["Criteria for each number of segments"] if row[8]["value"]]
        self.assertEqual(gap, [r["gap"] for r in document["select"]["per_k"] if r["gap"] is not None])

    def test_no_structure_comes_first(self):
        data, run = customers(self), self.tmp / "run"
        self.ok("fit", data, "--segments", 3, "--out", run)
        select = made_up.save(self.tmp / "select.json", made_up.select(run, structure=False))
        page = self.report(run, "--select", select)
        self.assert_quiet(page)
        first = self.browser.run("return document.querySelector('h1').textContent")
        self.assertEqual(first, "No structure to segment: the customers form one cloud")
        self.assertIn("3 segments of 1,500 customers were made all the same", self.browser.run("return document.getElementById('summary').textContent"))

    def test_names_and_colours_of_an_earlier_run(self):
        data, run = customers(self), self.tmp / "run"
        self.ok("fit", data, "--segments", 3, "--out", run)
        compare = made_up.compare(run)
        for s in compare["segments"]:
            if s["new"] == 0:
                s["name"], s["colour"] = "Old friends", 5
        self.report(run, "--compare", made_up.save(self.tmp / "compare.json", compare))
        card = self.browser.run("""const c = document.querySelector(".card");
            return [c.querySelector("h3").textContent, c.querySelector("path").getAttribute("fill"), demarc.palette.light[5]]""")
        self.assertEqual(card[0], "Old friends")
        self.assertEqual(card[1], card[2])

    def test_without_map_and_one_segment(self):
        data, run = customers(self, n=200), self.tmp / "run"
        self.ok("fit", data, "--segments", 1, "--out", run)
        page = self.report(run, "--no-map")
        self.assert_quiet(page)
        self.assertIn("There is no map: left out by --no-map.", self.browser.run("return document.getElementById('map').textContent"))
        page = self.report(run)
        self.assert_quiet(page)
        self.assertNotRegex(self.browser.run("return document.body.innerText"), r"undefined|NaN|\[object")

    def test_many_segments_and_features(self):
        rng = np.random.default_rng(1)
        data, run = self.write("wide.h5", rng.normal(size=(1200, 200)).astype("f4")), self.tmp / "run"
        self.ok("fit", data, "--segments", 100, "--restarts", 1, "--polish", 2, "--out", run)
        page = self.report(run)
        self.assert_quiet(page)
        self.assertEqual(self.browser.run("return document.querySelectorAll('.card').length"), 12)
        tables = {t["caption"]: t for t in self.browser.run(TABLES)}
        self.assertEqual(len(tables["Difference of each feature (standard deviations)"]["rows"]), 200)
        self.assertEqual(len(tables["All segments"]["rows"]), 100)
        self.assertFalse([p for p in self.browser.run(PLOTS) if p["bad"] or p["height"] > 2000])
        self.assertLess(page.stat().st_size, 8e6)


if __name__ == "__main__":
    main()
