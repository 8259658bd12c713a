"use strict";
// The ranking against a system of choice, and all pairs as a matrix.

// What is known of a row against a column, whichever of the two the pair was stored under.
class Pairs {
  constructor(pairs) {
    this.known = new Map();
    for (const pair of pairs) {
      this.known.set(JSON.stringify([pair.name, pair.against]), pair);
      const turned = { value: -pair.gain.value, low: minus(pair.gain.high), high: minus(pair.gain.low) };
      this.known.set(JSON.stringify([pair.against, pair.name]), { ...pair, gain: turned, won: pair.lost, lost: pair.won });
    }
  }

  of(row, column) { return this.known.get(JSON.stringify([row, column])); }
}
const minus = (value) => (value == null ? null : -value);

const shortP = (p) => (p < 1e-4 ? "< 0.0001" : p < 0.1 ? p.toPrecision(2) : p.toFixed(2));

function makeSystems(root, split) {
  if (!split.ranking) return;
  const names = split.ranking.systems.map((row) => row.name);
  const pairs = new Pairs(split.pairs);
  const reference = root.querySelector(".pick-reference");
  const first = split.compared_with ?? (names.length > 1 ? split.tables.find((t) => t.name !== names[0]).name : names[0]);
  options(reference, names, names.indexOf(first));

  function fill() {
    const other = names[reference.value];
    for (const row of root.querySelectorAll(".ranking tbody tr")) {
      const pair = pairs.of(row.dataset.name, other);
      const set = (kind, value, ...content) => {
        const cell = row.querySelector(kind);
        cell.dataset.value = value ?? "";
        cell.replaceChildren(...content);
        return cell;
      };
      if (!pair) {
        for (const kind of [".ref-gain", ".ref-p", ".ref-won"]) set(kind, null, "–");
        continue;
      }
      const { value, low, high } = pair.gain;
      const reach = low == null ? "" : element("span", { class: "reach" }, `${points(low, 1)} to ${points(high, 1)}`);
      const cell = set(".ref-gain", value, points(value, 2), reach);
      cell.className = `ref-gain ${value > 0 ? "up" : value < 0 ? "down" : ""}${pair.p_holm >= 0.05 ? " doubtful" : ""}`;
      set(".ref-p", pair.p_holm, shortP(pair.p_holm));
      set(".ref-won", pair.won - pair.lost, `${pair.won} / ${pair.lost}`);
    }
  }
  reference.addEventListener("change", fill);
  fill();
  if (root.querySelector(".pair-matrix")) makeMatrix(root, split, names, pairs);
}

// What a cell can show: its value, its text, how deep its colour is, and what the note says.
const VIEWS = {
  gain: {
    value: (pair) => pair.gain.value, text: (v) => points(v, 1), signed: true,
    note: "Green: the row is more accurate than the column. Pale: chance may explain it.",
  },
  p: { value: (pair) => pair.p_holm, text: (v) => (v < 0.0001 ? "0" : v < 0.095 ? v.toPrecision(1) : v.toFixed(1)), depth: (v) => (v < 0.05 ? 1 : 0), note: "Deep: can be told apart at 5 %." },
  won: { value: (pair) => pair.won, text: (v) => String(v), note: "Down a column: where others know what this one does not." },
  disagree: { value: (pair) => pair.disagree, text: (v) => percent(v, 0), note: "How often the two give different answers, right or wrong." },
  together: {
    value: (pair, best) => (pair.together == null ? null : pair.together - best(pair)), text: (v) => points(v, 1), signed: true,
    note: "What averaging the two with equal weights gives, beyond the better one of them. Nothing is fitted, but the highest of many is high by luck, too.",
  },
};

function makeMatrix(root, split, names, pairs) {
  const table = root.querySelector(".pair-matrix");
  const pick = root.querySelector(".pick-pairs");
  const accuracy = new Map(split.ranking.systems.map((row) => [row.name, row.accuracy]));
  const best = (pair) => Math.max(accuracy.get(pair.name), accuracy.get(pair.against));
  const name = (text) => element("span", { class: "name" }, text);
  const head = element("tr", {}, element("td"), ...names.map((each, i) =>
    element("th", { scope: "col", title: each }, String(i + 1))));
  const cells = names.map(() => []);
  const rows = names.map((row, i) => element("tr", {},
    element("th", { scope: "row" }, `${i + 1} `, name(row)),
    ...names.map((column, j) => {
      const cell = element("td");
      cells[i].push(cell);
      if (i !== j) pointing(cell, (event) => tell(event, row, column), hideTip);
      return cell;
    })));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));

  function tell(event, row, column) {
    const pair = pairs.of(row, column);
    const reach = pair.gain.low == null ? "" : ` (${points(pair.gain.low, 1)} to ${points(pair.gain.high, 1)})`;
    const lines = [
      `${row} against ${column}`,
      ["gain", `${points(pair.gain.value)}${reach}`],
      ["p after Holm", shortP(pair.p_holm)],
      ["won / lost", `${pair.won} / ${pair.lost}`],
      ["different answers", `${percent(pair.disagree, 1)} %`],
    ];
    if (pair.together != null) lines.push(["together", `${percent(pair.together, 1)} %`]);
    showTip(event, lines);
  }

  function fill() {
    const view = VIEWS[pick.value];
    root.querySelector(".pairs-note").textContent = view.note;
    const values = names.map((row) => names.map((column) => {
      const pair = pairs.of(row, column);
      return pair ? view.value(pair, best) : null;
    }));
    const known = values.flat().filter((value) => value != null);
    const most = Math.max(...known.map(Math.abs), 1e-9);
    for (const [i, line] of values.entries()) for (const [j, value] of line.entries()) {
      const cell = cells[i][j];
      cell.textContent = value == null ? (i === j ? "" : "–") : view.text(value);
      const depth = value == null ? 0 : view.depth ? view.depth(value) : Math.abs(value) / most;
      const doubtful = pick.value === "gain" && value != null && pairs.of(names[i], names[j]).p_holm >= 0.05;
      cell.style.setProperty("--depth", `${Math.round((doubtful ? 14 : 62) * depth)}%`);
      cell.className = i === j ? "self" : !view.signed ? "plain" : value > 0 ? "more" : "less";
    }
  }
  pick.addEventListener("change", fill);
  fill();
}
