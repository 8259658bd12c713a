"use strict";
// Everything on the page is made with textContent and setAttribute: a name is never read as HTML.
const numbers = JSON.parse(document.getElementById("numbers").textContent);
// What is shown later is read later: it is the larger half of the page.
let detail = () => {
  const known = JSON.parse(document.getElementById("detail").textContent);
  detail = () => known;
  return known;
};

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function shape(tag, attributes = {}) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const percent = (value, digits = 2) => (value == null ? "–" : (100 * value).toFixed(digits));
const points = (value, digits = 2) =>
  value == null ? "–" : (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(100 * value).toFixed(digits);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function options(select, names, chosen) {
  select.replaceChildren(...names.map((name, i) => {
    const option = element("option", { value: i }, name);
    option.selected = i === chosen;
    return option;
  }));
}

// A colour of the style sheet as [r, g, b] 0..255, for canvases.
const probe = document.body.appendChild(element("span", { hidden: "" }));
const dot = element("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
function colour(name) {
  probe.style.color = `var(--${name})`;
  dot.fillStyle = getComputedStyle(probe).color;
  dot.fillRect(0, 0, 1, 1);
  return [...dot.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}
const css = (rgb, alpha = 1) => `rgb(${rgb.join(" ")} / ${alpha})`;

const tip = document.getElementById("tip");
function showTip(event, rows) {
  tip.replaceChildren(...rows.map((row) => element("div", {}, ...[].concat(row).map((text) => element("span", {}, String(text))))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const right = event.clientX + 16 + box.width > innerWidth;
  tip.style.left = `${clamp(right ? event.clientX - box.width - 12 : event.clientX + 16, 4, innerWidth - box.width - 4)}px`;
  tip.style.top = `${clamp(event.clientY + 16, 4, innerHeight - box.height - 4)}px`;
}
const hideTip = () => { tip.hidden = true; };

// Canvases are drawn when they first come into view, and again when size or colours change.
const painted = new Map();
const near = new WeakSet();
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) { near.add(target); painted.get(target)(); }
}, { rootMargin: "300px" });
const sized = new ResizeObserver((entries) => {
  for (const entry of entries) if (entry.contentRect.width) painted.get(entry.target)?.();
});
function paint(canvas, draw) {
  painted.set(canvas, draw);
  seen.observe(canvas);
  sized.observe(canvas.parentElement);
  painted.set(canvas.parentElement, () => { if (near.has(canvas)) draw(); });
}
const repaint = () => { for (const draw of new Set(painted.values())) draw(); };

// A canvas with `ratio` of height to width, sharp on any screen; its context in CSS pixels.
function sharp(canvas, ratio) {
  const width = canvas.clientWidth;
  const height = Math.round(width * ratio);
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  canvas.dataset.drawn = "yes";
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// A table that is wider than its frame says so above it.
const frames = new ResizeObserver((entries) => { for (const entry of entries) sayWider(entry.target); });
function sayWider(frame) {
  const wider = frame.scrollWidth > frame.clientWidth + 4;
  let hint = frame.previousElementSibling;
  if (!hint?.classList.contains("scroll-hint")) {
    if (!wider) return;
    hint = element("p", { class: "scroll-hint" }, "Scroll sideways for more \u2192");
    frame.before(hint);
  }
  hint.hidden = !wider;
}

// Fingers have no way to point without touching.
function pointing(target, at, leave) {
  target.addEventListener("pointermove", at);
  target.addEventListener("pointerdown", at);
  target.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") leave(event); });
}
addEventListener("scroll", () => { hideTip(); }, { passive: true });
