/* The page from top to bottom: fit, provenance, contents; and drawing it again for another width, for dark, for print. */
"use strict";

/* Where the last steps would be flat on a plain scale. */
const wide = (v) => v.every((y) => y !== null) && Math.max(...v) > 50 * Math.min(...v);

function passesPart() {
  const all = found.passes;
  if (!all || all.length === 0) return null;
  const words = { seed: "seeding", minibatch: "mini-batch", exchange: "exchange of centroids", lloyd: "full pass" };
  const points = all.map((p, i) => ({ x: i + 1, y: p.objective > 0 ? p.objective : null }));
  const text = `${say.plural(found.iterations, "full pass", "full passes")} over all customers${found.batches ? ` after ${say.plural(found.batches, "mini-batch", "mini-batches")}` : ""}; ${found.converged ? "the fit converged" : "a limit ended the fit"}. The objective is ${say.number(found.objective)}.`;
  return part(
    "fit",
    "How the fit went",
    reading(text),
    curve("Objective at the start of each step", `Line chart. ${text}`, points, {
      xName: "step",
      log: wide(points.map((p) => p.y)),
      height: 240,
    }),
    behind(
      "Steps of the fit",
      [
        { title: "Step", kind: "count", of: (r) => r.i + 1 },
        { title: "Kind", kind: "text", of: (r) => words[r.p.phase] },
        { title: "Number", kind: "count", of: (r) => r.p.iteration },
        { title: "Objective", kind: "number", of: (r) => r.p.objective },
        { title: "Squared move of the centroids", kind: "number", of: (r) => r.p.shift },
      ],
      all.map((p, i) => ({ p, i })),
    ),
  );
}

function provenancePart() {
  const m = manifest,
    v = m.versions,
    o = m.options;
  const command = m.command_line || `demarc fit ${o.data} --segments ${o.segments} --seed ${o.seed} --out ${o.out}`;
  const differing = Object.entries(o).filter(([, value]) => value !== null && value !== false);
  return part(
    "provenance",
    "Where it comes from",
    reading(
      "The same input, options and seed give the same bytes: labels, distances, centroids, objective and digest do not depend on the number of machines or threads, on memory, or on interruptions. Whoever has the file can check it.",
    ),
    pairs(
      [
        ["Digest of the result", h("code", null, found.digest)],
        ["Objective", datum(found.objective, "number")],
        ["Customer file", h("code", null, m.input.path)],
        ["Its values", [h("code", null, m.input.digest), `, ${say.count(m.input.bytes)} bytes in the file`]],
        ["Seed", h("code", null, String(o.seed))],
        [
          "Scaling",
          `${o.scale}${o.log1p ? `, log(1 + x) of ${o.log1p}` : ""}${o["feature-weights"] ? `, weights ${o["feature-weights"]}` : ""}`,
        ],
        ["Made", `${m.started_utc} to ${m.finished_utc}, ${say.number(m.seconds)} seconds`],
        [
          "Layout",
          `${say.plural(m.layout.ranks, "rank")} × ${say.plural(m.layout.threads_per_rank, "thread")}; results do not depend on it`,
        ],
        [
          "Versions",
          `demarc ${v.demarc} (${v.commit}), ${v.compiler}, ${v.mpi}, HDF5 ${v.hdf5}, ${v.blas}, kernels ${v.kernel}`,
        ],
      ],
      "facts",
    ),
    h("h3", null, "To make it again"),
    h("pre", null, h("code", null, command)),
    h("h3", null, "To check it"),
    h("pre", null, h("code", null, `demarc verify ${doc.run}`)),
    behind(
      "Options of the fit",
      [
        { title: "Option", kind: "text", of: (x) => x[0] },
        { title: "Value", kind: "text", of: (x) => String(x[1]) },
      ],
      differing,
    ),
    behind(
      "Time and reading",
      [
        { title: "Phase", kind: "text", of: (p) => p.name },
        { title: "Seconds", kind: "number", of: (p) => p.seconds },
        { title: "Bytes", kind: "count", of: (p) => p.bytes },
      ],
      m.phases,
    ),
  );
}

function show() {
  showSummary();
  const parts = [
    segmentsPart(),
    sizesPart(),
    found.k > 1 ? profilesPart() : null,
    mapPart(),
    selectPart(),
    stabilityPart(),
    ...boundaryParts(),
    comparePart(),
    passesPart(),
    provenancePart(),
  ].filter((p) => p !== null);
  document.getElementById("main").replaceChildren(...parts);
  document.getElementById("contents").append(
    h(
      "ul",
      null,
      parts.map((p) => h("li", null, h("a", { href: `#${p.id}` }, p.querySelector("h2").textContent))),
    ),
  );
  document
    .getElementById("footer")
    .append(
      h(
        "p",
        null,
        `Made by demarc ${manifest.versions.demarc}. This page loads nothing from anywhere. Charts: Apache ECharts ${echarts.version} (Apache License 2.0; text in the source of this page).`,
      ),
    );
}

/* Colours that style sheets cannot know: of segments, and of the steps of the heat map. */
function paint() {
  document.querySelectorAll("path[data-place]").forEach((e) => e.setAttribute("fill", colour(Number(e.dataset.place))));
  document.querySelectorAll(".card").forEach((e) => e.style.setProperty("--segment", colour(Number(e.dataset.place))));
  document.querySelectorAll("i[data-step]").forEach((e) => {
    e.style.background = ramp[dark() ? "dark" : "light"][Number(e.dataset.step)];
  });
  drawAll();
}

show();
paint();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
let waiting = 0;
new ResizeObserver(() => {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => demarc.charts.filter((c) => c.plot.clientWidth !== c.width).forEach(draw));
}).observe(document.getElementById("main"));
function forPrint(on) {
  demarc.printing = on;
  paint();
}
addEventListener("beforeprint", () => forPrint(true));
addEventListener("afterprint", () => forPrint(false));
