// Shows the result of generate_report in the sandboxed frame of a client with MCP Apps (SEP-1865, 2026-01-26).
"use strict";
(() => {
  const main = document.querySelector("main");
  const SVG = "http://www.w3.org/2000/svg";
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
    "ui/notifications/tool-input": ({ arguments: given }) => showText(`Making the report on ${given?.source ?? "the data"} ...`),
    "ui/notifications/tool-result": (result) => {
      const texts = (result.content ?? []).filter((block) => block.type === "text").map((block) => block.text);
      if (result.isError || !result.structuredContent?.columns) main.replaceChildren(el("pre", {}, texts.join("\n\n")));
      else main.replaceChildren(...page(result.structuredContent));
    },
    "ui/notifications/tool-cancelled": ({ reason }) => showText(`The report was cancelled${reason ? `: ${reason}` : ""}.`),
    "ui/notifications/host-context-changed": (context) => dress(context),
  };

  const showText = (text) => main.replaceChildren(el("p", { class: "soft", role: "status" }, text));

  const dress = ({ theme, styles }) => {
    const root = document.documentElement;
    if (theme === "light" || theme === "dark") root.style.colorScheme = theme;
    for (const [name, value] of Object.entries(styles?.variables ?? {}))
      if (name.startsWith("--") && value) root.style.setProperty(name, value);
  };

  // The report. Texts from the data become only text nodes and values of attributes.

  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined).map((child) => child instanceof Node ? child : String(child)));
    return node;
  };
  const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const cell = (value) => el("td", { class: "n" }, value ?? "");

  const table = (heads, rows) =>
    el("div", { class: "scroll" },
      el("table", {},
        el("thead", {}, el("tr", {}, ...heads.map(([text, right]) => el("th", { class: right ? "n" : undefined }, text)))),
        el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row)))));

  const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);
  const tile = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));

  const upright = (column) => {
    const most = Math.max(...column.chart.bars.map((bar) => bar.count));
    const step = 320 / column.chart.bars.length;
    const gap = Math.min(2, step / 4);
    const rects = column.chart.bars.map((bar, index) =>
      svg("rect", { x: index * step + gap / 2, y: 110 * (1 - bar.count / most), width: step - gap, height: (110 * bar.count) / most },
        svg("title", {}, `${bar.label}: ${bar.count}`)));
    return el("figure", {},
      svg("svg", { class: "columns", viewBox: "0 0 320 110", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${column.name}` }, ...rects),
      el("figcaption", { class: "ends" }, el("span", {}, column.chart.first), el("span", {}, `most: ${most}`), el("span", {}, column.chart.last)));
  };

  const lying = ({ chart }) => {
    const most = Math.max(...chart.bars.map((bar) => bar.count));
    const items = chart.bars.map((bar) =>
      el("li", {},
        el("span", { class: "label", title: bar.label }, bar.label),
        svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: (100 * bar.count) / most, height: 10 })),
        el("span", { class: "n" }, bar.count)));
    return el("figure", {},
      el("ol", { class: "bars" }, ...items),
      chart.others ? el("figcaption", { class: "ends" }, `${chart.others} rows with other values`) : null);
  };

  const card = (column) =>
    el("article", { class: "card" },
      el("header", {}, el("h3", {}, column.name), el("span", {}, column.kind)),
      column.first ? el("p", { class: "soft" }, `${column.first} to ${column.last}`) : null,
      column.chart ? (column.chart.shape === "columns" ? upright(column) : lying(column))
        : el("p", { class: "soft" }, column.kind === "empty" ? "No values." : `No chart: ${column.distinct} different values in ${column.count} rows.`));

  const page = (report) => {
    const missing = report.columns.reduce((sum, column) => sum + column.missing, 0);
    const numbers = report.columns.filter((column) => column.figures);
    const figures = ["min", "q1", "median", "mean", "q3", "max", "stdev"];
    const rows = report.columns.map((column) => [
      el("th", { scope: "row" }, column.name), el("td", {}, column.type || column.kind), cell(column.count),
      el("td", { class: column.missing ? "n warn" : "n" }, column.missing), cell(column.distinct),
    ]);
    return [
      el("header", {},
        el("h1", {}, report.title),
        el("p", { class: "soft" }, `Made from ${report.basis} of `, el("code", {}, report.source), `. ${report.description}`),
        el("dl", { class: "tiles" },
          tile("Rows used", report.rows), tile("Rows in all", report.total ?? "not known"),
          tile("Columns", report.columns.length), tile("Missing values", missing))),
      section("How often what occurs", el("div", { class: "cards" }, ...report.columns.map(card))),
      section("Columns",
        table([["Column"], ["Type"], ["Values", true], ["Missing", true], ["Different", true]], rows),
        report.left_out.length ? el("p", { class: "soft" }, `Left out: ${report.left_out.join(", ")}.`) : null),
      numbers.length ? section("Figures",
        table([["Column"], ...["Least", "Lower quartile", "Median", "Mean", "Upper quartile", "Greatest", "Standard deviation"].map((name) => [name, true])],
          numbers.map((column) => [el("th", { scope: "row" }, column.name), ...figures.map((name) => cell(column.figures[name]))]))) : null,
      report.preview.length ? section("First rows",
        table(report.columns.map((column) => [column.name, column.kind === "number"]),
          report.preview.map((row) => row.map((text, index) => report.columns[index].kind === "number" ? cell(text) : el("td", {}, text))))) : null,
      el("footer", {}, el("p", {}, `Report ${report.id}, made ${report.created.slice(0, 19).replace("T", " ")} UTC from `, el("code", {}, report.source_uri), ".")),
    ].filter((part) => part !== null);
  };

  // First the handshake, then the size of the page whenever it changes.

  const announceSize = () => {
    const { width, height } = document.body.getBoundingClientRect();
    notify("ui/notifications/size-changed", { width: Math.ceil(width), height: Math.ceil(height) });
  };

  request("ui/initialize", {
    protocolVersion: "2026-01-26",
    appInfo: { name: "mcp-plugin-report", version: "0.1.0" },
    appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
  }).then((answer) => {
    dress(answer?.hostContext ?? {});
    notify("ui/notifications/initialized");
    new ResizeObserver(announceSize).observe(document.body);
  }, (error) => showText(`The client refused: ${error.message}`));
})();
