"use strict";
// How often each class is taken for each other one, in one table.
class MatrixCounts {
  constructor(table, classes) {
    this.size = classes;
    this.triples = table.confusion;
    this.recall = table.per_class.recall;
    this.cells = new Int32Array(classes * classes);
    this.videos = new Int32Array(classes);
    for (const [row, column, count] of this.triples) {
      this.cells[row * classes + column] = count;
      this.videos[row] += count;
    }
  }

  of(row, column) { return this.cells[row * this.size + column]; }

  // The root lets one video of fifty be seen beside the forty that were right.
  depth(row, column) {
    const count = this.of(row, column);
    return count ? 0.12 + 0.88 * Math.sqrt(count / this.videos[row]) : 0;
  }

  // All classes: as listed, those that are confused side by side, or the worst first.
  inOrder(name, similar) {
    if (name === "similar") return [...similar];
    const listed = [...this.videos.keys()];
    return name === "accuracy" ? listed.sort((a, b) => (this.recall[a] ?? 2) - (this.recall[b] ?? 2)) : listed;
  }

  // [row, column, count] of the most frequent mistakes.
  mistakes(most) {
    const wrong = this.triples.filter(([row, column]) => row !== column);
    wrong.sort((a, b) => b[2] - a[2] || b[2] / this.videos[b[0]] - a[2] / this.videos[a[0]]);
    return wrong.slice(0, most);
  }

  // Two classes, and those that they are confused with most often.
  neighbours(row, column, most) {
    const shared = (k) => this.of(row, k) + this.of(k, row) + this.of(column, k) + this.of(k, column);
    const others = [...this.videos.keys()].filter((k) => k !== row && k !== column && shared(k) > 0);
    others.sort((a, b) => shared(b) - shared(a));
    return new Set([row, column, ...others.slice(0, most)]);
  }
}
