"use strict";
const begun = new Set();

// What is still to be made, by section: whatever comes first, the reader or a quiet moment.
const waiting = new Map();
const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) make(entry.target);
}, { rootMargin: "600px" });
function make(section) {
  nearby.unobserve(section);
  const work = waiting.get(section);
  waiting.delete(section);
  work?.();
}
const soon = window.requestIdleCallback ?? ((work) => setTimeout(work, 1));
function makeRest() {
  const [next] = waiting.keys();
  if (!next) {
    document.documentElement.dataset.ready = "yes";
    return;
  }
  make(next);
  soon(makeRest, { timeout: 100 });
}

// A split's parts are made when it is first shown, the ones in view before the others.
function open(tag) {
  for (const [i, root] of document.querySelectorAll("[data-split]").entries()) {
    root.hidden = root.dataset.split !== tag;
    if (root.hidden || begun.has(tag)) continue;
    begun.add(tag);
    const split = numbers.splits[i];
    const videos = () => detail().splits[i];
    const parts = {
      systems: () => makeSystems(root, split),
      classes: () => {
        makeClasses(root, split);
        makeHeat(root, split, makePrecision(root, split, videos()));
      },
      confusions: () => new Confusion(root, split, videos()),
      features: () => makeMaps(root, split, videos()),
    };
    for (const section of root.querySelectorAll("[data-section]")) {
      waiting.set(section, () => {
        for (const table of section.querySelectorAll("table.sortable:not(.classes)")) makeSortable(table);
        parts[section.dataset.section]?.();
        for (const figure of section.querySelectorAll("[data-chart]")) makeReadable(figure);
        for (const spot of section.querySelectorAll("[data-words]")) pointing(spot, (event) => showTip(event, spot.dataset.words.split("\n")), hideTip);
        for (const frame of section.querySelectorAll(".scroll")) frames.observe(frame);
      });
      nearby.observe(section);
    }
  }
  for (const tail of document.querySelectorAll("[data-tail]")) tail.hidden = tail.dataset.tail !== tag;
  // The links at the top lead into the split that is shown.
  for (const section of document.querySelectorAll("[data-section]")) {
    if (section.parentElement.dataset.split === tag) section.id = section.dataset.section;
    else section.removeAttribute("id");
  }
  soon(makeRest, { timeout: 100 });
}

open(document.querySelector("[data-split]").dataset.split);
document.getElementById("which-split")?.addEventListener("change", (event) => open(event.target.value));
for (const figure of document.querySelectorAll("#training [data-chart]")) makeReadable(figure);
for (const table of document.querySelectorAll(".mean table.sortable")) makeSortable(table);
for (const frame of document.querySelectorAll(".mean .scroll")) frames.observe(frame);

document.getElementById("theme").addEventListener("click", repaint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
matchMedia("print").addEventListener("change", () => {
  for (const target of painted.keys()) near.add(target);
  repaint();
});
