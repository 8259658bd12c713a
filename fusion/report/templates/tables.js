"use strict";
// Tables whose headings sort them, and charts that tell their values.

function makeSortable(table) {
  for (const [column, heading] of [...table.tHead.rows[0].cells].entries()) {
    const button = element("button", { type: "button" });
    while (heading.firstChild && !heading.firstChild.classList?.contains("axis-ends")) button.append(heading.firstChild);
    heading.prepend(button);
    button.addEventListener("click", () => {
      const text = heading.dataset.kind === "text";
      const now = heading.getAttribute("aria-sort");
      sortBy(table, column, now ? now === "descending" : text);
    });
  }
}

function sortBy(table, column, rising) {
  const headings = [...table.tHead.rows[0].cells];
  for (const heading of headings) heading.removeAttribute("aria-sort");
  headings[column].setAttribute("aria-sort", rising ? "ascending" : "descending");
  const text = headings[column].dataset.kind === "text";
  const value = (row) => {
    const cell = row.cells[column];
    if (text) return cell.textContent.trim();
    const own = cell.dataset.value ?? row.cells[column + 1]?.dataset.value ?? "";
    return own === "" ? null : Number(own);
  };
  const keyed = [...table.tBodies[0].rows].map((row, i) => [value(row), i, row]);
  keyed.sort(([a, i], [b, j]) => {
    if (a === b) return i - j;
    if (a === null || b === null) return a === null ? 1 : -1; // what has no value stays below
    const order = text ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
    return rising ? order : -order;
  });
  table.tBodies[0].replaceChildren(...keyed.map(([, , row]) => row));
}

function makeReadable(figure) {
  const area = figure.querySelector(".plot-area");
  for (const first of ["pointerenter", "focus"]) area.addEventListener(first, () => readable(figure, area), { once: true });
}

// What is needed to read a chart's values, at the first look at it.
function readable(figure, area) {
  if (area.dataset.readable) return;
  area.dataset.readable = "yes";
  const chart = detail().charts[figure.dataset.chart];
  const svg = area.querySelector("svg");
  const [left, top, right, bottom] = chart.box;
  const cursor = shape("path", { class: "cursor", d: "" });
  svg.append(cursor);
  const places = [...new Set(chart.lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const write = (value, share) => (share ? `${percent(value, 1)} %` : String(Number(value.toPrecision(5))));
  let at = 0;
  function show(index, event) {
    at = clamp(index, 0, places.length - 1);
    const x = places[at];
    const px = left + ((x - chart.x[0]) / (chart.x[1] - chart.x[0])) * (right - left);
    cursor.setAttribute("d", `M${px} ${top}V${bottom}`);
    const rows = [`${chart.label.replace(/, %$/, "")}: ${write(x, chart.percent[0])}`];
    for (const line of chart.lines) {
      const i = line.x.indexOf(x);
      if (i >= 0 && line.name !== "perfect") rows.push([line.name, write(line.y[i], chart.percent[1])]);
    }
    const box = svg.getBoundingClientRect();
    showTip(event ?? { clientX: box.left + (px / svg.viewBox.baseVal.width) * box.width, clientY: box.top + box.height / 2 }, rows);
  }
  const point = (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const x = chart.x[0] + ((px - left) / (right - left)) * (chart.x[1] - chart.x[0]);
    let best = 0;
    for (const [i, place] of places.entries()) if (Math.abs(place - x) < Math.abs(places[best] - x)) best = i;
    show(best, event);
  };
  const leave = () => { hideTip(); cursor.setAttribute("d", ""); };
  pointing(area, point, leave);
  area.addEventListener("blur", leave);
  area.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(at + step);
  });
}
