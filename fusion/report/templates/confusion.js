"use strict";
// The confusion matrix of a split, the mistakes beside it, and what pointer and keys do with them.
class Confusion {
  constructor(root, split, videos) {
    Object.assign(this, { root, split, videos, names: split.classes });
    this.canvas = root.querySelector(".matrix canvas");
    this.pickMatrix = root.querySelector(".pick-matrix");
    this.pickOrder = root.querySelector(".pick-order");
    const tables = split.tables.map((each) => each.name);
    options(this.pickMatrix, tables, tables.indexOf(split.shown));
    this.pickLess = root.querySelector(".pick-less"); // absent with one table
    if (this.pickLess) options(this.pickLess, ["none", ...tables], 0);
    // Few classes need no more room than their names and counts.
    this.canvas.style.maxWidth = `${clamp(110 + 70 * this.names.length, 240, 720)}px`;
    this.choose();
    this.listen();
    paint(this.canvas, () => { this.picture = null; this.draw(); });
  }

  choose() {
    const other = this.split.tables[(this.pickLess?.value ?? 0) - 1] ?? null;
    this.counts = new MatrixCounts(this.split.tables[this.pickMatrix.value], this.names.length, other);
    this.root.querySelector(".side h3").textContent = other ? "Most changed" : "Most confused";
    this.arrange();
    this.listMistakes();
    this.root.querySelector(".cell-videos").replaceChildren();
  }

  arrange() {
    this.order = this.counts.inOrder(this.pickOrder.value, this.videos.similar);
    this.look(this.order);
  }

  look(classes) {
    if (this.view) this.view.look(classes);
    else this.view = new MatrixView(classes);
    this.picture = null;
    this.draw();
  }

  draw() {
    if (!near.has(this.canvas) || !this.canvas.clientWidth) return;
    this.picture ??= matrixPicture(this.counts, this.view.shown);
    this.place = drawMatrix(this.canvas, this.picture, this.counts, this.view, this.names);
  }

  moveTo(i, j) {
    this.view.moveTo(i, j);
    this.draw();
    this.readOut();
  }

  zoom(factor, centre) {
    this.view.zoom(factor, centre);
    this.draw();
  }

  // A pair, among the classes that it is confused with.
  around(row, column) {
    const near = this.counts.neighbours(row, column, 8);
    this.look(this.order.filter((each) => near.has(each)));
    this.moveTo(this.view.shown.indexOf(row), this.view.shown.indexOf(column));
    this.listVideos();
  }

  // [row, column] in the whole matrix under the pointer; null outside.
  cellAt(event) {
    if (!this.place) return null;
    const box = this.canvas.getBoundingClientRect();
    const at = [event.clientY - box.top, event.clientX - box.left].map((pixel) =>
      Math.floor((pixel - this.place.gutter) / this.place.cell));
    return at.some((index) => index < 0 || index >= this.view.span) ? null : at.map((index, k) => this.view.from[k] + index);
  }

  readOut() {
    if (!this.view.pair) return;
    const [row, column] = this.view.pair;
    const [count, all] = [this.counts.of(row, column), this.counts.videos[row]];
    const bold = (each) => element("b", { class: "name" }, this.names[each]);
    const share = all ? ` (${this.counts.signed ? points(count / all, 1) : percent(count / all, 1)} %)` : "";
    const number = count ? this.counts.text(row, column) : "0";
    const readout = this.root.querySelector(".readout");
    readout.replaceChildren(...(row === column
      ? [bold(row), `: ${number} of ${all} right${share}.`]
      : [bold(row), " taken for ", bold(column), `: ${number} of ${all}${share}.`]));
    readout.dataset.count = count;
  }

  listVideos() {
    if (!this.view.pair) return;
    const [row, column] = this.view.pair;
    const predicted = this.videos.predicted[this.pickMatrix.value];
    const sure = this.videos.permille[this.pickMatrix.value]; // null: scores that are no probabilities
    const rows = [...predicted.keys()].filter((v) => this.videos.labels[v] === row && predicted[v] === column);
    if (sure) rows.sort((a, b) => sure[b] - sure[a]);
    const name = (text) => element("span", { class: "name" }, text);
    const item = (v) => element("li", {}, name(this.videos.videos[v]), sure ? ` ${(sure[v] / 10).toFixed(0)} %` : "");
    this.root.querySelector(".cell-videos").replaceChildren(
      element("b", {}, `${rows.length} videos of `, name(this.names[row]), " called ", name(this.names[column])),
      element("ul", {}, ...rows.slice(0, 200).map(item)),
    );
  }

  listMistakes() {
    const items = this.counts.mistakes(30).map(([row, column]) => {
      const name = (each) => element("span", { class: "name" }, this.names[each]);
      const button = element("button", { type: "button" },
        name(row), element("span", { class: this.counts.good(row, column) ? "num up" : "num" }, `${this.counts.text(row, column)} of ${this.counts.videos[row]}`),
        element("span", { class: "to" }, "taken for ", name(column)));
      button.addEventListener("click", () => this.around(row, column));
      return element("li", {}, button);
    });
    const none = element("li", { class: "note" }, "Nothing is confused.");
    this.root.querySelector(".pairs").replaceChildren(...(items.length ? items : [none]));
  }

  listen() {
    const { canvas, root } = this;
    canvas.addEventListener("pointermove", (event) => this.point(this.cellAt(event)));
    canvas.addEventListener("click", (event) => {
      const at = this.cellAt(event);
      if (at) { this.moveTo(...at); this.listVideos(); }
    });
    canvas.addEventListener("dblclick", () => this.zoom(0.4));
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== canvas) return; // else the page could not be scrolled past
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 0.8 : 1.25, this.cellAt(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => { if (this.press(event.key)) event.preventDefault(); });
    root.querySelector(".whole").addEventListener("click", () => this.look(this.order));
    root.querySelector(".nearer").addEventListener("click", () => this.zoom(0.6));
    root.querySelector(".farther").addEventListener("click", () => this.zoom(1.6));
    this.pickOrder.addEventListener("change", () => this.arrange());
    this.pickMatrix.addEventListener("change", () => this.choose());
    this.pickLess?.addEventListener("change", () => this.choose());
  }

  point(at) {
    if (!at || at.every((index, k) => index === this.view.cursor?.[k])) return;
    this.view.cursor = at;
    requestAnimationFrame(() => this.draw());
    this.readOut();
  }

  // Whether the key means something here.
  press(key) {
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const zooms = { "+": 0.6, "=": 0.6, "-": 1.6 };
    if (key in ways) {
      this.view.step(...ways[key]);
      this.draw();
      this.readOut();
    } else if (key in zooms) this.zoom(zooms[key]);
    else if (key === "Enter" || key === " ") this.listVideos();
    else if (key === "Escape") this.look(this.order);
    else return false;
    return true;
  }
}
