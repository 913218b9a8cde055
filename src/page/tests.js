/* The parts of the page made from other commands' answers: number of segments, stability, boundary tests, comparison. */
"use strict";

const adjusted = (d) =>
  `${say.plural(d.tests, "test")} in all, p-values adjusted by ${{ holm: "Holm", bh: "Benjamini and Hochberg" }[d.adjust] || d.adjust}`;
const verdictOf = (word, good, bad) =>
  h(
    "span",
    { class: `verdict ${good.includes(word) ? "good" : bad.includes(word) ? "bad" : ""}` },
    word ?? "not judged",
  );
const range = (of) => [
  { title: "Low", kind: "number", of: (r) => of(r)?.low },
  { title: "High", kind: "number", of: (r) => of(r)?.high },
];
const percent = (s) => `${s > 0 ? "+" : "−"}${say.share(Math.abs(s))}`;

/* ---------------------------------------------------------------------------------------------------- how many */

const criteria = [
  { key: "simplified_silhouette", name: "Simplified silhouette", better: "higher is better" },
  { key: "calinski_harabasz", name: "Calinski-Harabasz", better: "higher is better" },
  { key: "davies_bouldin", name: "Davies-Bouldin", better: "lower is better" },
  { key: "gap", name: "Gap statistic", better: "higher is better", se: "gap_se" },
  {
    key: "prediction_strength",
    name: "Prediction strength",
    better: "higher is better, 0.8 is good",
    se: "prediction_strength_se",
  },
  { key: "stability", name: "Bootstrap stability", better: "mean Jaccard, higher is better" },
  { key: "objective", name: "Objective", better: "falls with every segment" },
];

/** One standard error to both sides. */
const band = (value, se) => (known(value) && known(se) ? { low: value - se, high: value + se } : {});

function selectPart() {
  const per = doc.select ? doc.select.per_k : found.per_k;
  if (!per || per.length === 0) return null;
  const advice = recommendation(),
    chosen = doc.select ? null : per.find((r) => r.chosen);
  const text = advice
    ? capital(advice.sentence)
    : chosen
      ? `${chosen.k} segments were kept of ${per[0].k} to ${per[per.length - 1].k} that were tried.`
      : `${per[0].k} to ${per[per.length - 1].k} segments were tried.`;
  const picked = doc.select ? "advised" : "chosen";
  const used = criteria.filter((c) => per.some((r) => known(r[c.key])));
  const figures = used.map((c) =>
    curve(
      [c.name, c.better],
      `${c.name} for ${per[0].k} to ${per[per.length - 1].k} segments; ${c.better}.`,
      per.map((r) => ({ x: r.k, y: r[c.key], chosen: r.chosen ? picked : undefined, ...band(r[c.key], r[c.se]) })),
      { xName: "segments", height: 210 },
    ),
  );
  const has = (key) => per.some((r) => r[key] !== undefined);
  const column = (title, key, kind) => (has(key) ? [{ title, kind, of: (r) => r[key] }] : []);
  return part(
    "how-many",
    "How many segments",
    reading(text),
    advice
      ? h(
          "ul",
          { class: "small" },
          (advice.reasons || []).map((r) => h("li", null, r)),
        )
      : null,
    h("div", { class: "several" }, figures),
    used.some((c) => c.se)
      ? h("p", { class: "quiet small" }, "Vertical lines are one standard error up and down.")
      : null,
    behind(
      "Criteria for each number of segments",
      [
        { title: "Segments", kind: "count", of: (r) => r.k },
        ...column("Objective", "objective", "number"),
        ...column("Explained", "explained_share", "share"),
        ...column("Calinski-Harabasz", "calinski_harabasz", "number"),
        ...column("Davies-Bouldin", "davies_bouldin", "number"),
        ...column("Simplified silhouette", "simplified_silhouette", "number"),
        ...column("Smallest segment", "smallest_share", "share"),
        ...column("Lowest reach", "reachable_share", "share"),
        ...column("Gap", "gap", "number"),
        ...column("± se", "gap_se", "number"),
        ...column("Prediction strength", "prediction_strength", "number"),
        ...column("± se", "prediction_strength_se", "number"),
        ...column("Stability", "stability", "number"),
        ...column("Least stable segment", "stability_lowest", "number"),
        {
          title: "",
          kind: "text",
          of: (r) => (r.chosen ? picked : r.failed ? r.failed : (r.reasons || []).join("; ")),
        },
      ],
      per,
    ),
    advice && advice.rule ? h("p", { class: "quiet small" }, `Rule: ${advice.rule}`) : null,
  );
}

/* ---------------------------------------------------------------------------------------------------- stability */

function stabilityPart() {
  const d = doc.stability;
  if (d === null) return null;
  const weak = d.segments.filter((s) => known(s.jaccard.mean) && s.jaccard.mean < 0.6);
  const text =
    `${say.plural(d.replicates, "time")} the customers were drawn anew and divided again. ` +
    (weak.length === 0
      ? "No segment falls apart."
      : `${say.list(weak.map((s) => quoted(s.segment)))} ${weak.length === 1 ? "does" : "do"} not come back reliably: do not build on ${weak.length === 1 ? "it" : "them"}.`);
  const level = say.share(d.level);
  return part(
    "stability",
    "How stable they are",
    reading(text),
    intervals(
      "Mean Jaccard similarity of each segment with its nearest one in the replicates",
      `Intervals. ${text}`,
      d.segments.map((s) => ({
        label: titleOf(s.segment),
        value: s.jaccard.mean,
        low: s.jaccard.low,
        high: s.jaccard.high,
        place: placeOf(s.segment),
        note: s.word,
      })),
      {
        min: 0,
        max: 1,
        marks: [
          { at: 0.5, name: "dissolved" },
          { at: 0.6, name: "" },
          { at: 0.75, name: "stable" },
          { at: 0.85, name: "" },
        ],
      },
    ),
    h(
      "p",
      { class: "quiet small" },
      `Lines hold ${level} of the replicates. Below 0.5 a segment is dissolved; from 0.6 it is a pattern, from 0.75 stable, from 0.85 highly stable (Hennig 2007). `,
      `Adjusted Rand index of the whole division: mean ${say.number(d.adjusted_rand.mean)} (${say.interval(d.adjusted_rand.low, d.adjusted_rand.high)}).`,
    ),
    behind(
      "Stability of each segment",
      [
        { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
        { title: "Mean Jaccard", kind: "number", of: (s) => s.jaccard.mean },
        ...range((s) => s.jaccard),
        { title: "Standard deviation", kind: "number", of: (s) => s.jaccard.sd },
        { title: "Verdict", kind: "text", of: (s) => s.word },
        { title: "Recovered (> 0.75)", kind: "share", of: (s) => s.recovered_share },
        { title: "Dissolved (< 0.5)", kind: "share", of: (s) => s.dissolved_share },
        { title: "Within solutions", kind: "number", of: (s) => s.within?.mean },
        ...(d.segments[0].across || []).map((a, i) => ({
          title: `Across, ${a.k} segments`,
          kind: "number",
          of: (s) => s.across[i]?.value,
        })),
      ],
      d.segments,
    ),
    (d.notes || []).length
      ? h(
          "ul",
          { class: "quiet small" },
          d.notes.map((n) => h("li", null, n)),
        )
      : null,
  );
}

/* ---------------------------------------------------------------------------------------------------- sweep */

/** The move of each segment that is nearest to ten percent, up and down. */
function typical(shifts) {
  const pick = new Map();
  for (const s of shifts.filter((x) => x.status === "ok")) {
    const key = `${s.segment} ${Math.sign(s.shift)}`,
      old = pick.get(key);
    if (!old || Math.abs(Math.abs(s.shift) - 0.1) < Math.abs(Math.abs(old.shift) - 0.1)) pick.set(key, s);
  }
  return [...pick.values()];
}

function sweepOutcome(d, outcome) {
  const rows = d.shifts.flatMap((s) => s.outcomes.filter((o) => o.name === outcome.name).map((o) => ({ s, o })));
  const shown = typical(d.shifts)
    .slice(0, 30)
    .flatMap((s) => s.outcomes.filter((o) => o.name === outcome.name).map((o) => ({ s, o })));
  const odd = rows.filter((r) => r.o.verdict === "joined"),
    label = (s) => `${short(nameOf(s.segment), 20)} ${percent(s.shift)}`;
  const text =
    d.replicates === 0
      ? "No verdicts were asked for."
      : odd.length === 0
        ? "No move would take customers to a segment that they resemble more."
        : `${say.plural(odd.length, "move")} of ${rows.length} would take customers to a segment that they resemble more.`;
  return [
    h(
      "h3",
      null,
      `Outcome: ${outcome.name}`,
      outcome.exploratory ? " (exploratory: the segments were drawn by it)" : "",
    ),
    reading(text),
    intervals(
      "Mean of the customers who would move, when a segment grows or shrinks",
      `Intervals of ${outcome.name}. ${text}`,
      shown.map((r) => ({
        label: label(r.s),
        value: r.o.movers.value,
        low: r.o.movers.low,
        high: r.o.movers.high,
        place: placeOf(r.s.segment),
        note: `leave ${say.number(r.o.left.value)}, join ${say.number(r.o.joined.value)}${r.o.verdict ? `: ${r.o.verdict}` : ""}`,
        extra: [
          { value: r.o.left.value, symbol: "rect", name: "left" },
          { value: r.o.joined.value, symbol: "diamond", name: "joined" },
        ],
      })),
      { name: outcome.name },
    ),
    h(
      "p",
      { class: "quiet small" },
      `Lines are intervals of ${say.share(1 - d.alpha)} each. Hollow square: the segments they leave; hollow diamond: those they join.`,
    ),
    behind(
      `Movers and ${outcome.name}`,
      [
        { title: "Segment", kind: "text", of: (r) => titleOf(r.s.segment) },
        { title: "Grows by", kind: "share", of: (r) => r.s.shift },
        { title: "Movers", kind: "count", of: (r) => r.s.movers },
        { title: "Mean of movers", kind: "number", of: (r) => r.o.movers.value },
        ...range((r) => r.o.movers),
        { title: "Where they leave", kind: "number", of: (r) => r.o.left.value },
        { title: "Where they join", kind: "number", of: (r) => r.o.joined.value },
        { title: "p, adjusted", kind: "p", of: (r) => r.o.p_adjusted },
        { title: "They resemble", kind: "node", of: (r) => verdictOf(r.o.verdict, ["joined", "left"], []) },
      ],
      rows,
    ),
  ];
}

function sweepPart(d) {
  return [
    reading(
      "What if a line were moved: the customers who would change segment, held against those they would leave and join. Observational: nobody was treated differently.",
    ),
    d.outcomes.map((o) => sweepOutcome(d, o)),
    behind(
      "Every move",
      [
        { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
        { title: "Grows by", kind: "share", of: (s) => s.shift },
        { title: "Status", kind: "text", of: (s) => s.status },
        { title: "Customers after", kind: "count", of: (s) => s.target },
        { title: "Movers", kind: "count", of: (s) => s.movers },
        { title: "Change of the objective", kind: "number", of: (s) => s.objective_change?.value },
        ...range((s) => s.objective_change),
      ],
      d.shifts,
      d.outcomes.length === 0,
    ),
    h(
      "p",
      { class: "quiet small" },
      d.replicates > 0 ? `${adjusted(d)}; ${say.count(d.replicates)} Poisson-bootstrap replicates. ` : null,
    ),
  ];
}

/* ---------------------------------------------------------------------------------------------------- replay */

function replayOutcome(d, o) {
  const arm = (a) => d.campaign.arms.find((x) => x.arm === a)?.name || `arm ${a}`;
  const rows = o.shifts.filter((s) => s.status === "ok" && known(s.aipw?.value)).slice(0, 40);
  const judged = o.verdicts.filter((v) => ["widen", "narrow"].includes(v.verdict));
  const text =
    judged.length === 0
      ? "No boundary is shown to be misplaced."
      : `${say.list(judged.map((v) => `${v.verdict} ${quoted(v.segment)}`))}.`;
  const v = o.value;
  return [
    h("h3", null, `Outcome: ${o.name}`, o.exploratory ? " (exploratory: it shaped the segments)" : ""),
    reading(
      known(v?.aipw?.value)
        ? `Giving each segment its arm is worth ${say.number(v.aipw.value)} per customer (${say.interval(v.aipw.low, v.aipw.high)}). `
        : null,
      text,
    ),
    rows.length
      ? intervals(
          "Change of the policy's value per customer when a segment grows or shrinks",
          `Intervals of ${o.name}. ${text}`,
          rows.map((s) => ({
            label: `${short(nameOf(s.segment), 20)} ${percent(s.shift)}`,
            value: s.aipw.value,
            low: s.aipw.low,
            high: s.aipw.high,
            place: placeOf(s.segment),
            note: s.verdict,
          })),
          { marks: [{ at: 0, name: "no change" }] },
        )
      : null,
    behind(
      `Verdict for each segment, ${o.name}`,
      [
        { title: "Segment", kind: "text", of: (r) => titleOf(r.segment) },
        {
          title: "Arm it gets",
          kind: "text",
          of: (r) => {
            const p = o.segments.find((s) => s.segment === r.segment)?.policy || [];
            return [...new Set(p)].map(arm).join(" / ") || "–";
          },
        },
        { title: "Verdict", kind: "node", of: (r) => verdictOf(r.verdict, ["keep"], ["widen", "narrow"]) },
        { title: "Move", kind: "share", of: (r) => r.shift },
        { title: "Why", kind: "text", of: (r) => r.reason },
      ],
      o.verdicts,
      true,
    ),
    behind(
      `Every move, ${o.name}`,
      [
        { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
        { title: "Grows by", kind: "share", of: (s) => s.shift },
        { title: "Status", kind: "text", of: (s) => s.status },
        { title: "Change per customer", kind: "number", of: (s) => s.aipw?.value },
        ...range((s) => s.aipw),
        { title: "Per mover", kind: "number", of: (s) => s.per_mover },
        { title: "p, adjusted", kind: "p", of: (s) => s.p_adjusted },
        { title: "Verdict", kind: "node", of: (s) => verdictOf(s.verdict, ["gain"], ["loss"]) },
      ],
      o.shifts,
    ),
  ];
}

function replayPart(d) {
  const arms = d.campaign.arms.map((a) => a.name || `arm ${a.arm}`);
  return [
    reading(
      `A past randomised campaign (${say.list(arms)}): what each segment gains from its best arm, and whether its line lies well.`,
    ),
    d.stopped ? h("p", { class: "alert" }, `Nothing was judged: ${d.stopped}`) : null,
    d.outcomes.map((o) => replayOutcome(d, o)),
    h(
      "p",
      { class: "quiet small" },
      `${adjusted(d)}. The arms' sizes ${d.campaign.sample_ratio.passed ? "are as designed" : "are not as designed"} (chi-squared p ${say.p(d.campaign.sample_ratio.p)}).`,
    ),
  ];
}

/* ---------------------------------------------------------------------------------------------------- plan, analyze */

const facet = (b) => `${titleOf(b.segments[0])} and ${titleOf(b.segments[1])}`;

function planPart(d) {
  const sides = d.boundaries.flatMap((b) => b.sides.map((s) => ({ b, s })));
  return [
    reading(
      `An experiment is planned: ${say.plural(d.customers, "customer")} near ${say.plural(d.boundaries.length, "boundary", "boundaries")}, each kept or switched by chance. `,
      d.underpowered
        ? "It is too small to find the effect that it is for."
        : `It finds an effect of ${say.number(d.effect)} with probability ${say.share(d.power)} or more.`,
    ),
    behind(
      "The design",
      [
        { title: "Boundary between", kind: "text", of: (r) => facet(r.b) },
        { title: "Customers of", kind: "text", of: (r) => titleOf(r.s.segment) },
        { title: "Keep", kind: "count", of: (r) => r.s.keep },
        { title: "Switch", kind: "count", of: (r) => r.s.switch },
        { title: "Smallest effect found", kind: "number", of: (r) => r.s.mde },
        { title: "Power", kind: "share", of: (r) => r.s.power },
      ],
      sides,
      true,
    ),
    h("p", { class: "quiet small" }, `${adjusted(d)}.`),
  ];
}

function analyzePart(d) {
  const sides = d.boundaries.flatMap((b) => b.sides.map((s) => ({ b, s })));
  const moved = d.boundaries.filter((b) => b.decision && b.decision.startsWith("widen"));
  const decision = (b) =>
    b.decision && b.decision.startsWith("widen ")
      ? `widen ${titleOf(Number(b.decision.slice(6)))}`
      : (b.decision ?? "not judged");
  const text = d.stopped
    ? `Nothing was judged: ${d.stopped}`
    : moved.length === 0
      ? "No boundary is shown to be misplaced."
      : `${capital(say.list(moved.map(decision)))}.`;
  const shown = sides.filter((r) => known(r.s.effect.value)).slice(0, 40);
  return [
    reading(`A randomised experiment on ${say.plural(d.n, "customer")} near the boundaries. ${text}`),
    shown.length
      ? intervals(
          `Effect of switching on ${d.outcome}`,
          `Intervals. ${text}`,
          shown.map((r) => ({
            label: `${short(nameOf(r.s.segment), 18)} → ${short(nameOf(r.s.other), 18)}`,
            value: r.s.effect.value,
            low: r.s.effect.low,
            high: r.s.effect.high,
            place: placeOf(r.s.segment),
            note: r.s.verdict,
          })),
          { marks: [{ at: 0, name: "no effect" }] },
        )
      : null,
    behind(
      "Effects of switching",
      [
        { title: "Customers of", kind: "text", of: (r) => titleOf(r.s.segment) },
        { title: "switched to", kind: "text", of: (r) => titleOf(r.s.other) },
        { title: "Customers", kind: "count", of: (r) => r.s.customers },
        { title: "Effect", kind: "number", of: (r) => r.s.effect.value },
        ...range((r) => r.s.effect),
        { title: "p, adjusted", kind: "p", of: (r) => r.s.p_adjusted },
        { title: "Switching", kind: "node", of: (r) => verdictOf(r.s.verdict, ["helps"], ["hurts"]) },
      ],
      sides,
    ),
    behind(
      "Decision for each boundary",
      [
        { title: "Boundary between", kind: "text", of: facet },
        { title: "Decision", kind: "text", of: decision },
        { title: "Effect crosses zero at", kind: "number", of: (b) => b.crossing?.value },
        ...range((b) => b.crossing),
        { title: "Why", kind: "text", of: (b) => b.reason },
      ],
      d.boundaries,
      true,
    ),
    h("p", { class: "quiet small" }, `${adjusted(d)}. Intervals of ${say.share(1 - d.alpha)} each.`),
  ];
}

const boundaryKinds = {
  "boundary sweep": ["sweep", "If a boundary moved", sweepPart],
  "boundary replay": ["replay", "What a past campaign says", replayPart],
  "boundary plan": ["plan", "A planned experiment", planPart],
  "boundary analyze": ["analyze", "What the experiment found", analyzePart],
};
function boundaryParts() {
  return doc.boundary.map((d, i) => {
    const [id, title, make] = boundaryKinds[d.command];
    const again = doc.boundary.findIndex((x) => x.command === d.command) === i ? "" : `-${i}`;
    return part(id + again, title, make(d));
  });
}
