"use strict";
const ready = new Set();

// A split's parts are made when it is first shown.
function open(tag) {
  for (const [i, root] of document.querySelectorAll("[data-split]").entries()) {
    root.hidden = root.dataset.split !== tag;
    if (root.hidden || ready.has(tag)) continue;
    ready.add(tag);
    for (const table of root.querySelectorAll("table.sortable:not(.classes)")) makeSortable(table);
    makeClasses(root, numbers.splits[i]);
    new Confusion(root, numbers.splits[i], detail.splits[i]);
    makeMaps(root, numbers.splits[i], detail.splits[i]);
    for (const figure of root.querySelectorAll("[data-chart]")) makeReadable(figure);
    for (const spot of root.querySelectorAll("[data-words]")) pointing(spot, (event) => showTip(event, spot.dataset.words.split("\n")), hideTip);
    const curve = makePrecision(root, numbers.splits[i], detail.splits[i]);
    makeSystems(root, numbers.splits[i]);
    makeHeat(root, numbers.splits[i], curve);
    for (const frame of root.querySelectorAll(".scroll")) frames.observe(frame);
  }
  for (const tail of document.querySelectorAll("[data-tail]")) tail.hidden = tail.dataset.tail !== tag;
  // The links at the top lead into the split that is shown.
  for (const section of document.querySelectorAll("[data-section]")) {
    if (section.parentElement.dataset.split === tag) section.id = section.dataset.section;
    else section.removeAttribute("id");
  }
}

open(detail.splits[0].tag);
document.getElementById("which-split")?.addEventListener("change", (event) => open(event.target.value));
for (const figure of document.querySelectorAll("#training [data-chart]")) makeReadable(figure);
for (const table of document.querySelectorAll(".mean table.sortable")) makeSortable(table);
for (const frame of document.querySelectorAll(".mean .scroll")) frames.observe(frame);

document.getElementById("theme").addEventListener("click", repaint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
matchMedia("print").addEventListener("change", repaint);
document.documentElement.dataset.ready = "yes";
