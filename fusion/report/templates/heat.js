"use strict";
// Every class in every system: systems from top to bottom, classes from left to right.

function makeHeat(root, split, curve) {
  const canvas = root.querySelector(".heat canvas");
  if (!canvas) return;
  const pickValue = root.querySelector(".heat-value");
  const pickOther = root.querySelector(".heat-other");
  const pickOrder = root.querySelector(".heat-order");
  const read = root.querySelector(".heat-read");
  const names = split.ranking.systems.map((row) => row.name);
  const recall = names.map((name) => split.tables.find((table) => table.name === name).per_class.recall);
  const videos = split.tables[0].per_class.videos;
  const classes = [...videos.keys()].filter((c) => videos[c] > 0);
  const reference = split.compared_with ?? names[names.length - 1];
  options(pickOther, names, names.indexOf(reference));
  canvas.style.maxWidth = `${190 + 110 * classes.length}px`; // few classes need no more
  let order = classes, cursor = null, place = null, picture = null, inks = {};

  const isGain = () => pickValue.value === "gain";
  const value = (s, c) => recall[s][c] - (isGain() ? recall[pickOther.value][c] : 0);
  const mean = (c, of) => { let sum = 0; for (let s = 0; s < names.length; s++) sum += of(s, c); return sum / names.length; };

  function arrange() {
    const over = (s, c) => recall[s][c] - recall[pickOther.value][c];
    const plain = (s, c) => recall[s][c];
    const spread = (c) => { const middle = mean(c, plain); return mean(c, (s) => (recall[s][c] - middle) ** 2); };
    const by = { spread: (c) => -spread(c), gain: (c) => -mean(c, over), hard: (c) => mean(c, plain), list: (c) => c }[pickOrder.value];
    const keys = new Map(classes.map((c) => [c, by(c)]));
    order = [...classes].sort((a, b) => keys.get(a) - keys.get(b) || a - b);
    picture = null;
    draw();
  }

  // A root, so that a few points can be seen beside many.
  function shade(s, c) {
    const v = value(s, c);
    const ink = isGain() ? (v > 0 ? inks.up : inks.down) : inks.c0;
    return mixed(inks.card, ink, isGain() ? Math.min(1, Math.sqrt(Math.abs(v)) * 1.15) : v);
  }

  // A pixel a class and system, drawn as large as there is room.
  function paintPicture() {
    inks = Object.fromEntries(["card", "up", "down", "c0"].map((each) => [each, colour(each)]));
    picture = element("canvas", { width: order.length, height: names.length });
    const context = picture.getContext("2d");
    const image = context.createImageData(order.length, names.length);
    for (const [s] of names.entries()) for (const [x, c] of order.entries()) {
      image.data.set([...shade(s, c), 255], 4 * (s * order.length + x));
    }
    context.putImageData(image, 0, 0);
  }

  function draw() {
    if (!near.has(canvas)) return;
    const width = canvas.clientWidth;
    if (!width) return;
    const probe = canvas.getContext("2d");
    probe.font = '12px system-ui, "DejaVu Sans", sans-serif';
    const longest = Math.max(...names.map((name) => probe.measureText(name).width));
    const left = Math.min(longest + 12, width * 0.3);
    const cell = (width - left) / order.length;
    const top = cell >= 13 ? Math.min(Math.max(...order.map((c) => probe.measureText(split.classes[c]).width)) + 10, 130) : 0;
    const row = names.length > 30 ? 14 : 22;
    const { context, height } = sharp(canvas, (top + row * names.length + 1) / width);
    place = { left, top, cell, row };
    if (!picture) paintPicture();
    context.imageSmoothingEnabled = cell < 1;
    context.drawImage(picture, left, top, cell * order.length, row * names.length);
    context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    context.textBaseline = "middle";
    const [ink, soft, line] = ["ink", "soft", "line"].map((each) => css(colour(each)));
    for (const [s, name] of names.entries()) {
      context.fillStyle = cursor?.[0] === s ? ink : soft;
      context.fillText(shortened(context, name, left - 10), 0, top + (s + 0.5) * row);
      context.strokeStyle = line;
      context.strokeRect(left, top + s * row, cell * order.length, row);
    }
    if (top) for (const [x, c] of order.entries()) {
      context.save();
      context.translate(left + (x + 0.5) * cell, top - 5);
      context.rotate(-Math.PI / 2);
      context.fillStyle = cursor?.[1] === x ? ink : soft;
      context.fillText(shortened(context, split.classes[c], top - 8), 0, 0);
      context.restore();
    }
    if (cell >= 38) writeCells(context);
    if (cursor) {
      context.strokeStyle = ink;
      context.lineWidth = 2;
      context.strokeRect(left + cursor[1] * cell, top + cursor[0] * row, Math.max(cell, 3), row);
      context.lineWidth = 1;
    }
    canvas.dataset.height = height;
  }

  function writeCells(context) {
    context.textAlign = "center";
    const [ink, paper] = ["ink", "card"].map(colour);
    for (const [s] of names.entries()) for (const [x, c] of order.entries()) {
      const back = shade(s, c);
      const far = (one) => Math.abs(light(one) - light(back));
      context.fillStyle = css(far(paper) > far(ink) ? paper : ink);
      const text = isGain() ? points(value(s, c), 0) : percent(value(s, c), 0);
      context.fillText(text, place.left + (x + 0.5) * place.cell, place.top + (s + 0.5) * place.row);
    }
    context.textAlign = "left";
  }

  function readOut() {
    if (!cursor) return;
    const [s, c] = [cursor[0], order[cursor[1]]];
    const other = names[pickOther.value];
    read.replaceChildren(
      element("b", { class: "name" }, split.classes[c]), ` (${videos[c]} videos): `, element("span", { class: "name" }, names[s]),
      ` ${percent(recall[s][c], 1)} %, ${points(recall[s][c] - recall[pickOther.value][c], 1)} over `, element("span", { class: "name" }, other), ".",
    );
    read.dataset.recall = recall[s][c];
  }

  function moveTo(s, x) {
    cursor = [clamp(s, 0, names.length - 1), clamp(x, 0, order.length - 1)];
    requestAnimationFrame(draw);
    readOut();
  }

  function at(event) {
    if (!place) return null;
    const box = canvas.getBoundingClientRect();
    const s = Math.floor((event.clientY - box.top - place.top) / place.row);
    const x = Math.floor((event.clientX - box.left - place.left) / place.cell);
    return s < 0 || x < 0 || s >= names.length || x >= order.length ? null : [s, x];
  }
  const choose = () => { if (cursor) curve(order[cursor[1]], names[cursor[0]]); };
  pointing(canvas, (event) => { const found = at(event); if (found) moveTo(...found); }, () => {});
  canvas.addEventListener("click", choose);
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") choose();
    else if (way) moveTo(...(cursor ? cursor.map((v, k) => v + way[k]) : [0, 0]));
    else return;
    event.preventDefault();
  });
  for (const pick of [pickValue, pickOther, pickOrder]) pick.addEventListener("change", arrange);
  arrange();
  paint(canvas, () => { picture = null; draw(); });
}
