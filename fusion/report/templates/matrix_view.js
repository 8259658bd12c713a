"use strict";
// Which classes of a matrix are shown, which part of them, and where the cursor stands.
class MatrixView {
  constructor(classes) { this.look(classes); }

  look(classes) {
    this.shown = classes;
    this.from = [0, 0];
    this.span = classes.length;
    this.cursor = null;
  }

  // The class in row i or column j of the part that is seen; axis 0 is the row.
  classAt(axis, index) { return this.shown[this.from[axis] + index]; }

  get pair() { return this.cursor && this.cursor.map((at) => this.shown[at]); }

  moveTo(i, j) {
    const last = this.shown.length - 1;
    this.cursor = [clamp(i, 0, last), clamp(j, 0, last)];
    this.from = this.from.map((start, k) => clamp(start, this.cursor[k] - this.span + 1, this.cursor[k]));
  }

  step(down, right) {
    const [i, j] = this.cursor ?? this.from;
    this.moveTo(this.cursor ? i + down : i, this.cursor ? j + right : j);
  }

  // `centre`, a place of the whole matrix, stays where it is on the screen.
  zoom(factor, centre) {
    const fixed = centre ?? this.cursor ?? this.from.map((start) => start + this.span / 2);
    const wanted = clamp(Math.round(this.span * factor), Math.min(4, this.shown.length), this.shown.length);
    this.from = this.from.map((start, k) => {
      const share = (fixed[k] - start) / this.span;
      return clamp(Math.round(fixed[k] - share * wanted), 0, this.shown.length - wanted);
    });
    this.span = wanted;
  }
}
