"""Draw README's picture from a finished demo: what is in the store, and what each stream reached.

python -m scripts.docs.picture demo docs/pictures/demo.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from storage.codecs import flow_to_rgb
from storage.store import Store, open_store

SHOWN = 4
"""Videos drawn: those of two appearances and two motions."""


def examples(store: Store, numbers: dict[str, Any]) -> list[str]:
    """One video of each of four classes, of two appearances and two opposite motions."""
    names = [numbers["appearances"][i] + numbers["motions"][j] for i in (0, 1) for j in (0, 1)]
    return [next(v for v in store.videos() if v.split("/")[0] == name) for name in names]


def draw(demo: Path, out: Path) -> None:
    """Frames and flow on the left, test accuracies against their ceilings on the right."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "twostream", "svg.fonttype": "path", "font.size": 9})
    ceilings = json.loads((demo / "sample" / "lists" / "ceilings.json").read_text("utf-8"))
    tables = json.loads((demo / "report.json").read_text("utf-8"))["splits"][0]["tables"]
    figure = plt.figure(figsize=(10, 3.0))
    grid = figure.add_gridspec(2, SHOWN, left=0.01, right=0.51, top=0.92, bottom=0.02)
    grid.update(wspace=0.05, hspace=0.04)
    with open_store(demo / "store") as store:
        quantizer = store.meta.quantizer
        for column, video in enumerate(examples(store, ceilings)):
            middle = store.video(video).pairs // 2
            frame = store.read_frames(video, [middle])[0]
            flow = quantizer.dequantize(store.read_flow(video, middle, 1))[0]
            top = figure.add_subplot(grid[0, column])
            top.imshow(frame)
            top.set_title(video.split("/")[0], fontsize=8)
            below = figure.add_subplot(grid[1, column])
            below.imshow(flow_to_rgb(flow, float(np.hypot(*flow).max())))
            for axes in (top, below):
                axes.set_axis_off()
    axes = figure.add_axes((0.72, 0.22, 0.26, 0.74))
    for row, judged in enumerate(reversed(tables)):
        top1 = judged["top1"]
        colour = "#2f6fdb" if judged["fusion"] is None else "#0b7a55"
        axes.barh(row, 100 * judged["ceiling"], color="#e4e7ec", height=0.66)
        axes.barh(row, 100 * top1["value"], color=colour, height=0.66)
        reach = [[100 * (top1["value"] - top1["low"])], [100 * (top1["high"] - top1["value"])]]
        axes.errorbar(100 * top1["value"], row, xerr=reach, color="#1b2433", capsize=3, lw=1)
    axes.set_yticks(range(len(tables)), [judged["name"] for judged in reversed(tables)])
    axes.set_xlim(0, 102)
    axes.set_xlabel("top-1 on the test part, %, and 95 % interval;\ngrey: what can be reached")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(left=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
