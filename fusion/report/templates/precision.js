"use strict";
// Precision over recall of one class: the table shown, the one it is held against, the others pale.

// Gives a function (class, table) that shows them.
function makePrecision(root, split, videos) {
  const figure = root.querySelector(".precision");
  const pick = root.querySelector(".pick-curve");
  const [pickShown, pickOther] = [root.querySelector(".pick-shown"), root.querySelector(".pick-other")];
  const known = split.classes.map((_, c) => c).filter((c) => videos.precision[0][c]);
  const [width, height, left, right, top, bottom] = [460, 300, 48, 12, 12, 42];
  const levels = videos.precision[0][known[0]].length;
  const px = (recall) => left + recall * (width - right - left);
  const py = (precision) => height - bottom - precision * (height - bottom - top);
  for (const c of known) pick.append(element("option", { value: c }, split.classes[c]));

  // The most uncertain class of the table that the page opens with is the most telling.
  const shown = split.tables.find((table) => table.name === split.shown).per_class.average_precision;
  pick.value = known.reduce((least, c) => (shown[c] < shown[least] ? c : least), known[0]);

  function path(values) {
    return values.map((value, i) => `${i ? "H" : "M"}${i ? "" : px(0)}${i ? "" : ` ${py(value / 100)}H`}${px((i + 1) / levels)}${
      i + 1 < levels ? `V${py(values[i + 1] / 100)}` : ""}`).join("");
  }

  function axes(svg) {
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      svg.append(shape("path", { class: "grid", d: `M${left} ${py(tick)}H${width - right}` }));
      const y = shape("text", { class: "tick end", x: left - 6, y: py(tick) + 4 });
      const x = shape("text", { class: "tick mid", x: px(tick), y: height - bottom + 16 });
      y.textContent = x.textContent = 100 * tick;
      svg.append(x, y);
    }
    const name = shape("text", { class: "axis-name mid", x: px(0.5), y: height - 6 });
    name.textContent = "recall, %";
    svg.append(shape("path", { class: "axis", d: `M${left} ${py(0)}H${width - right}` }), name);
  }

  function draw() {
    const c = Number(pick.value);
    const svg = shape("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", `Precision over recall of ${split.classes[c]}`);
    axes(svg);
    const chosen = [...new Set([Number(pickShown.value), Number(pickOther.value)])];
    for (const [t] of split.tables.entries()) {
      if (!chosen.includes(t)) svg.append(shape("path", { class: "line pale", d: path(videos.precision[t][c]) }));
    }
    for (const [k, t] of [...chosen.entries()].reverse()) {
      svg.append(shape("path", { class: `line s${k}`, d: path(videos.precision[t][c]) }));
    }
    figure.querySelector("figcaption").replaceChildren("Precision % of ", element("span", { class: "name" }, split.classes[c]));
    figure.querySelector(".plot-area").replaceChildren(svg);
    const item = (k, t) => element("li", { class: `s${k}` }, element("i"), element("span", { class: "name" }, split.tables[t].name),
      ` AP ${percent(split.tables[t].per_class.average_precision[c], 1)} %`);
    const others = split.tables.length - chosen.length;
    figure.querySelector(".legend").replaceChildren(...chosen.map((t, k) => item(k, t)),
      ...(others ? [element("li", { class: "pale" }, element("i"), others === 1 ? "the other system" : `${others} other systems`)] : []));
  }
  for (const select of [pick, pickShown, pickOther]) select.addEventListener("change", draw);
  draw();
  return (c, name) => {
    pick.value = c;
    pickShown.value = split.tables.findIndex((table) => table.name === name);
    pickShown.dispatchEvent(new Event("change"));
    figure.scrollIntoView({ block: "nearest" });
  };
}
