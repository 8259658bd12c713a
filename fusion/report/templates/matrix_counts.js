"use strict";
// How often each class is taken for each other one, in one table, or how much more than in another.
class MatrixCounts {
  constructor(table, classes, other = null) {
    this.size = classes;
    this.signed = other !== null;
    this.recall = table.per_class.recall;
    this.videos = table.per_class.videos;
    this.cells = new Int32Array(classes * classes);
    for (const [row, column, count] of table.confusion) this.cells[row * classes + column] += count;
    for (const [row, column, count] of other?.confusion ?? []) this.cells[row * classes + column] -= count;
    const changed = [...(other?.confusion ?? []), ...table.confusion].map(([row, column]) => row * classes + column);
    this.triples = [...new Set(changed)].filter((at) => this.cells[at])
      .map((at) => [Math.floor(at / classes), at % classes, this.cells[at]]);
  }

  // Whether the cell speaks for the table: right answers, or, of two tables, more of them or fewer mistakes.
  good(row, column) { return (row === column) === (!this.signed || this.of(row, column) > 0); }

  // Its colour: blue and red for one table, green and red for two.
  ink(row, column) { return this.good(row, column) ? (this.signed ? "up" : "c0") : "down"; }

  text(row, column) {
    const count = this.of(row, column);
    return this.signed ? `${count > 0 ? "+" : "\u2212"}${Math.abs(count)}` : String(count);
  }

  of(row, column) { return this.cells[row * this.size + column]; }

  // The root lets one video of fifty be seen beside the forty that were right.
  depth(row, column) {
    const count = this.of(row, column);
    return count ? 0.12 + 0.88 * Math.min(1, Math.sqrt(Math.abs(count) / this.videos[row])) : 0;
  }

  // All classes: as listed, those that are confused side by side, or the worst first.
  inOrder(name, similar) {
    if (name === "similar") return [...similar];
    const listed = [...this.videos.keys()];
    return name === "accuracy" ? listed.sort((a, b) => (this.recall[a] ?? 2) - (this.recall[b] ?? 2)) : listed;
  }

  // [row, column, count] of the most frequent mistakes, or of those that changed most.
  mistakes(most) {
    const wrong = this.triples.filter(([row, column]) => row !== column);
    const much = ([row, , count]) => [Math.abs(count), Math.abs(count) / this.videos[row]];
    wrong.sort((a, b) => much(b)[0] - much(a)[0] || much(b)[1] - much(a)[1]);
    return wrong.slice(0, most);
  }

  // Two classes, and those that they are confused with most often.
  neighbours(row, column, most) {
    const shared = (k) => [[row, k], [k, row], [column, k], [k, column]].reduce((sum, [i, j]) => sum + Math.abs(this.of(i, j)), 0);
    const others = [...this.videos.keys()].filter((k) => k !== row && k !== column && shared(k) > 0);
    others.sort((a, b) => shared(b) - shared(a));
    return new Set([row, column, ...others.slice(0, most)]);
  }
}
