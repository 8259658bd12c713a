"use strict";
// Accuracy of each class in one table against another.

function makeClasses(root, split) {
  const pickShown = root.querySelector(".pick-shown");
  const pickOther = root.querySelector(".pick-other");
  const find = root.querySelector(".find-class");
  const table = root.querySelector("table.classes");
  const names = split.tables.map((each) => each.name);
  const other = split.compared_with ?? names.find((name) => name !== split.shown) ?? split.shown;
  options(pickShown, names, names.indexOf(split.shown));
  options(pickOther, names, names.indexOf(other));
  makeSortable(table);

  function gains() {
    const shown = split.tables[pickShown.value].per_class;
    const against = split.tables[pickOther.value].per_class;
    return split.classes.map((name, i) => ({
      name, i,
      videos: shown.videos[i],
      shown: shown.recall[i],
      other: against.recall[i],
      precision: shown.precision[i],
      average: shown.average_precision[i],
      gain: shown.recall[i] == null ? null : shown.recall[i] - against.recall[i],
    }));
  }

  function bar(row) {
    const track = element("div", { class: "track" });
    if (row.shown != null) {
      const low = Math.min(row.shown, row.other);
      const high = Math.max(row.shown, row.other);
      const both = element("i", { class: "both" });
      both.style.width = `${100 * low}%`;
      const change = element("i", { class: row.gain > 0 ? "gained" : "missed" });
      change.style.left = `${100 * low}%`;
      change.style.width = `${100 * (high - low)}%`;
      track.append(both, change);
    }
    return track;
  }

  function render() {
    const rows = gains();
    const shownName = names[pickShown.value];
    const otherName = names[pickOther.value];
    const count = (test) => rows.filter((row) => row.gain != null && test(row.gain)).length;
    const balance = root.querySelector(".class-balance");
    const say = (number, one, several) => `${number} ${number === 1 ? one : several}`;
    const up = element("b", { class: "up" }, say(count((g) => g > 0), "class improves", "classes improve"));
    const down = element("b", { class: "down" }, say(count((g) => g < 0), "gets worse", "get worse"));
    const absent = rows.filter((row) => row.gain == null).length;
    balance.replaceChildren(
      up, ", ", down, `, ${say(count((g) => g === 0), "stays", "stay")} the same: `,
      element("span", { class: "name" }, shownName), " against ", element("span", { class: "name" }, otherName),
      absent ? `. ${say(absent, "class has", "classes have")} no video here.` : ".",
    );
    table.tBodies[0].replaceChildren(...rows.map((row) => {
      const cell = (value, text, name) => {
        const node = element("td", { "data-value": value ?? "" }, text);
        if (name) node.className = name;
        return node;
      };
      const line = element("tr", { "data-class": row.i });
      const drawn = cell(row.shown, "", "wide");
      drawn.append(bar(row));
      line.append(
        element("th", { scope: "row", class: "name" }, row.name), drawn,
        cell(row.shown, percent(row.shown, 1)), cell(row.other, percent(row.other, 1)),
        cell(row.gain, points(row.gain, 1), row.gain > 0 ? "up" : row.gain < 0 ? "down" : ""),
        cell(row.precision, percent(row.precision, 1)), cell(row.average, percent(row.average, 1)),
        cell(row.videos, row.videos),
      );
      return line;
    }));
    sortBy(table, 4, false);
    skyline(rows);
    filter();
  }

  // All classes' gains side by side, the largest first; a unit a class would be drawn blurred.
  function skyline(rows) {
    const known = rows.filter((row) => row.gain != null).sort((a, b) => b.gain - a.gain);
    const most = Math.max(0, ...known.map((row) => row.gain));
    const least = Math.min(0, ...known.map((row) => row.gain));
    const scale = 98 / Math.max(most - least, 0.05);
    const zero = 1 + most * scale;
    const svg = shape("svg", { viewBox: `0 0 ${50 * Math.max(known.length, 1)} 100`, preserveAspectRatio: "none", role: "img", "aria-label": "Gain of every class, the largest first" });
    for (const [i, row] of known.entries()) {
      const height = Math.max(scale * Math.abs(row.gain), 0.8);
      const kind = row.gain > 0 ? "gains" : row.gain < 0 ? "losses" : "equal";
      const rect = shape("rect", { x: 50 * i + 5, width: 40, y: row.gain > 0 ? zero - height : zero, height, class: kind });
      rect.addEventListener("pointermove", (event) => showTip(event, [row.name, [`${percent(row.other, 1)} → ${percent(row.shown, 1)} %`, points(row.gain, 1)]]));
      rect.addEventListener("pointerleave", hideTip);
      rect.addEventListener("click", () => {
        find.value = "";
        filter();
        table.querySelector(`tr[data-class="${row.i}"]`).scrollIntoView({ block: "center" });
      });
      svg.append(rect);
    }
    svg.append(shape("path", { class: "axis", d: `M0 ${zero}H${50 * known.length}` }));
    const card = root.querySelector(".skyline");
    card.style.maxWidth = `${80 * known.length + 30}px`;
    card.replaceChildren(svg);
  }

  function filter() {
    const wanted = find.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  }

  pickShown.addEventListener("change", render);
  pickOther.addEventListener("change", render);
  find.addEventListener("input", filter);
  render();
}
