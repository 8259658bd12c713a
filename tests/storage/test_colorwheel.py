from __future__ import annotations

import numpy as np
import pytest

from storage.codecs.colorwheel import flow_to_rgb, wheel


def test_the_wheel_has_the_55_hues_of_middlebury() -> None:
    colours = wheel()
    assert colours.shape == (55, 3)
    np.testing.assert_array_equal(colours[[0, 15, 21, 25, 36, 49]], [
        [255, 0, 0], [255, 255, 0], [0, 255, 0], [0, 255, 255], [0, 0, 255], [255, 0, 255],
    ])  # fmt: skip
    assert colours[1].tolist() == [255, 17, 0]


@pytest.mark.parametrize(
    ("u", "v", "strong", "weak"),
    [(1, 0, "r", "b"), (-1, 0, "b", "r"), (0, 1, "rg", "b"), (0, -1, "b", "g")],
)
def test_directions_have_the_colours_of_the_benchmark(
    u: int, v: int, strong: str, weak: str
) -> None:
    flow = np.full((2, 2, 2), 0.0)
    flow[0], flow[1] = u, v
    pixel = dict(zip("rgb", flow_to_rgb(flow)[0, 0].tolist(), strict=True))
    assert min(pixel[c] for c in strong) > 100 > max(pixel[c] for c in weak), pixel


def test_rest_is_white_and_speed_deepens_until_the_hue_is_pure() -> None:
    flow = np.zeros((4, 2, 1, 1))
    flow[:, 0, 0, 0] = 0, 1, 2, 4
    rgb = flow_to_rgb(flow, full=2)[:, 0, 0]
    assert rgb[0].tolist() == [255, 255, 255]
    assert rgb[1, 2] > rgb[2, 2]
    assert rgb[2].max() == 255
    assert rgb[3].tolist() == rgb[2].tolist()
    assert flow_to_rgb(np.zeros((2, 3, 4))).tolist() == np.full((3, 4, 3), 255).tolist()
