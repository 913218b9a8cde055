/*
 * Charts by Apache ECharts, drawn as SVG. A chart is a function of the width it may have and of light or dark; it is drawn
 * again when one of them changes, and for print in light at the width of the paper.
 */
"use strict";
demarc.charts = [];
demarc.printing = false;

/**
 * A figure whose option is made by make(width). `label` says what the chart says, for those who do not see it.
 * title: text, or [text, more quietly]
 */
function chart(title, label, make, height) {
  const plot = h("div", { class: "plot", role: "img", "aria-label": label });
  const figure = h(
    "figure",
    null,
    h("figcaption", null, Array.isArray(title) ? [title[0], " ", h("span", { class: "quiet note" }, title[1])] : title),
    plot,
  );
  demarc.charts.push({ plot, make, height, engine: null, width: 0 });
  return figure;
}

function draw(c) {
  const width = demarc.printing ? Math.min(c.plot.clientWidth || 660, 660) : c.plot.clientWidth;
  if (width === 0) return; /* not on the page yet */
  const height = typeof c.height === "function" ? c.height(width) : c.height;
  c.plot.style.height = `${height}px`;
  if (c.engine === null) c.engine = echarts.init(c.plot, null, { renderer: "svg", width, height });
  c.engine.resize({ width, height });
  c.engine.setOption({ ...base(), ...c.make(width) }, { notMerge: true });
  c.width = width;
}
const drawAll = () => demarc.charts.forEach(draw);

/* What all charts share. Tooltips are drawn into the SVG: no markup is ever made of a name. */
function base() {
  return {
    animation: false,
    aria: { enabled: false },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: variable("--ink"), fontSize: 13 },
    tooltip: {
      renderMode: "richText",
      confine: true,
      backgroundColor: variable("--paper"),
      borderColor: variable("--line"),
      borderWidth: 1,
      textStyle: { color: variable("--ink"), fontSize: 13 },
    },
  };
}
const quietText = (more) => ({ color: variable("--quiet"), fontSize: 12, ...more });
function valueAxis(more) {
  const { axisLabel, ...rest } = more || {};
  return {
    type: "value",
    scale: true,
    nameTextStyle: quietText(),
    splitLine: { lineStyle: { color: variable("--grid") }, showMinLine: false, showMaxLine: false },
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: quietText({ hideOverlap: true, formatter: say.number, ...axisLabel }),
    ...rest,
  };
}
function wordAxis(words, width, more) {
  return {
    type: "category",
    data: words,
    axisTick: { show: false },
    axisLine: { lineStyle: { color: variable("--line") } },
    axisLabel: { color: variable("--ink"), fontSize: 12, width, overflow: "truncate", interval: 0, ...(more || {}) },
  };
}
/** Room for the words beside a chart. */
const margin = (width) => Math.round(Math.min(230, Math.max(104, width * 0.3)));

/* ---------------------------------------------------------------------------------------------------- kinds */

/** Horizontal bars. rows: {label, value, text, place | color} */
function bars(title, label, rows, kind, marks) {
  return chart(
    title,
    label,
    (width) => ({
      grid: { left: margin(width) + 8, right: 84, top: marks ? 20 : 4, bottom: 26 },
      tooltip: {
        ...base().tooltip,
        trigger: "item",
        formatter: (p) => `${rows[p.dataIndex].label}\n${rows[p.dataIndex].text}`,
      },
      xAxis: valueAxis({ scale: false, min: 0, axisLabel: { formatter: say[kind] }, splitNumber: width < 500 ? 3 : 5 }),
      yAxis: {
        ...wordAxis(
          rows.map((r) => r.label),
          margin(width),
        ),
        inverse: true,
      },
      series: [
        {
          type: "bar",
          barMaxWidth: 22,
          data: rows.map((r) => ({
            value: r.value,
            itemStyle: {
              color: r.place === undefined ? variable(r.color || "--accent") : colour(r.place),
              borderRadius: [0, 3, 3, 0],
            },
          })),
          label: {
            show: true,
            position: "right",
            color: variable("--ink"),
            fontSize: 12,
            formatter: (p) => rows[p.dataIndex].text,
          },
          markLine: lines(marks),
        },
      ],
    }),
    34 + (marks ? 16 : 0) + 28 * rows.length,
  );
}

/** Vertical lines that mean something. marks: {at, name} */
function lines(marks) {
  if (!marks || marks.length === 0) return undefined;
  return {
    silent: true,
    symbol: "none",
    animation: false,
    lineStyle: { color: variable("--quiet"), type: "dashed", width: 1 },
    label: { color: variable("--quiet"), fontSize: 11, position: "start", distance: 3 },
    data: marks.map((m) => ({ xAxis: m.at, label: { formatter: m.name } })),
  };
}

/*
 * Values with intervals, one a row: a line from low to high, a symbol at the value. rows: {label, value, low, high, place, note,
 * extra: [{value, symbol, name}]}
 */
function intervals(title, label, rows, more) {
  const { marks, axis, min, max, name } = more || {};
  const finite = rows.flatMap((r) => [r.value, r.low, r.high, ...(r.extra || []).map((e) => e.value)]).filter(known);
  const ends = [
    Math.min(...finite, ...(marks || []).map((m) => m.at)),
    Math.max(...finite, ...(marks || []).map((m) => m.at)),
  ];
  const pad = (ends[1] - ends[0] || Math.abs(ends[0]) || 1) * 0.06;
  const extras = [...new Set(rows.flatMap((r) => (r.extra || []).map((e) => e.name)))];
  return chart(
    title,
    label,
    (width) => ({
      grid: { left: margin(width) + 8, right: 26, top: marks ? 24 : 6, bottom: name ? 46 : 26 },
      tooltip: {
        ...base().tooltip,
        trigger: "item",
        formatter: (p) => {
          const r = rows[p.dataIndex];
          return `${r.label}\n${say.number(r.value)} (${say.interval(r.low, r.high)})${r.note ? `\n${r.note}` : ""}`;
        },
      },
      xAxis: valueAxis({
        name,
        nameLocation: "middle",
        nameGap: 28,
        min: min ?? ends[0] - pad,
        max: max ?? ends[1] + pad,
        splitNumber: width < 500 ? 3 : 6,
        axisLabel: {
          formatter: axis ? say[axis] : say.number,
          showMinLabel: min !== undefined,
          showMaxLabel: max !== undefined,
        },
      }),
      yAxis: {
        ...wordAxis(
          rows.map((r) => r.label),
          margin(width),
        ),
        inverse: true,
      },
      series: [
        {
          type: "custom",
          silent: true,
          z: 1,
          data: rows.map((r, i) => [i, r.low, r.high]),
          encode: { x: [1, 2], y: 0 },
          renderItem: (params, api) => {
            if (!known(rows[params.dataIndex].low) || !known(rows[params.dataIndex].high)) return null;
            const [a, y] = api.coord([api.value(1), api.value(0)]),
              [b] = api.coord([api.value(2), api.value(0)]);
            const style = { stroke: rowColour(rows[params.dataIndex]), lineWidth: 2.5 };
            const line = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style });
            return { type: "group", children: [line(a, y, b, y), line(a, y - 5, a, y + 5), line(b, y - 5, b, y + 5)] };
          },
        },
        {
          type: "scatter",
          z: 3,
          symbolSize: 11,
          data: rows.map((r, i) => ({
            value: [r.value, i],
            symbol: r.place === undefined ? "circle" : symbol(r.place),
            itemStyle: { color: rowColour(r), borderColor: variable("--paper"), borderWidth: 1 },
          })),
          markLine: lines(marks),
        },
        ...extras.map((word) => ({
          type: "scatter",
          z: 2,
          symbolSize: 10,
          name: word,
          silent: true,
          data: rows.flatMap((r, i) =>
            (r.extra || [])
              .filter((e) => e.name === word && known(e.value))
              .map((e) => ({
                value: [e.value, i],
                symbol: e.symbol,
                itemStyle: { color: "transparent", borderColor: variable("--quiet"), borderWidth: 1.6 },
              })),
          ),
        })),
      ],
    }),
    (marks ? 24 : 6) + (name ? 46 : 30) + 26 * rows.length,
  );
}
const rowColour = (r) => (r.place === undefined ? variable("--accent") : colour(r.place));

/** A line over ordered x. points: {x, y, low, high, chosen: a word or undefined}; `log`: y on a logarithmic scale */
function curve(title, label, points, more) {
  const { xName, yName, log, height } = more || {};
  return chart(
    title,
    label,
    () => ({
      grid: { left: 64, right: 18, top: yName ? 28 : 22, bottom: xName ? 44 : 28 },
      tooltip: {
        ...base().tooltip,
        trigger: "item",
        formatter: (p) => `${xName || ""} ${points[p.dataIndex].x}\n${say.number(points[p.dataIndex].y)}`,
      },
      xAxis: {
        ...wordAxis(
          points.map((p) => String(p.x)),
          60,
          { interval: "auto", hideOverlap: true },
        ),
        name: xName,
        nameLocation: "middle",
        nameGap: 28,
        nameTextStyle: quietText(),
      },
      yAxis: valueAxis({
        type: log ? "log" : "value",
        name: yName,
        nameTextStyle: quietText({ align: "left", padding: [0, 0, 0, -56] }),
        splitNumber: 4,
      }),
      series: [
        {
          type: "line",
          data: points.map((p) => ({
            value: p.y,
            symbol: p.chosen ? "diamond" : "circle",
            symbolSize: p.chosen ? 15 : points.length > 60 ? 3 : 7,
            label: p.chosen
              ? {
                  show: true,
                  formatter: p.chosen,
                  position: "top",
                  color: variable("--ink"),
                  fontSize: 12,
                  distance: 8,
                }
              : undefined,
          })),
          lineStyle: { color: variable("--accent"), width: 2 },
          itemStyle: { color: variable("--accent") },
          connectNulls: false,
          clip: false,
        },
        {
          type: "custom",
          silent: true,
          data: points.map((p, i) => [i, p.low ?? null, p.high ?? null]),
          encode: { x: 0, y: [1, 2] },
          renderItem: (params, api) => {
            const p = points[params.dataIndex];
            if (!known(p.low) || !known(p.high)) return null;
            const [x, a] = api.coord([api.value(0), api.value(1)]),
              [, b] = api.coord([api.value(0), api.value(2)]);
            return {
              type: "line",
              shape: { x1: x, y1: a, x2: x, y2: b },
              style: { stroke: variable("--accent"), lineWidth: 2 },
            };
          },
        },
      ],
    }),
    height || 220,
  );
}
