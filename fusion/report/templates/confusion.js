"use strict";
// The confusion matrix: a picture of C x C pixels, drawn as large as the view wants it.

function makeConfusion(root, split, videos) {
  const canvas = root.querySelector(".matrix canvas");
  const readout = root.querySelector(".readout");
  const pickMatrix = root.querySelector(".pick-matrix");
  const pickOrder = root.querySelector(".pick-order");
  const lists = root.querySelector(".cell-videos");
  const names = split.classes;
  const size = names.length;
  options(pickMatrix, split.tables.map((each) => each.name), split.tables.findIndex((each) => each.name === split.shown));

  let counts, rowSums, order, shown, cursor = null, picture = null;
  let from = [0, 0], span = size, geometry = null;

  function load() {
    counts = new Int32Array(size * size);
    rowSums = new Int32Array(size);
    for (const [row, column, n] of split.tables[pickMatrix.value].confusion) {
      counts[row * size + column] = n;
      rowSums[row] += n;
    }
  }

  function arrange() {
    const recall = split.tables[pickMatrix.value].per_class.recall;
    order = [...names.keys()];
    if (pickOrder.value === "similar") order = [...videos.similar];
    if (pickOrder.value === "accuracy") order.sort((a, b) => (recall[a] ?? 2) - (recall[b] ?? 2));
    whole();
  }

  function whole() { look(order); }

  // Show these classes only, in this order.
  function look(classes) {
    shown = classes;
    from = [0, 0];
    span = shown.length;
    cursor = null;
    picture = null;
    draw();
  }

  // The root lets one video of fifty be seen beside the forty that were right.
  const depth = (count, row) => (count ? 0.12 + 0.88 * Math.sqrt(count / rowSums[row]) : 0);
  const light = ([red, green, blue]) => 0.3 * red + 0.6 * green + 0.1 * blue;

  function render() {
    const n = shown.length;
    const [paper, good, bad] = [colour("card"), colour("c0"), colour("down")];
    const canvasPicture = element("canvas", { width: n, height: n });
    const context = canvasPicture.getContext("2d");
    const image = context.createImageData(n, n);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) {
      const count = counts[shown[i] * size + shown[j]];
      const deep = depth(count, shown[i]);
      const ink = shown[i] === shown[j] ? good : bad;
      for (let k = 0; k < 3; k++) image.data[4 * (i * n + j) + k] = paper[k] + deep * (ink[k] - paper[k]);
      image.data[4 * (i * n + j) + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvasPicture;
  }

  function draw() {
    if (!canvas.clientWidth) return;
    picture ??= render();
    const { context, width } = sharp(canvas, 1);
    const cell0 = width / span;
    const labelled = cell0 * 0.8 >= 11;
    context.font = `${Math.min(12, Math.max(9, cell0 * 0.55))}px system-ui, "DejaVu Sans", sans-serif`;
    const longest = labelled ? Math.max(...shown.slice(from[0], from[0] + span).map((c) => context.measureText(names[c]).width)) : 0;
    const gutter = labelled ? Math.min(longest + 10, width * 0.27) : 0;
    const side = width - gutter;
    const cell = side / span;
    geometry = { gutter, cell, side };
    context.imageSmoothingEnabled = cell < 1;
    context.drawImage(picture, from[1], from[0], span, span, gutter, gutter, side, side);
    const [line, ink, soft, paper] = [colour("line"), colour("ink"), colour("soft"), colour("card")];
    context.strokeStyle = css(line, cell > 12 ? 1 : 0);
    context.lineWidth = 1;
    context.beginPath();
    for (let i = 0; i <= span; i++) {
      const at = Math.round(gutter + i * cell) + 0.5;
      context.moveTo(at, gutter); context.lineTo(at, width);
      context.moveTo(gutter, at); context.lineTo(width, at);
    }
    context.stroke();
    context.strokeStyle = css(line);
    context.strokeRect(gutter + 0.5, gutter + 0.5, side - 1, side - 1);
    if (labelled) label(context, gutter, cell, ink, soft);
    if (cell >= 24) numbersIn(context, gutter, cell, ink, paper);
    if (cursor) mark(context, gutter, cell, width, ink);
  }

  function label(context, gutter, cell, ink, soft) {
    context.textBaseline = "middle";
    for (let i = 0; i < span; i++) {
      const at = gutter + (i + 0.5) * cell;
      for (const [axis, chosen] of [[0, cursor?.[0]], [1, cursor?.[1]]]) {
        context.save();
        context.fillStyle = css(chosen === from[axis] + i ? ink : soft);
        if (axis === 0) context.translate(gutter - 5, at);
        else { context.translate(at, gutter - 5); context.rotate(Math.PI / 2); }
        context.textAlign = "right";
        context.fillText(shorten(context, names[shown[from[axis] + i]], gutter - 8), 0, 0);
        context.restore();
      }
    }
  }

  function shorten(context, text, room) {
    if (context.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
    return `${text.slice(0, end)}…`;
  }

  function numbersIn(context, gutter, cell, ink, paper) {
    const [good, bad] = [colour("c0"), colour("down")];
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let i = 0; i < span; i++) for (let j = 0; j < span; j++) {
      const row = shown[from[0] + i];
      const count = counts[row * size + shown[from[1] + j]];
      if (!count) continue;
      const cellInk = row === shown[from[1] + j] ? good : bad;
      const deep = depth(count, row);
      const back = paper.map((part, k) => part + deep * (cellInk[k] - part));
      const far = (one) => Math.abs(light(one) - light(back));
      context.fillStyle = css(far(paper) > far(ink) ? paper : ink);
      context.fillText(count, gutter + (j + 0.5) * cell, gutter + (i + 0.5) * cell);
    }
  }

  function mark(context, gutter, cell, width, ink) {
    const [i, j] = [cursor[0] - from[0], cursor[1] - from[1]];
    if (i < 0 || j < 0 || i >= span || j >= span) return;
    context.fillStyle = css(ink, 0.09);
    context.fillRect(gutter, gutter + i * cell, width - gutter, Math.max(cell, 1));
    context.fillRect(gutter + j * cell, gutter, Math.max(cell, 1), width - gutter);
    context.strokeStyle = css(ink);
    context.lineWidth = 2;
    const wide = Math.max(cell, 5);
    context.strokeRect(gutter + (j + 0.5) * cell - wide / 2, gutter + (i + 0.5) * cell - wide / 2, wide, wide);
  }

  function tell() {
    if (!cursor) return;
    const [row, column] = [shown[cursor[0]], shown[cursor[1]]];
    const n = counts[row * size + column];
    const bold = (text) => element("b", { class: "name" }, text);
    const share = rowSums[row] ? ` (${percent(n / rowSums[row], 1)} %)` : "";
    readout.replaceChildren(...(row === column
      ? [bold(names[row]), `: ${n} of ${rowSums[row]} right${share}.`]
      : [bold(names[row]), " taken for ", bold(names[column]), `: ${n} of ${rowSums[row]}${share}.`]));
    readout.dataset.count = n;
  }

  function moveTo(i, j) {
    const last = shown.length - 1;
    cursor = [clamp(i, 0, last), clamp(j, 0, last)];
    from = from.map((start, k) => clamp(start, cursor[k] - span + 1, cursor[k]));
    draw();
    tell();
  }

  function cellAt(event) {
    if (!geometry) return null;
    const box = canvas.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - geometry.gutter) / geometry.cell);
    const i = Math.floor((event.clientY - box.top - geometry.gutter) / geometry.cell);
    return i < 0 || j < 0 || i >= span || j >= span ? null : [from[0] + i, from[1] + j];
  }

  function zoom(factor, centre = cursor ?? [from[0] + span / 2, from[1] + span / 2]) {
    const wanted = clamp(Math.round(span * factor), Math.min(4, shown.length), shown.length);
    from = from.map((start, k) => {
      const kept = (centre[k] - start) / span;
      return clamp(Math.round(centre[k] - kept * wanted), 0, shown.length - wanted);
    });
    span = wanted;
    draw();
  }

  function listVideos() {
    if (!cursor) return;
    const [row, column] = [shown[cursor[0]], shown[cursor[1]]];
    const predicted = videos.predicted[pickMatrix.value];
    const sure = videos.permille[pickMatrix.value];
    const found = [];
    for (let v = 0; v < predicted.length; v++) if (videos.labels[v] === row && predicted[v] === column) found.push(v);
    found.sort((a, b) => sure[b] - sure[a]);
    const items = found.slice(0, 200).map((v) => element("li", {}, element("span", { class: "name" }, videos.videos[v]), ` ${(sure[v] / 10).toFixed(0)} %`));
    lists.replaceChildren(
      element("b", {}, `${found.length} videos of `, element("span", { class: "name" }, names[row]), " called ", element("span", { class: "name" }, names[column])),
      element("ul", {}, ...items),
    );
  }

  // The pair, and the classes that these two are taken for most often.
  function around(row, column) {
    const near = new Map();
    for (const c of [row, column]) for (let k = 0; k < size; k++) {
      near.set(k, (near.get(k) ?? 0) + counts[c * size + k] + counts[k * size + c]);
    }
    const rest = [...near].filter(([k, n]) => n > 0 && k !== row && k !== column).sort((a, b) => b[1] - a[1]);
    const kept = new Set([row, column, ...rest.slice(0, 8).map(([k]) => k)]);
    look(order.filter((k) => kept.has(k)));
    moveTo(shown.indexOf(row), shown.indexOf(column));
    listVideos();
  }

  function pairs() {
    const wrong = split.tables[pickMatrix.value].confusion.filter(([row, column]) => row !== column);
    wrong.sort((a, b) => b[2] - a[2] || b[2] / rowSums[b[0]] - a[2] / rowSums[a[0]]);
    root.querySelector(".pairs").replaceChildren(...wrong.slice(0, 30).map(([row, column, n]) => {
      const button = element("button", { type: "button" },
        element("span", { class: "name" }, names[row]), element("span", { class: "num" }, `${n} of ${rowSums[row]}`),
        element("span", { class: "to" }, "taken for ", element("span", { class: "name" }, names[column])));
      button.addEventListener("click", () => around(row, column));
      return element("li", {}, button);
    }));
    if (!wrong.length) root.querySelector(".pairs").replaceChildren(element("li", { class: "note" }, "Nothing is confused."));
  }

  canvas.addEventListener("pointermove", (event) => {
    const at = cellAt(event);
    if (at && (!cursor || at[0] !== cursor[0] || at[1] !== cursor[1])) {
      cursor = at;
      requestAnimationFrame(draw);
      tell();
    }
  });
  canvas.addEventListener("click", (event) => {
    const at = cellAt(event);
    if (at) { moveTo(...at); listVideos(); }
  });
  canvas.addEventListener("dblclick", () => zoom(0.4));
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== canvas) return; // else the page could not be scrolled past
    event.preventDefault();
    zoom(event.deltaY < 0 ? 0.8 : 1.25, cellAt(event) ?? undefined);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const [i, j] = cursor ?? [from[0], from[1]];
    if (way) moveTo(cursor ? i + way[0] : i, cursor ? j + way[1] : j);
    else if (event.key === "+" || event.key === "=") zoom(0.6);
    else if (event.key === "-") zoom(1.6);
    else if (event.key === "Enter" || event.key === " ") listVideos();
    else if (event.key === "Escape") whole();
    else return;
    event.preventDefault();
  });
  root.querySelector(".whole").addEventListener("click", whole);
  root.querySelector(".nearer").addEventListener("click", () => zoom(0.6));
  root.querySelector(".farther").addEventListener("click", () => zoom(1.6));
  pickOrder.addEventListener("change", arrange);
  pickMatrix.addEventListener("change", () => { load(); arrange(); pairs(); lists.replaceChildren(); });

  load();
  arrange();
  pairs();
  paint(canvas, () => { picture = null; draw(); });
}
