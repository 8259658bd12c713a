"use strict";
// Features in the plane: a point a video, a colour a class.

// Neighbouring numbers get far hues, so that neighbours in the class list can be told apart.
const hue = (index, alpha = 1) => `hsl(${(index * 137.508) % 360} 68% ${[52, 42, 62][index % 3]}% / ${alpha})`;

function makeMaps(root, split, videos) {
  const pick = root.querySelector(".pick-class");
  if (!pick) return;
  for (const [i, name] of split.classes.entries()) pick.append(element("option", { value: i }, name));
  const redraws = [];
  for (const figure of root.querySelectorAll(".feature-map")) {
    const canvas = figure.querySelector("canvas");
    const map = videos.maps[figure.dataset.map];
    let over = null, frame = null;
    const draw = () => {
      if (!canvas.clientWidth) return;
      const { context, width, height } = sharp(canvas, 0.8);
      const side = Math.min(width, height) - 24;
      frame = { x: (width - side) / 2, y: (height - side) / 2, side };
      const chosen = over === null ? Number(pick.value) : videos.labels[map.rows[over]];
      const radius = map.rows.length > 600 ? 2.6 : 4;
      const order = [...map.rows.keys()].sort((a, b) => (videos.labels[map.rows[a]] === chosen) - (videos.labels[map.rows[b]] === chosen));
      for (const i of order) {
        const label = videos.labels[map.rows[i]];
        const mine = chosen < 0 || label === chosen;
        const [x, y] = map.place[i];
        context.beginPath();
        context.arc(frame.x + x * side, frame.y + (1 - y) * side, mine ? radius + (chosen >= 0) : radius, 0, 7);
        context.fillStyle = mine ? hue(label, 0.9) : css(colour("line"), 0.9);
        context.fill();
      }
    };
    const point = (event) => {
      if (!frame) return;
      const box = canvas.getBoundingClientRect();
      const [px, py] = [event.clientX - box.left, event.clientY - box.top];
      let best = null, least = 14 * 14;
      for (const [i, [x, y]] of map.place.entries()) {
        const far = (frame.x + x * frame.side - px) ** 2 + (frame.y + (1 - y) * frame.side - py) ** 2;
        if (far < least) { least = far; best = i; }
      }
      if (best !== over) { over = best; draw(); }
      if (best === null) return hideTip();
      const row = map.rows[best];
      const shown = split.tables.findIndex((each) => each.name === map.stream);
      const answer = split.classes[videos.predicted[shown][row]];
      showTip(event, [split.classes[videos.labels[row]], videos.videos[row], `${map.stream} says ${answer}`]);
    };
    pointing(canvas, point, () => { over = null; hideTip(); draw(); });
    redraws.push(draw);
    paint(canvas, draw);
  }
  pick.addEventListener("change", () => { for (const draw of redraws) draw(); });
}
