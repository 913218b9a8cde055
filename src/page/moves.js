/* What changed since an earlier run: flows of customers, why they moved, drift, expected against actual outcomes. */
"use strict";

/* Segments of the earlier run by name and colour. */
function ends(d) {
  const old = new Map();
  for (const s of d.segments) {
    if (s.old !== null) old.set(s.old, { name: s.name, place: s.status === "died" ? s.old : s.colour });
  }
  return {
    old: (j) => old.get(j)?.name ?? `earlier segment ${j}`,
    now: nameOf,
    oldPlace: (j) => old.get(j)?.place ?? j,
    nowPlace: placeOf,
  };
}

function flows(d, e) {
  const m = d.migration,
    nodes = [],
    links = [];
  const add = (name, label, place) => nodes.push({ name, text: label, place });
  m.counts.forEach((row, a) => add(`o${a}`, e.old(a), e.oldPlace(a)));
  m.entered
    .map((_, b) => b)
    .sort((a, b) => e.nowPlace(a) - e.nowPlace(b))
    .forEach((b) => add(`n${b}`, e.now(b), e.nowPlace(b)));
  if (m.entered.some((v) => v > 0)) add("entered", "New customers", null);
  if (m.left.some((v) => v > 0)) add("left", "Gone", null);
  const link = (source, target, value, place) => value > 0 && links.push({ source, target, value, place });
  m.counts.forEach((row, a) => row.forEach((v, b) => link(`o${a}`, `n${b}`, v, e.oldPlace(a))));
  m.entered.forEach((v, b) => link("entered", `n${b}`, v, null));
  m.left.forEach((v, a) => link(`o${a}`, "left", v, null));
  const used = new Set(links.flatMap((l) => [l.source, l.target]));
  return { nodes: nodes.filter((n) => used.has(n.name)), links };
}

function migrationFigure(d, e, text) {
  const { nodes, links } = flows(d, e);
  const by = new Map(nodes.map((n) => [n.name, n]));
  const paint = (place) => (place === null ? variable("--muted") : colour(place));
  return chart(
    "Where customers went: the earlier run on the left, this one on the right",
    `Flow diagram. ${text}`,
    (width) => ({
      tooltip: {
        ...base().tooltip,
        trigger: "item",
        formatter: (p) =>
          p.dataType === "edge"
            ? `${by.get(p.data.source).text} → ${by.get(p.data.target).text}\n${say.count(p.data.value)} customers`
            : `${by.get(p.name).text}\n${say.count(p.value)} customers`,
      },
      series: [
        {
          type: "sankey",
          left: 4,
          right: width < 560 ? 110 : 190,
          top: 6,
          bottom: 6,
          nodeWidth: 14,
          nodeGap: 12,
          draggable: false,
          emphasis: { focus: "adjacency" },
          layoutIterations: 0,
          data: nodes.map((n) => ({
            name: n.name,
            itemStyle: { color: paint(n.place), borderWidth: 0 },
            label: {
              color: variable("--ink"),
              fontSize: 12.5,
              width: width < 560 ? 100 : 180,
              overflow: "truncate",
              formatter: n.text,
            },
          })),
          links: links.map((l) => ({
            source: l.source,
            target: l.target,
            value: l.value,
            lineStyle: { color: paint(l.place), opacity: 0.32, curveness: 0.5 },
          })),
        },
      ],
    }),
    Math.max(300, 54 * Math.max(d.old.k, d.new.k) + 40),
  );
}

function migrationTables(d, e) {
  const m = d.migration;
  const columns = (of, kind) => [
    { title: "Earlier segment", kind: "text", of: (a) => e.old(a) },
    ...m.entered.map((_, b) => ({ title: e.now(b), kind, of: (a) => of(a, b) })),
  ];
  const rows = m.counts.map((_, a) => a);
  return [
    behind(
      "Customers by earlier and present segment",
      [...columns((a, b) => m.counts[a][b], "count"), { title: "Gone", kind: "count", of: (a) => m.left[a] }],
      rows,
    ),
    behind(
      "Shares of each earlier segment",
      columns((a, b) => m.row_share[a][b], "share"),
      rows,
    ),
    behind(
      "New customers",
      [
        { title: "Segment", kind: "text", of: (b) => e.now(b) },
        { title: "Not in the earlier run", kind: "count", of: (b) => m.entered[b] },
      ],
      m.entered.map((_, b) => b),
    ),
    behind(
      "Which segment became which",
      [
        { title: "Name", kind: "text", of: (s) => s.name },
        { title: "Status", kind: "text", of: (s) => s.status },
        { title: "Earlier number", kind: "count", of: (s) => s.old },
        { title: "Number now", kind: "count", of: (s) => s.new },
        { title: "Customers in both", kind: "count", of: (s) => s.common },
        { title: "Jaccard", kind: "number", of: (s) => s.jaccard },
        { title: "Size before", kind: "count", of: (s) => s.old_size },
        { title: "Size now", kind: "count", of: (s) => s.new_size },
      ],
      d.segments,
    ),
  ];
}

function whyMoved(d, e) {
  const w = d.decomposition;
  if (!w) return null;
  const parts = [
    ["The customer changed", w.customer_changed],
    ["The scaling changed", w.scaling_changed],
    ["The model changed", w.model_changed],
  ];
  const text =
    w.moved === 0
      ? "Nobody moved."
      : `Of ${say.plural(w.moved, "customer")} who moved, ${say.share(w.customer_changed / w.moved)} did so because they themselves changed.`;
  return [
    h("h3", null, "Why they moved"),
    reading(text),
    w.moved > 0
      ? bars(
          "Customers who moved, by the first step that moved them",
          `Bar chart. ${text}`,
          parts.map(([label, v]) => ({ label, value: v, text: `${say.count(v)}  ${say.share(v / w.moved)}` })),
          "count",
        )
      : null,
    behind(
      "Moves by cause",
      [
        { title: "Earlier segment", kind: "text", of: (s) => (s.old === undefined ? "All" : e.old(s.old)) },
        { title: "Moved", kind: "count", of: (s) => s.moved },
        { title: "Customer changed", kind: "count", of: (s) => s.customer_changed },
        { title: "Scaling changed", kind: "count", of: (s) => s.scaling_changed },
        { title: "Model changed", kind: "count", of: (s) => s.model_changed },
      ],
      [
        {
          moved: w.moved,
          customer_changed: w.customer_changed,
          scaling_changed: w.scaling_changed,
          model_changed: w.model_changed,
        },
        ...w.segments,
      ],
    ),
    h("p", { class: "quiet small" }, `Order of the steps: ${w.order}`),
  ];
}

const driftColumns = [
  { title: "Feature", kind: "text", of: (f) => f.feature },
  { title: "PSI", kind: "number", of: (f) => f.psi },
  { title: "p", kind: "p", of: (f) => f.psi_p },
  { title: "p, adjusted", kind: "p", of: (f) => f.psi_p_adjusted },
  { title: "Word", kind: "text", of: (f) => f.word },
  { title: "Kolmogorov-Smirnov", kind: "number", of: (f) => f.ks },
  { title: "p", kind: "p", of: (f) => f.ks_p },
  { title: "p, adjusted", kind: "p", of: (f) => f.ks_p_adjusted },
  { title: "Wasserstein", kind: "number", of: (f) => f.wasserstein },
  { title: "in earlier sd", kind: "number", of: (f) => f.wasserstein_sd },
  { title: "Mean before", kind: "number", of: (f) => f.old_mean },
  { title: "Mean now", kind: "number", of: (f) => f.new_mean },
];

function driftOf(d) {
  if (!d.drift) return null;
  const list = [...d.drift.features].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1)),
    first = list.slice(0, 25);
  const large = list.filter((f) => f.psi > 0.25),
    some = list.filter((f) => f.psi > 0.1);
  const text = large.length
    ? `${say.list(large.slice(0, 4).map((f) => f.feature))} ${large.length === 1 ? "has" : "have"} shifted strongly.`
    : some.length
      ? `${say.list(some.slice(0, 4).map((f) => f.feature))} ${some.length === 1 ? "has" : "have"} shifted somewhat.`
      : "No feature has shifted much.";
  return [
    h("h3", null, "What drifted"),
    reading(text),
    bars(
      `Population stability index of ${list.length > 25 ? "the 25 features that drifted most" : "each feature"}`,
      `Bar chart. ${text}`,
      first.map((f) => ({ label: f.feature, value: f.psi, text: `${say.number(f.psi)}  ${f.word ?? ""}` })),
      "number",
      [
        { at: 0.1, name: "0.1" },
        { at: 0.25, name: "0.25" },
      ],
    ),
    behind("Drift of each feature", driftColumns, d.drift.features),
    d.drift.segments.flatMap((s) => behind(`Drift within ${nameOf(s.segment)}`, driftColumns, s.features)),
    h(
      "p",
      { class: "quiet small" },
      `${adjusted(d.drift)}. Customarily an index below 0.1 is called small and above 0.25 large; the p-value takes the number of customers into account (Yurdakul 2018).`,
    ),
  ];
}

function calibrationOf(d) {
  const c = d.calibration;
  if (!c) return null;
  const off = c.segments.filter((s) => s.word === "shifted"),
    act = c.advice.filter((a) => a.advice !== "keep");
  const text =
    off.length === 0
      ? "Outcomes are not shown to differ from what the earlier run led to expect."
      : `${say.plural(off.length, "mean")} of ${c.segments.length} ${off.length === 1 ? "is" : "are"} not what the earlier run led to expect.`;
  const outcomes = [...new Set(c.segments.map((s) => s.outcome))];
  return [
    h("h3", null, "Expected and actual outcomes"),
    reading(text),
    outcomes.map((o) =>
      intervals(
        `Actual minus expected: ${o}`,
        `Intervals. ${text}`,
        c.segments
          .filter((s) => s.outcome === o)
          .map((s) => ({
            label: nameOf(s.segment),
            value: s.difference,
            low: s.low,
            high: s.high,
            place: placeOf(s.segment),
            note: s.word,
          })),
        { marks: [{ at: 0, name: "as expected" }] },
      ),
    ),
    behind(
      "Expected and actual means",
      [
        { title: "Segment", kind: "text", of: (s) => nameOf(s.segment) },
        { title: "Outcome", kind: "text", of: (s) => s.outcome },
        { title: "Expected", kind: "number", of: (s) => s.expected },
        { title: "Actual", kind: "number", of: (s) => s.actual },
        { title: "Difference", kind: "number", of: (s) => s.difference },
        { title: "Low", kind: "number", of: (s) => s.low },
        { title: "High", kind: "number", of: (s) => s.high },
        { title: "Customers", kind: "count", of: (s) => s.customers },
        { title: "Verdict", kind: "node", of: (s) => verdictOf(s.word, ["as expected"], ["shifted"]) },
      ],
      c.segments,
    ),
    behind(
      "Advice",
      [
        { title: "Segments", kind: "text", of: (a) => say.list(a.segments.map((j) => titleOf(j))) },
        { title: "Advice", kind: "text", of: (a) => a.advice },
        { title: "Why", kind: "text", of: (a) => a.why },
      ],
      c.advice,
      act.length > 0,
    ),
    h("p", { class: "quiet small" }, `${adjusted(c)}. ${c.meaning ? `${capital(c.meaning)}.` : ""}`),
  ];
}

function comparePart() {
  const d = doc.compare;
  if (d === null) return null;
  const e = ends(d),
    m = d.migration;
  const born = d.segments.filter((s) => s.status === "born").length,
    died = d.segments.filter((s) => s.status === "died").length;
  const text =
    `${say.count(d.customers.common)} customers are in both runs; ${say.share(m.moved_share)} of them changed segment.` +
    (born ? ` ${say.plural(born, "segment is", "segments are")} new.` : "") +
    (died ? ` ${say.plural(died, "has", "have")} gone.` : "");
  return part(
    "changes",
    "What changed since the earlier run",
    reading(text),
    migrationFigure(d, e, text),
    migrationTables(d, e),
    h(
      "p",
      { class: "quiet small" },
      `Agreement of the two divisions: adjusted Rand index ${say.number(d.agreement.adjusted_rand)} (1 = the same), variation of information ${say.number(d.agreement.variation_of_information)} of at most ${say.number(d.agreement.variation_of_information_max)} nats. `,
      "Segments are matched by the customers they share (Hungarian method), so names and colours stay.",
    ),
    whyMoved(d, e),
    driftOf(d),
    calibrationOf(d),
  );
}
