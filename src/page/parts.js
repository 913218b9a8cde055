/* The parts of the page about the run itself: summary, cards, sizes, profiles. */
"use strict";
const doc = demarc.document,
  found = doc.diagnostics,
  manifest = doc.manifest;
const stabilityOf = (j) => (doc.stability ? doc.stability.segments.find((s) => s.segment === j) : undefined);
const bySize = [...found.segments].sort((a, b) => b.size - a.size || a.segment - b.segment);
const recommendation = () => (doc.select && doc.select.recommendation) || found.recommendation || null;
const noStructure = () => recommendation() !== null && recommendation().structure === false;
const criterion = (v) =>
  !known(v) ? "not judged" : v >= 0.5 ? "clearly apart" : v >= 0.25 ? "moderately apart" : "close to each other";
const stableWord = (s) => s.word;

/* ---------------------------------------------------------------------------------------------------- summary */

function showSummary() {
  const s = found.criteria.simplified_silhouette,
    n = say.count(found.n),
    k = say.plural(found.k, "segment");
  const file = manifest.input.path.split("/").pop();
  document.title = `${file}: ${k}`;
  document.getElementById("brand").textContent = `Customer segments of ${file}`;
  const plain = `${n} customers in ${k}`;
  const advice = recommendation();
  document.getElementById("headline").textContent = noStructure() ? capital(advice.sentence) : plain;
  document
    .getElementById("headline")
    .classList.toggle("long", document.getElementById("headline").textContent.length > 60);
  const stable = doc.stability
    ? doc.stability.segments.filter((x) => known(x.jaccard.mean) && x.jaccard.mean >= 0.75).length
    : null;
  const body = document.getElementById("summary");
  if (noStructure())
    body.append(
      h(
        "p",
        { class: "alert" },
        `${k} of ${n} customers ${found.k === 1 ? "was" : "were"} made all the same: read them as a convenient division, not as groups that are there.`,
      ),
    );
  body.append(
    h(
      "p",
      { class: "lead" },
      found.k === 1
        ? "There is one segment: all customers. "
        : `The segments are ${criterion(s)}: they account for ${say.share(found.explained_share)} of the differences between customers. `,
      stable === null || found.k === 1
        ? null
        : `${stable} of ${found.k} ${stable === 1 ? "comes" : "come"} back when the customers are drawn anew. `,
      advice === null || noStructure()
        ? null
        : advice.k === found.k
          ? "Of the numbers of segments that were compared this one is advised. "
          : `${capital(say.plural(advice.k, "segment"))} would be advised. `,
    ),
  );
  const largest = bySize[0],
    smallest = bySize[bySize.length - 1];
  const tile = (title, value, note) => h("div", null, h("dt", null, title), h("dd", null, value), h("dd", null, note));
  body.append(
    h(
      "dl",
      { class: "tiles" },
      tile(
        "Customers",
        datum(found.n, "count"),
        `${say.plural(found.d, "feature")}${found.weighted ? ", weighted" : ""}`,
      ),
      tile(
        "Segments",
        datum(found.k, "count"),
        found.k > 1 ? `${say.share(smallest.share)} to ${say.share(largest.share)} of customers` : "all customers",
      ),
      tile("Differences explained", datum(found.explained_share, "share"), "1 − objective / total"),
      tile("Separation", datum(s, "rough"), "simplified silhouette, −1 to 1"),
      stable === null ? null : tile("Stable segments", `${stable} of ${found.k}`, "mean Jaccard 0.75 or more"),
    ),
  );
}

/* ---------------------------------------------------------------------------------------------------- cards */

/** "much higher", by the standardised difference from all other customers (0.2, 0.5, 0.8 small, medium, large: Cohen 1988). */
function difference(v) {
  const size = Math.abs(v),
    side = v > 0 ? "higher" : "lower";
  return size >= 1.5
    ? `far ${side}`
    : size >= 0.8
      ? `much ${side}`
      : size >= 0.5
        ? side
        : size >= 0.2
          ? `slightly ${side}`
          : "about the same";
}
/** In running text a mean that is zero but for rounding is zero; tables have it as it is. */
const typicalValue = (name, v) => say.brief(known(v) && Math.abs(v) < 1e-6 * found.overall.sd[name] ? 0 : v);
const apart = (s) => s.features.filter((f) => known(f.difference) && Math.abs(f.difference) >= 0.2);

function reachOf(s) {
  if (s.reach === null) return null;
  return [
    h("h4", null, "Can be reached"),
    pairs(
      [
        ["on any channel", datum(s.reach.any, "share")],
        ...s.reach.channels.map((c) => [c.name, datum(c.share, "share")]),
      ],
      "pairs",
    ),
  ];
}

function examplesOf(j) {
  const list = doc.examples[j] || [];
  if (list.length === 0) return null;
  return [
    h("h4", null, "Typical customers"),
    h(
      "ul",
      { class: "small" },
      list.map((e) =>
        h(
          "li",
          null,
          h("span", { class: "id" }, e.id),
          e.values && e.values.length
            ? h(
                "span",
                { class: "quiet" },
                ` ${e.values
                  .slice(0, 2)
                  .map((v) => `${v.name} ${typicalValue(v.name, v.value)}`)
                  .join(", ")}`,
              )
            : null,
        ),
      ),
    ),
  ];
}

function card(s) {
  const j = s.segment,
    top = apart(s).slice(0, 3),
    stable = stabilityOf(j);
  const mean = found.overall.mean;
  const e = h(
    "article",
    { class: "card", "aria-labelledby": `card-${j}` },
    h("h3", { id: `card-${j}` }, symbolOf(placeOf(j)), h("span", null, nameOf(j))),
    h("p", { class: "number" }, `Segment ${j}`),
    h(
      "p",
      null,
      h("span", { class: "big" }, datum(s.size, "count")),
      ` customers, ${say.share(s.share)}`,
      h("div", { class: "bar", "aria-hidden": "true" }, h("i", { style: `width: ${(100 * s.share).toFixed(2)}%` })),
    ),
    h("h4", null, "What sets it apart"),
    top.length === 0
      ? h("p", { class: "small" }, "Little: it is close to the average of all customers.")
      : h(
          "ul",
          null,
          top.map((f) =>
            h(
              "li",
              null,
              `${f.name}: ${difference(f.difference)}`,
              h(
                "span",
                { class: "quiet small" },
                ` (mean ${typicalValue(f.name, f.mean)}, all customers ${typicalValue(f.name, mean[f.name])})`,
              ),
            ),
          ),
        ),
    s.outcomes.length === 0
      ? null
      : [
          h("h4", null, "Value (mean outcome)"),
          pairs(
            s.outcomes.map((o) => [o.name, datum(o.mean, "brief")]),
            "pairs",
          ),
        ],
    reachOf(s),
    h("h4", null, "How sharp its boundary is"),
    h(
      "p",
      { class: "small" },
      s.nearest_segment === null
        ? "There is no other segment."
        : `Its customers are ${say.rough(s.mean_margin)} scaled units from it on average, and ${say.share(s.near_boundary_share)} of them are near it. The nearest neighbour is ${quoted(s.nearest_segment)}.`,
    ),
    stable
      ? h(
          "p",
          { class: "small" },
          `${capital(stableWord(stable))} when customers are drawn anew (mean Jaccard ${say.rough(stable.jaccard.mean)}).`,
        )
      : null,
    examplesOf(j),
  );
  e.dataset.place = placeOf(j);
  return e;
}

function segmentsPart() {
  const most = 12,
    first = found.k <= most ? found.segments : bySize.slice(0, most);
  const columns = [
    { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
    { title: "Customers", kind: "count", of: (s) => s.size },
    { title: "Share", kind: "share", of: (s) => s.share },
    ...(found.weighted ? [{ title: "Weight", kind: "number", of: (s) => s.weight }] : []),
    { title: "Mean distance to centroid", kind: "number", of: (s) => s.mean_distance },
    { title: "Mean margin", kind: "number", of: (s) => s.mean_margin },
    { title: "Near a boundary", kind: "share", of: (s) => s.near_boundary_share },
    { title: "Silhouette", kind: "number", of: (s) => s.simplified_silhouette },
    ...found.segments[0].outcomes.map((o, i) => ({
      title: `Mean ${o.name}`,
      kind: "number",
      of: (s) => s.outcomes[i].mean,
    })),
    ...(found.segments[0].reach ? [{ title: "Reach", kind: "share", of: (s) => s.reach.any }] : []),
    { title: "What sets it apart", kind: "text", of: (s) => s.description },
  ];
  return part(
    "segments",
    "The segments",
    reading(
      found.k <= most
        ? "Who they are, in the words of your own columns."
        : `The ${most} largest of ${found.k}; the table has them all.`,
      found.weighted ? " Customers carry weights; means are weighted." : null,
    ),
    h("div", { class: first.length % 4 === 0 ? "cards four" : "cards" }, first.map(card)),
    behind("All segments", columns, found.segments),
  );
}

/* ---------------------------------------------------------------------------------------------------- sizes */

function sizesPart() {
  const most = 30,
    first = found.k <= most ? found.segments : bySize.slice(0, most);
  const large = bySize[0],
    small = bySize[bySize.length - 1];
  const text =
    found.k === 1
      ? "All customers are in one segment."
      : `${quoted(large.segment)} is the largest with ${say.share(large.share)} of customers, ${quoted(small.segment)} the smallest with ${say.share(small.share)}.`;
  return part(
    "sizes",
    "How large they are",
    reading(text),
    bars(
      found.k <= most ? "Customers per segment" : `Customers per segment, the ${most} largest`,
      `Bar chart. ${text}`,
      first.map((s) => ({
        label: titleOf(s.segment),
        value: s.size,
        text: `${say.count(s.size)}  ${say.share(s.share)}`,
        place: placeOf(s.segment),
      })),
      "count",
    ),
    behind(
      "Sizes",
      [
        { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
        { title: "Customers", kind: "count", of: (s) => s.size },
        { title: "Share", kind: "share", of: (s) => s.share },
      ],
      found.segments,
    ),
  );
}

/* ---------------------------------------------------------------------------------------------------- profiles */

/* Seven steps, after C. Brewer's PuOr (colorbrewer2.org), which is safe for the colour-blind; the numbers stand in the cells. */
const ramp = {
  light: ["#b35806", "#f1a340", "#fee0b6", "#f7f7f7", "#d8daeb", "#998ec3", "#542788"],
  dark: ["#f1a340", "#a8640f", "#5c3d14", "#232932", "#3d3a63", "#6e62a8", "#b3a9e0"],
};
const step = (v) => Math.max(-3, Math.min(3, Math.sign(v) * Math.floor((Math.abs(v) + 0.3) / 0.6))) + 3;
function inkOn(hex) {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";
}

function profilesPart() {
  const mostFeatures = 20,
    mostSegments = 12;
  const of = new Map(found.segments.map((s) => [s.segment, new Map(s.features.map((f) => [f.name, f]))]));
  const strength = (name) =>
    Math.max(...found.segments.map((s) => Math.abs(of.get(s.segment).get(name).difference ?? 0)));
  const names = found.features
    .map((name) => [name, strength(name)])
    .sort((a, b) => b[1] - a[1])
    .map((x) => x[0]);
  const features = names.slice(0, mostFeatures),
    segments = found.k <= mostSegments ? found.segments : bySize.slice(0, mostSegments);
  let most = null;
  for (const s of found.segments)
    for (const f of s.features)
      if (known(f.difference) && (most === null || Math.abs(f.difference) > Math.abs(most.f.difference)))
        most = { s, f };
  const text =
    most === null || found.k === 1
      ? "There is nothing to compare with."
      : `The strongest mark: ${most.f.name} is ${difference(most.f.difference)} in ${quoted(most.s.segment)} (${say.signed(most.f.difference)} standard deviations from the rest).`;
  const cut = features.length < names.length || segments.length < found.k;
  const figure = chart(
    [
      "Difference from all other customers",
      `in standard deviations${cut ? `; the ${features.length} strongest features${segments.length < found.k ? ` and ${segments.length} largest segments` : ""}` : ""}`,
    ],
    `Heat map. ${text}`,
    (width) => {
      const side = margin(width),
        cell = (width - side - 16) / segments.length,
        narrow = cell < 84;
      return {
        grid: { left: side + 8, right: 8, top: 44, bottom: 4 },
        xAxis: {
          ...wordAxis(
            segments.map((s) => (narrow ? String(s.segment) : nameOf(s.segment))),
            narrow ? cell : cell - 8,
            { lineHeight: 15, overflow: "break", height: 34, fontSize: 12 },
          ),
          position: "top",
          axisLine: { show: false },
        },
        yAxis: { ...wordAxis(features, side), inverse: true, axisLine: { show: false } },
        tooltip: {
          ...base().tooltip,
          formatter: (p) => {
            const s = segments[p.data.value[0]],
              f = of.get(s.segment).get(features[p.data.value[1]]);
            return `${titleOf(s.segment)}\n${f.name}: ${say.signed(f.difference)}\nmean ${say.number(f.mean)}`;
          },
        },
        series: [
          {
            type: "heatmap",
            progressive: 0,
            data: features.flatMap((name, y) =>
              segments.map((s, x) => {
                const v = of.get(s.segment).get(name).difference,
                  c = ramp[dark() ? "dark" : "light"][known(v) ? step(v) : 3];
                return {
                  value: [x, y, known(v) ? v : "-"],
                  itemStyle: { color: c, borderColor: variable("--paper"), borderWidth: 2 },
                  label: {
                    color: inkOn(c),
                    formatter: known(v)
                      ? Math.abs(v) < 0.05
                        ? "0"
                        : (v > 0 ? "+" : "−") + Math.abs(v).toFixed(1)
                      : "–",
                  },
                };
              }),
            ),
            label: { show: true, fontSize: cell < 34 ? 9 : 12 },
            emphasis: { disabled: true },
          },
        ],
      };
    },
    50 + 27 * features.length,
  );
  const legend = h(
    "p",
    { class: "legend ramp", "aria-hidden": "true" },
    "1.5 or more lower",
    h(
      "span",
      null,
      ramp.light.map((_, i) => h("i", { "data-step": i })),
    ),
    "1.5 or more higher",
  );
  const numbers = h(
    "p",
    { class: `quiet small${segments.length > 8 ? "" : " narrow"}` },
    `Segments: ${segments.map((s) => `${s.segment} ${nameOf(s.segment)}`).join("; ")}.`,
  );
  return part(
    "profiles",
    "What sets them apart",
    reading(text),
    figure,
    legend,
    numbers,
    behind(
      "Difference of each feature (standard deviations)",
      [
        { title: "Feature", kind: "text", of: (x) => x },
        ...found.segments.map((s) => ({
          title: titleOf(s.segment),
          kind: "signed",
          of: (x) => of.get(s.segment).get(x).difference,
        })),
      ],
      names,
    ),
    behind(
      "Mean of each feature (original units)",
      [
        { title: "Feature", kind: "text", of: (x) => x },
        ...found.segments.map((s) => ({
          title: titleOf(s.segment),
          kind: "number",
          of: (x) => of.get(s.segment).get(x).mean,
        })),
        { title: "All customers", kind: "number", of: (x) => found.overall.mean[x] },
        { title: "Standard deviation", kind: "number", of: (x) => found.overall.sd[x] },
      ],
      names,
    ),
  );
}
