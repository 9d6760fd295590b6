// Shows the result of chart in the sandboxed frame of a client with MCP Apps (SEP-1865, 2026-01-26).
"use strict";
(() => {
  const main = document.querySelector("main");
  const SVG = "http://www.w3.org/2000/svg";
  const PALETTE = ["#4c78a8", "#f58518", "#e45756", "#72b7b2", "#54a24b", "#eeca3b", "#b279a2", "#ff9da6", "#9d755d", "#bab0ac"];
  const waiting = new Map();
  let lastId = 0;

  // The protocol: JSON-RPC 2.0 over postMessage, only with the frame's parent.

  const post = (message) => window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
  const notify = (method, params = {}) => post({ method, params });
  const request = (method, params) =>
    new Promise((resolve, reject) => {
      waiting.set(++lastId, { resolve, reject });
      post({ id: lastId, method, params });
    });

  window.addEventListener("message", ({ source, data }) => {
    if (source !== window.parent || data?.jsonrpc !== "2.0") return;
    if (data.method === undefined) {
      const asked = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error) asked?.reject(new Error(data.error.message));
      else asked?.resolve(data.result);
    } else if (data.id === undefined) {
      notified[data.method]?.(data.params ?? {});
    } else if (data.method === "ui/resource-teardown" || data.method === "ping") {
      post({ id: data.id, result: {} });
    } else {
      post({ id: data.id, error: { code: -32601, message: `Method not found: ${data.method}` } });
    }
  });

  const notified = {
    "ui/notifications/tool-input": ({ arguments: given }) => showText(`Drawing ${given?.dataset ?? "the data"} ...`),
    "ui/notifications/tool-result": (result) => {
      const texts = (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text);
      if (result.isError || !result.structuredContent?.kind) main.replaceChildren(el("pre", {}, texts.join("\n\n")));
      else main.replaceChildren(...page(result.structuredContent));
    },
    "ui/notifications/tool-cancelled": ({ reason }) => showText(`The chart was cancelled${reason ? `: ${reason}` : ""}.`),
    "ui/notifications/host-context-changed": (context) => dress(context),
  };

  const showText = (text) => main.replaceChildren(el("p", { class: "soft", role: "status" }, text));

  const dress = ({ theme, styles }) => {
    const root = document.documentElement;
    if (theme === "light" || theme === "dark") root.style.colorScheme = theme;
    for (const [name, value] of Object.entries(styles?.variables ?? {}))
      if (name.startsWith("--") && value) root.style.setProperty(name, value);
  };

  // Texts from the data become only text nodes and values of attributes.

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
    return node;
  };
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  // Where values are. An exact number that JSON cannot carry is a text.

  const moment = (text) => Date.parse(text.includes("T") ? (text.endsWith("Z") ? text : `${text}Z`) : `${text}T00:00:00Z`);
  const placeOf = ({ scale, values = [] }) => {
    if (scale === "number") return Number;
    if (scale === "time") return moment;
    return (value) => values.indexOf(value);
  };
  const niceTicks = (low, high, most) => {
    const raw = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(Number((n * step).toPrecision(12)));
    return ticks;
  };
  const number = (value) => (Math.abs(value) >= 1e15 || (value && Math.abs(value) < 1e-4) ? value.toExponential() : value.toLocaleString("en"));
  const widened = ([low, high]) => {
    const margin = low === high ? Math.abs(low) / 20 || 1 : (high - low) / 20;
    return [low - margin, high + margin];
  };

  // The chart. `along` is the direction of x, which is downwards for categories, and `across` that of y.

  const draw = (chart) => {
    const { kind, x, y, points = [], boxes = [], series = [], stacked = false } = chart;
    const discrete = x.scale === "bands" || x.scale === "categories";
    const lying = (kind === "bar" || kind === "box") && x.scale === "categories";
    const names = series.length ? series : [null];
    const colour = (name) => PALETTE[Math.max(names.indexOf(name), 0) % PALETTE.length];
    const place = placeOf(x);
    const labels = x.labels ?? [];
    const drawn = points.filter((point) => point.y !== null);

    const width = 760;
    const beside = stacked ? 1 : names.length;
    const longest = Math.max(0, ...labels.map((label) => Math.min(label.length, 26)));
    const turned = !lying && discrete && longest * labels.length > 80;
    const left = lying ? Math.max(40, longest * 7 + 30) : turned ? Math.max(72, longest * 6) : 72;
    const bottom = turned ? Math.min(longest * 5 + 44, 170) : 48;
    const inner = lying ? Math.max(90, labels.length * Math.max(22, 10 * beside + 8)) : 320;
    const height = inner + bottom + 10;

    const tops = new Map();
    if (stacked) for (const point of drawn) tops.set(point.x, (tops.get(point.x) ?? 0) + Number(point.y));
    const heights = [...(stacked ? tops.values() : drawn.map((point) => Number(point.y))), ...boxes.flatMap((box) => [Number(box.min), Number(box.max)])];
    const zero = y.zero === true;
    const ends = [Math.min(...heights, ...(zero ? [0] : [])), Math.max(...heights, ...(zero ? [0] : []))];
    let [low, high] = widened(ends);
    if (zero && ends[0] === 0) low = 0;
    if (zero && ends[1] === 0) high = ends[0] === 0 ? 1 : 0;
    const acrossSize = lying ? width - left - 16 : inner;
    const across = (value) => {
      const part = (Number(value) - low) / (high - low);
      return lying ? left + part * acrossSize : 8 + (1 - part) * acrossSize;
    };
    const places = drawn.map((point) => place(point.x));
    const [start, end] = discrete ? [-0.5, labels.length - 0.5] : widened([Math.min(...places), Math.max(...places)]);
    const alongSize = lying ? inner : width - left - 16;
    const along = (value) => (lying ? 8 : left) + ((value - start) / (end - start)) * alongSize;
    const share = (alongSize / Math.max(labels.length, 1)) * 0.8;
    const shift = (name) => (stacked ? 0 : (names.indexOf(name) - (names.length - 1) / 2) * (share / names.length));

    // Marks are written with their place along and across the axis.
    const at = (a, b) => (lying ? [b, a] : [a, b]);
    const line = (a1, b1, a2, b2, more) => {
      const [[x1, y1], [x2, y2]] = [at(a1, b1), at(a2, b2)];
      return svg("line", { x1, y1, x2, y2, ...more });
    };
    const block = (a, size, b1, b2, more, ...children) => {
      const [from, to] = [Math.min(b1, b2), Math.max(b1, b2)];
      const box = lying ? { x: from, y: a - size / 2, width: to - from, height: size } : { x: a - size / 2, y: from, width: size, height: to - from };
      return svg("rect", { ...box, ...more }, ...children);
    };
    const dot = (a, b, r, more, ...children) => {
      const [cx, cy] = at(a, b);
      return svg("circle", { cx, cy, r, ...more }, ...children);
    };
    const where = (value) => (discrete ? labels[place(value)] : value);
    const tip = (point) => svg("title", {}, `${[point.series, where(point.x)].filter((text) => text).join(", ")}: ${point.y}${(point.rows ?? null) === null ? "" : ` (${point.rows} rows)`}`);

    const marks = [];
    if (kind === "line" || kind === "scatter")
      for (const name of names) {
        const own = drawn.filter((point) => point.series === name);
        if (kind === "line" && own.length > 1)
          marks.push(svg("polyline", { class: "path", stroke: colour(name), points: own.map((point) => `${along(place(point.x))},${across(point.y)}`).join(" ") }));
        if (kind === "scatter" || own.length <= 60)
          for (const point of own)
            marks.push(dot(along(place(point.x)), across(point.y), kind === "line" ? 3 : 3.5, { fill: colour(name), "fill-opacity": kind === "line" ? 1 : 0.6 }, tip(point)));
      }
    if (kind === "bar") {
      const reached = new Map();
      for (const point of drawn) {
        const from = stacked ? (reached.get(point.x) ?? 0) : 0;
        reached.set(point.x, from + Number(point.y));
        marks.push(block(along(place(point.x)) + shift(point.series), stacked ? share : share / names.length, across(from), across(from + Number(point.y)), { fill: colour(point.series) }, tip(point)));
      }
    }
    for (const box of boxes) {
      const middle = along(place(box.x)) + shift(box.series);
      const size = Math.min((share / names.length) * 0.85, 48);
      const stroke = { stroke: colour(box.series) };
      const [from, q1, median, q3, to] = [box.low, box.q1, box.median, box.q3, box.high].map(across);
      const text = `${[box.series, where(box.x)].filter((part) => part).join(", ")}: quartiles ${box.q1}, ${box.median}, ${box.q3}; from ${box.min} to ${box.max} (${box.rows} values)`;
      marks.push(line(middle, from, middle, to, stroke));
      for (const cap of [from, to]) marks.push(line(middle - size / 4, cap, middle + size / 4, cap, stroke));
      marks.push(block(middle, size, q1, q3, { fill: colour(box.series) }, svg("title", {}, text)));
      marks.push(line(middle - size / 2, median, middle + size / 2, median, { class: "median" }));
      for (const value of box.outliers) marks.push(dot(middle, across(value), 3, { fill: "none", ...stroke }, svg("title", {}, value)));
    }

    const [near, far] = lying ? [8, 8 + inner] : [left, width - 16];
    const grid = niceTicks(low, high, lying ? 7 : 6).flatMap((tick) => [
      line(near, across(tick), far, across(tick), { class: "grid" }),
      lying ? svg("text", { x: across(tick), y: inner + 26, "text-anchor": "middle" }, number(tick))
        : svg("text", { x: left - 8, y: across(tick) + 4, "text-anchor": "end" }, number(tick)),
    ]);
    const every = turned ? Math.ceil(labels.length / 34) : 1;
    const below = (value, text) => {
      const px = along(value);
      if (!turned) return svg("text", { x: px, y: inner + 26, "text-anchor": "middle" }, text);
      return svg("text", { x: px, y: inner + 20, "text-anchor": "end", transform: `rotate(-40 ${px} ${inner + 20})` }, text);
    };
    const marksOfX = lying ? labels.map((label, index) => svg("text", { x: left - 8, y: along(index) + 4, "text-anchor": "end" }, cut(label, 26), svg("title", {}, label)))
      : discrete ? labels.map((label, index) => (index % every ? null : below(index, cut(label, 26))))
      : x.scale === "time" ? x.ticks.map((tick) => below(moment(tick.value), tick.label))
      : niceTicks(start, end, 8).map((tick) => below(tick, number(tick)));
    const base = zero ? across(0) : lying ? left : 8 + inner;
    const [first, second] = lying ? [y.title, x.title] : [x.title, y.title];
    return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": chart.title },
      ...grid,
      line(near, base, far, base, { class: "axis" }),
      ...marks, ...marksOfX,
      svg("text", { class: "title", x: left + (width - left) / 2, y: height - 4, "text-anchor": "middle" }, first),
      svg("text", { class: "title", x: 0, y: 0, "text-anchor": "middle", transform: `translate(12 ${8 + inner / 2}) rotate(-90)` }, cut(second, Math.max(8, Math.floor(inner / 6)))));
  };

  const page = (chart) => {
    const legend = (chart.series ?? []).map((name, index) =>
      el("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { width: 10, height: 10, rx: 2, fill: PALETTE[index % PALETTE.length] })), name));
    return [
      el("h1", {}, chart.title),
      legend.length ? el("ul", { class: "legend", "aria-label": chart.group ?? "series" }, ...legend) : null,
      draw(chart),
      ...[`${chart.rows.toLocaleString("en")} ${chart.rows === 1 ? "row" : "rows"}.`, ...(chart.notes ?? []), ...(chart.warnings ?? [])].map((note) => el("p", { class: "soft" }, note)),
    ].filter((part) => part !== null);
  };

  // First the handshake, then the size of the page whenever it changes.

  const announceSize = () => {
    const { width, height } = document.body.getBoundingClientRect();
    notify("ui/notifications/size-changed", { width: Math.ceil(width), height: Math.ceil(height) });
  };

  request("ui/initialize", {
    protocolVersion: "2026-01-26",
    appInfo: { name: "mcp-plugin-stats", version: "0.1.0" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  }).then((answer) => {
    dress(answer?.hostContext ?? {});
    notify("ui/notifications/initialized");
    new ResizeObserver(announceSize).observe(document.body);
  }, (error) => showText(`The client refused: ${error.message}`));
})();
