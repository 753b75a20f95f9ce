// Hands the page's data and tables to the libraries; no markup is made here.
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const settings = {responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]]};
const draw = (plot) => plot.data || Plotly.newPlot(plot, ...charts[plot.dataset.chart], settings);
const seen = new IntersectionObserver((entries) => {
  entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target));
}, {rootMargin: "100%"});
document.querySelectorAll("[data-chart]").forEach((plot) => seen.observe(plot));
document.addEventListener("change", async ({target}) => {
  const plot = target.closest("[data-controls]")?.querySelector("[data-chart]");
  if (!plot) return;
  await draw(plot);
  const {axis, traces} = target.dataset;
  const [type, tickmode] = target.checked ? ["log", "array"] : ["linear", "auto"];
  if (axis) Plotly.update(plot, {}, {[`${axis}.type`]: type, [`${axis}.tickmode`]: tickmode, [`${axis}.autorange`]: true});
  if (traces) Plotly.restyle(plot, {visible: target.checked}, JSON.parse(traces));
});
const written = /^(|[-−]?[\d,.]+(e-?\d+)?( \(.*\))?)$/;
DataTable.type("written number", {
  detect: {oneOf: (text) => /\d/.test(text) && written.test(text), allOf: (text) => written.test(text)},
  order: {pre: (text) => (text ? parseFloat(text.replaceAll(",", "").replace("−", "-")) : -Infinity)},
});
document.querySelectorAll("table.cells").forEach((table) => new DataTable(table, {
  paging: false, order: [], autoWidth: false, layout: {topStart: "search", topEnd: "info", bottomStart: null, bottomEnd: null},
  language: {search: "Filter rows:", info: "_TOTAL_ rows", infoFiltered: "of _MAX_", infoEmpty: "no row", zeroRecords: "No row holds this."},
}));
