/*
 * Numbers, words and elements. Text from the document is set by textContent only, so a name in a customer file can never
 * become markup; every number in a table also stands in a data element, exactly as in the JSON.
 */
"use strict";
const demarc = {
  document: JSON.parse(document.getElementById("document").textContent),

  /* Two sets of eight for light and for dark ground, every colour at least 3:1 against it (WCAG 2.1, 1.4.11), chosen from
   * P. Tol, "Colour schemes", SRON/EPS/TN/09-002, 2021, for distance under simulated protanopia and deuteranopia
   * (Machado, Oliveira & Fernandes 2009). Symbols and labels say the same, so nothing is told by colour alone. */
  palette: {
    light: ["#4477aa", "#cc3311", "#999933", "#332288", "#aa3377", "#ee6677", "#225555", "#666633"],
    dark: ["#77aadd", "#ee6677", "#bbcc33", "#aa4499", "#cc79a7", "#ffaabb", "#99ddff", "#ddcc77"],
  },
  symbols: [
    "circle",
    "rect",
    "triangle",
    "diamond",
    "path://M0,0L10,0L5,10Z",
    "path://M3,0L7,0L7,3L10,3L10,7L7,7L7,10L3,10L3,7L0,7L0,3L3,3Z",
    "path://M5,0L10,4L8,10L2,10L0,4Z",
    "path://M0,0L4,0L5,3L6,0L10,0L7,5L10,10L6,10L5,7L4,10L0,10L3,5Z",
  ],
};

demarc.places = new Map(
  (demarc.document.compare?.segments ?? []).filter((s) => s.new !== null).map((s) => [s.new, s.colour]),
);

/* ---------------------------------------------------------------------------------------------------- numbers */

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const four = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const known = (v) => typeof v === "number" && Number.isFinite(v);

const say = {
  count: (v) => (known(v) ? grouped.format(v) : typeof v === "string" ? v : "–"),
  number(v) {
    if (!known(v)) return typeof v === "string" ? v : "–";
    const size = Math.abs(v);
    if (v !== 0 && (size < 1e-4 || size >= 1e12)) return v.toExponential(2).replace("-", "−").replace("e+", "e");
    return (size >= 1000 ? grouped.format(v) : four.format(v)).replace("-", "−");
  },
  signed: (v) => (known(v) && v > 0 ? "+" : "") + say.number(v),
  share: (v) => (known(v) ? (100 * v).toLocaleString("en", { maximumFractionDigits: 1 }).replace("-", "−") + "%" : "–"),
  /* In running text and cards. */
  brief: (v) =>
    known(v) && Math.abs(v) >= 1e-4 && Math.abs(v) < 1000 ? three.format(v).replace("-", "−") : say.number(v),
  rough: (v) => (known(v) ? v.toFixed(2).replace("-", "−") : "–"),
  p: (v) => (known(v) ? (v < 0.0001 ? "< 0.0001" : v.toFixed(4)) : "–"),
  interval: (low, high) => (known(low) && known(high) ? `${say.number(low)} to ${say.number(high)}` : "not known"),
  plural: (n, one, many) => `${say.count(n)} ${n === 1 ? one : many || one + "s"}`,
  list(items) {
    if (items.length < 2) return items.join("");
    return items.slice(0, -1).join(", ") + " and " + items[items.length - 1];
  },
};
const capital = (s) => s.charAt(0).toUpperCase() + s.slice(1);
/** Long names in charts; the tables have them whole. */
const short = (s, most) => (s.length > most ? s.slice(0, most - 1).trimEnd() + "…" : s);

/* ---------------------------------------------------------------------------------------------------- elements */

/** h("p", {class: "x"}, "text", element, ...): text becomes text nodes; null is left out. */
function h(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) e.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) e.append(child instanceof Node ? child : String(child));
  }
  return e;
}

/** A number of the document: what is read, and what it is. */
function datum(value, kind) {
  if (value === null || value === undefined) return h("span", { "aria-label": "not defined" }, "–");
  return h("data", { value: String(value) }, say[kind](value));
}

/*
 * column: {title, kind: "text" | "count" | "number" | "signed" | "share" | "p" | "node", of: row => value}. The first one
 * heads its row. Tables of many cells are filled when they are opened or printed.
 */
function table(caption, columns, rows) {
  const body = h("tbody");
  const numeric = (c) => (c.kind === "text" || c.kind === "node" ? null : "number");
  const fill = () => {
    if (body.childElementCount === rows.length) return;
    body.replaceChildren(
      ...rows.map((row) =>
        h(
          "tr",
          null,
          columns.map((c, i) => {
            const v = c.of(row);
            const content = c.kind === "text" ? (v ?? "–") : c.kind === "node" ? v : datum(v, c.kind);
            return h(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : { class: numeric(c) }, content);
          }),
        ),
      ),
    );
  };
  if (rows.length * columns.length <= 4000) fill();
  const e = h(
    "table",
    null,
    h("caption", null, caption),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        columns.map((c) => h("th", { scope: "col", class: numeric(c) }, c.title)),
      ),
    ),
    body,
  );
  e.fill = fill;
  return e;
}

/** The table behind a chart. */
function behind(caption, columns, rows, open) {
  const t = table(caption, columns, rows);
  const d = h(
    "details",
    open ? { open: "" } : null,
    h("summary", null, `Table: ${caption}`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, t),
  );
  d.addEventListener("toggle", () => d.open && t.fill());
  return d;
}

/** A section with a heading; an empty one is left out by the caller. */
function part(id, title, ...children) {
  return h(
    "section",
    { class: "part", id, "aria-labelledby": `${id}-title` },
    h("h2", { id: `${id}-title` }, title),
    children,
  );
}
const reading = (...text) => h("p", { class: "reading" }, text);
const pairs = (list, name) =>
  h(
    "dl",
    { class: name },
    list.map(([k, v]) => [h("dt", null, k), h("dd", null, v)]),
  );

/* ---------------------------------------------------------------------------------------------------- segments */

const dark = () => matchMedia("(prefers-color-scheme: dark)").matches && !demarc.printing;
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** Colour and symbol of a place (placeOf a segment). Symbols differ where colours repeat. */
const colour = (place) => demarc.palette[dark() ? "dark" : "light"][place % 8];
const symbol = (place) => demarc.symbols[(place + Math.floor(place / 8)) % 8];
const nameOf = (j) => demarc.document.names[j] ?? `Segment ${j}`;
/** A segment that an earlier run had keeps its colour and symbol: compare says which. */
const placeOf = (j) => demarc.places.get(j) ?? j;
/** In a sentence. */
const quoted = (j) => `“${nameOf(j)}”`;
/** Name, and number where the name does not say it. */
const titleOf = (j) => (nameOf(j) === `Segment ${j}` ? nameOf(j) : `${nameOf(j)} (${j})`);

const outlines = {
  circle: "M8,2A6,6 0 1 1 7.99,2Z",
  rect: "M3,3H13V13H3Z",
  triangle: "M8,2L14,13H2Z",
  diamond: "M8,1L15,8L8,15L1,8Z",
};
/** The symbol of a segment as a small drawing, beside its name. */
function symbolOf(place) {
  const path = outlines[symbol(place)];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [k, v] of Object.entries({
    width: 16,
    height: 16,
    viewBox: path ? "0 0 16 16" : "-3 -3 16 16",
    "aria-hidden": "true",
  }))
    svg.setAttribute(k, v);
  shape.setAttribute("d", path || symbol(place).replace("path://", ""));
  shape.dataset.place = place;
  shape.setAttribute("fill", colour(place));
  svg.append(shape);
  return svg;
}
const marked = (place, text) => h("span", { class: "mark" }, symbolOf(place), text);
