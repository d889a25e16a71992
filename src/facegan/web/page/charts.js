// Small line drawings, as SVG.

const WIDTH = 340, HEIGHT = 150, LEFT = 44, BOTTOM = 20, TOP = 8, RIGHT = 8;
const SPACE = "http://www.w3.org/2000/svg";

function shape(tag, attributes, text = "") {
  const made = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

export const short = (value) => {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
};

/** A drawing of lines {name: [[x, y], ...]}. `logarithmic`: y on a logarithmic axis; `range`: from where to where y
 *  goes, whatever the lines do. */
export function chart(title, lines, { logarithmic = false, marks = false, range = null } = {}) {
  const points = Object.values(lines).flat().filter(([, y]) => !logarithmic || y > 0);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": title });
  if (!points.length) return svg;
  const scale = logarithmic ? Math.log : (y) => y;
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => scale(y));
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), ...(range ?? [Math.min(...ys), Math.max(...ys)])];
  const spread = y1 - y0 || Math.abs(y1) || 1, across = x1 - x0 || 1;
  const px = (x) => LEFT + ((x - x0) / across) * (WIDTH - LEFT - RIGHT);
  const py = (y) => HEIGHT - BOTTOM - ((scale(y) - y0) / spread) * (HEIGHT - BOTTOM - TOP);
  const back = logarithmic ? Math.exp : (y) => y;
  for (const share of [0, 0.5, 1]) {
    const y = back(y0 + share * (y1 - y0)), at = py(y);
    svg.append(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: at, y2: at, class: "rule" }));
    svg.append(shape("text", { x: LEFT - 5, y: at + 4, "text-anchor": "end" }, short(y)));
  }
  svg.append(shape("text", { x: LEFT, y: HEIGHT - 5 }, short(x0)));
  if (x1 > x0) svg.append(shape("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, short(x1)));
  Object.entries(lines).forEach(([, line], number) => {
    const kept = line.filter(([, y]) => !logarithmic || y > 0);
    if (!kept.length) return;
    svg.append(shape("polyline", { points: kept.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" "), class: `line line-${number}` }));
    if (marks || kept.length === 1) for (const [x, y] of kept) svg.append(shape("circle", { cx: px(x), cy: py(y), r: 2.5, class: `mark mark-${number}` }));
  });
  return svg;
}

/** A drawing with its title and the names of its lines. */
export function figure(title, lines, options) {
  const made = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.append(title);
  const names = Object.keys(lines);
  if (names.length > 1) names.forEach((name, number) => {
    const key = document.createElement("span");
    key.className = `key key-${number}`;
    key.textContent = name;
    caption.append(" ", key);
  });
  made.append(caption, chart(title, lines, options));
  return made;
}
