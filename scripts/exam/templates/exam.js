"use strict";
// A proof opens beside its cell, inside the window, and only one at a time.
const cells = [...document.querySelectorAll("details.cell")];
function place(cell) {
  const proof = cell.querySelector(".proof");
  if (getComputedStyle(proof).position === "fixed" && matchMedia("(max-width: 760px)").matches) return;
  const at = cell.getBoundingClientRect();
  proof.style.position = "fixed";
  const { width, height } = proof.getBoundingClientRect();
  const below = at.bottom + 6 + height <= innerHeight;
  proof.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  proof.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - height - 6)}px`;
}
for (const cell of cells) {
  cell.addEventListener("toggle", () => {
    if (!cell.open) return;
    for (const other of cells) if (other !== cell) other.open = false;
    place(cell);
  });
}
function closeAll() {
  for (const cell of cells) cell.open = false;
}
document.addEventListener("click", (event) => {
  if (!event.target.closest("details.cell")) closeAll();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeAll();
});
addEventListener("scroll", closeAll, { passive: true, capture: true });
document.documentElement.dataset.ready = "yes";
