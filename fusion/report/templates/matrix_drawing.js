"use strict";
// A matrix as a picture: C x C pixels, drawn as large as the view wants it.

const light = ([red, green, blue]) => 0.3 * red + 0.6 * green + 0.1 * blue;
const mixed = (paper, ink, depth) => paper.map((part, k) => part + depth * (ink[k] - part));

// A canvas with a pixel a pair of classes: what is good in one colour, what is bad in another.
function matrixPicture(counts, classes) {
  const n = classes.length;
  const paper = colour("card");
  const inks = Object.fromEntries(["c0", "up", "down"].map((each) => [each, colour(each)]));
  const canvas = element("canvas", { width: n, height: n });
  const context = canvas.getContext("2d");
  const image = context.createImageData(n, n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
    const ink = inks[counts.ink(classes[i], classes[j])];
    image.data.set([...mixed(paper, ink, counts.depth(classes[i], classes[j])), 255], 4 * (i * n + j));
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// Draw the part that the view shows. Gives where its cells lie: {gutter, cell, side}, in pixels.
function drawMatrix(canvas, picture, counts, view, names) {
  const { context, width } = sharp(canvas, 1);
  const place = matrixPlace(context, width, view, names);
  const { gutter, cell, side } = place;
  context.imageSmoothingEnabled = cell < 1;
  context.drawImage(picture, view.from[1], view.from[0], view.span, view.span, gutter, gutter, side, side);
  drawGrid(context, place, view.span);
  if (gutter) drawNames(context, place, view, names);
  if (cell >= 24) drawCounts(context, place, view, counts);
  if (view.cursor) drawCursor(context, place, view);
  return place;
}

// Names stand in a gutter where the cells are large enough for them.
function matrixPlace(context, width, view, names) {
  const whole = width / view.span;
  context.font = `${clamp(whole * 0.55, 9, 12)}px system-ui, "DejaVu Sans", sans-serif`;
  const seen = view.shown.slice(view.from[0], view.from[0] + view.span);
  const longest = Math.max(...seen.map((each) => context.measureText(names[each]).width));
  const gutter = whole * 0.8 >= 11 ? Math.min(longest + 10, width * 0.27) : 0;
  return { width, gutter, side: width - gutter, cell: (width - gutter) / view.span };
}

function drawGrid(context, { width, gutter, cell, side }, span) {
  context.strokeStyle = css(colour("line"), cell > 12 ? 1 : 0);
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i <= span; i++) {
    const at = Math.round(gutter + i * cell) + 0.5;
    context.moveTo(at, gutter); context.lineTo(at, width);
    context.moveTo(gutter, at); context.lineTo(width, at);
  }
  context.stroke();
  context.strokeStyle = css(colour("line"));
  context.strokeRect(gutter + 0.5, gutter + 0.5, side - 1, side - 1);
}

function drawNames(context, { gutter, cell }, view, names) {
  const [ink, soft] = [colour("ink"), colour("soft")];
  context.textBaseline = "middle";
  for (let i = 0; i < view.span; i++) for (const axis of [0, 1]) {
    const at = gutter + (i + 0.5) * cell;
    context.save();
    context.fillStyle = css(view.cursor?.[axis] === view.from[axis] + i ? ink : soft);
    if (axis === 0) context.translate(gutter - 5, at);
    else { context.translate(at, gutter - 5); context.rotate(Math.PI / 2); }
    context.textAlign = "right";
    context.fillText(shortened(context, names[view.classAt(axis, i)], gutter - 8), 0, 0);
    context.restore();
  }
}

function shortened(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}

function drawCounts(context, { gutter, cell }, view, counts) {
  const [ink, paper] = ["ink", "card"].map(colour);
  const inks = Object.fromEntries(["c0", "up", "down"].map((each) => [each, colour(each)]));
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let i = 0; i < view.span; i++) for (let j = 0; j < view.span; j++) {
    const [row, column] = [view.classAt(0, i), view.classAt(1, j)];
    if (!counts.of(row, column)) continue;
    const back = mixed(paper, inks[counts.ink(row, column)], counts.depth(row, column));
    const far = (one) => Math.abs(light(one) - light(back));
    context.fillStyle = css(far(paper) > far(ink) ? paper : ink);
    context.fillText(counts.text(row, column), gutter + (j + 0.5) * cell, gutter + (i + 0.5) * cell);
  }
}

function drawCursor(context, { width, gutter, cell }, view) {
  const [i, j] = view.cursor.map((at, k) => at - view.from[k]);
  if (i < 0 || j < 0 || i >= view.span || j >= view.span) return;
  const ink = colour("ink");
  context.fillStyle = css(ink, 0.09);
  context.fillRect(gutter, gutter + i * cell, width - gutter, Math.max(cell, 1));
  context.fillRect(gutter + j * cell, gutter, Math.max(cell, 1), width - gutter);
  context.strokeStyle = css(ink);
  context.lineWidth = 2;
  const wide = Math.max(cell, 5);
  context.strokeRect(gutter + (j + 0.5) * cell - wide / 2, gutter + (i + 0.5) * cell - wide / 2, wide, wide);
}
