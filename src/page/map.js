/* The map: customers, areas and centres of segments on the two directions in which customers differ most. */
"use strict";

/** Convex hull (A. Andrew 1979, monotone chain) of [x, y] points. */
function hull(points) {
  const p = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  if (p.length < 3) return p;
  const cross = (o, a, b) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const chain = (list) => {
    const c = [];
    for (const q of list) {
      while (c.length >= 2 && cross(c[c.length - 2], c[c.length - 1], q) <= 0) c.pop();
      c.push(q);
    }
    c.pop();
    return c;
  };
  return [...chain(p), ...chain([...p].reverse())];
}
/** The four fifths of a segment's points that are nearest to its centroid on the map. */
function core(points, centre) {
  const far = (q) => (q[0] - centre[0]) ** 2 + (q[1] - centre[1]) ** 2;
  return [...points].sort((a, b) => far(a) - far(b)).slice(0, Math.ceil(points.length * 0.8));
}
/** What grows along an axis: up to two features that go with it in each direction. */
function axisWords(axis) {
  const list = found.features
    .map((name, i) => [name, axis.correlation[i]])
    .filter((x) => known(x[1]) && Math.abs(x[1]) >= 0.3)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
    .slice(0, 3);
  return list.map(([name, c]) => `${c > 0 ? "more" : "less"} ${short(name, 24)}`).join(", ");
}

function mapPart() {
  const m = doc.map;
  if (m === null) return part("map", "Map of customers", reading(`There is no map: ${doc.map_left_out}.`));
  const at = (j) => [m.centroids[2 * j] * m.step, m.centroids[2 * j + 1] * m.step];
  const points = found.segments.map(() => []);
  m.segment.forEach((j, i) => points[j].push([m.x[i] * m.step, m.y[i] * m.step]));
  const shown = new Set((found.k <= 12 ? found.segments : bySize.slice(0, 12)).map((s) => s.segment));
  const all = [...points.flat(), ...found.segments.map((s) => at(s.segment))];
  const end = (i, f) => all.reduce((a, q) => f(a, q[i]), all[0][i]);
  const box = [end(0, Math.min), end(0, Math.max), end(1, Math.min), end(1, Math.max)];
  const span = Math.max(box[1] - box[0], 1e-9),
    rise = Math.max(box[3] - box[2], 1e-9);
  const both = known(m.axes[0].share) ? m.axes[0].share + m.axes[1].share : null;
  const text = `The two directions in which customers differ most carry ${say.share(both)} of all differences; segments that touch here may lie apart in the others.`;
  const height = (width) => Math.round(Math.min(560, Math.max(320, ((width - 40) * rise) / span)) + 40);
  const figure = chart(
    `${say.count(m.x.length)} of ${say.count(m.of)} customers, drawn at random`,
    `Scatter plot of customers, coloured by segment. ${text}`,
    (width) => {
      const scale = Math.max(span / (width - 40), rise / (height(width) - 40)) * 1.03;
      const range = (low, high, pixels) => ({
        min: (low + high) / 2 - (scale * pixels) / 2,
        max: (low + high) / 2 + (scale * pixels) / 2,
      });
      const axis = (name, more) => ({
        ...valueAxis({
          name,
          nameLocation: "middle",
          nameGap: 12,
          axisLabel: { show: false },
          splitLine: { show: false },
        }),
        axisLine: { show: true, onZero: false, lineStyle: { color: variable("--line") } },
        ...more,
      });
      const rest = points.flatMap((p, j) => (shown.has(j) ? [] : p));
      const series = [...shown]
        .map((j) => [
          {
            type: "custom",
            silent: true,
            z: 1,
            data: [0],
            renderItem: (params, api) => {
              const outline = hull(core(points[j], at(j)));
              return outline.length < 3
                ? null
                : {
                    type: "polygon",
                    shape: { points: outline.map((q) => api.coord(q)) },
                    style: { fill: colour(placeOf(j)), opacity: 0.1, stroke: colour(placeOf(j)), lineWidth: 1.5 },
                  };
            },
          },
          {
            type: "scatter",
            z: 2,
            name: titleOf(j),
            symbol: symbol(placeOf(j)),
            symbolSize: points.flat().length > 1000 ? 5 : 7,
            data: points[j],
            itemStyle: { color: colour(placeOf(j)), opacity: 0.65 },
            silent: true,
          },
        ])
        .flat();
      const label = (j) => ({
        value: at(j),
        symbol: symbol(placeOf(j)),
        itemStyle: { color: colour(placeOf(j)), borderColor: variable("--paper"), borderWidth: 2, opacity: 1 },
        label: {
          show: true,
          formatter: short(width < 560 ? String(j) : nameOf(j), 34),
          position: "top",
          color: variable("--ink"),
          fontSize: 12.5,
          fontWeight: 600,
          backgroundColor: variable("--veil"),
          padding: [2, 4],
          borderRadius: 3,
        },
      });
      return {
        grid: { left: 30, right: 10, top: 10, bottom: 30 },
        tooltip: { ...base().tooltip, trigger: "item", formatter: (p) => titleOf([...shown][p.dataIndex]) },
        xAxis: axis(`${axisWords(m.axes[0]) || "first direction"} →`, range(box[0], box[1], width - 40)),
        yAxis: axis(
          `${short(axisWords(m.axes[1]) || "second direction", width < 560 ? 40 : 80)} →`,
          range(box[2], box[3], height(width) - 40),
        ),
        series: [
          {
            type: "scatter",
            z: 1,
            symbolSize: 3,
            data: rest,
            itemStyle: { color: variable("--muted"), opacity: 0.5 },
            silent: true,
          },
          ...series,
          {
            type: "scatter",
            z: 5,
            symbolSize: 15,
            data: [...shown].map(label),
            labelLayout: { moveOverlap: "shiftY" },
          },
        ],
      };
    },
    height,
  );
  const legend = h(
    "ul",
    { class: "legend" },
    [...shown].map((j) => h("li", null, marked(placeOf(j), titleOf(j)))),
  );
  const axes = m.axes.flatMap((a, i) =>
    found.features.map((name, f) => ({ axis: i === 0 ? "across" : "up", name, c: a.correlation[f], l: a.loading[f] })),
  );
  return part(
    "map",
    "Map of customers",
    reading(text),
    figure,
    legend,
    h(
      "p",
      { class: "quiet small" },
      "Large symbols are the centres of the segments; the areas hold the four fifths of a segment's customers that are nearest to its centre on the map.",
      found.k > 12 ? " Shown are the 12 largest segments; customers of others are grey." : null,
    ),
    behind(
      "Centres on the map (scaled units)",
      [
        { title: "Segment", kind: "text", of: (s) => titleOf(s.segment) },
        { title: "Across", kind: "number", of: (s) => at(s.segment)[0] },
        { title: "Up", kind: "number", of: (s) => at(s.segment)[1] },
        { title: "Customers drawn", kind: "count", of: (s) => points[s.segment].length },
      ],
      found.segments,
    ),
    behind(
      "What the directions are made of",
      [
        { title: "Feature", kind: "text", of: (x) => x.name },
        { title: "Direction", kind: "text", of: (x) => x.axis },
        { title: "Correlation", kind: "number", of: (x) => x.c },
        { title: "Loading", kind: "number", of: (x) => x.l },
      ],
      axes.sort((a, b) => (a.axis === b.axis ? Math.abs(b.c ?? 0) - Math.abs(a.c ?? 0) : a.axis < b.axis ? -1 : 1)),
    ),
  );
}
