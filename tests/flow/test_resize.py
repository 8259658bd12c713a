from __future__ import annotations

import cv2
import numpy as np
import pytest
import video_files

from flow.video.resize import Resize, to_grey
from storage.errors import UserError


@pytest.mark.parametrize(
    ("rule", "source", "target"),
    [
        ("source", (241, 319), (241, 319)),
        ("340x256", (1080, 1920), (256, 340)),
        ("short-side 256", (240, 320), (256, 341)),  # 341.33
        ("short-side 256", (320, 240), (341, 256)),
        ("short-side 256", (1080, 1920), (256, 455)),  # 455.11
        ("short-side 100", (200, 301), (100, 151)),  # 150.5: halves round up
        ("short-side 64", (64, 64), (64, 64)),
        ("short-side 16", (4, 9), (16, 36)),
    ],
)
def test_targets(rule: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    resize = Resize.parse(rule)
    assert str(resize) == rule
    assert resize.target(*source) == target
    assert resize.apply(np.zeros((*source, 3), np.uint8)).shape == (*target, 3)


def test_bilinear_below_twice_and_averaging_from_there() -> None:
    picture = video_files.texture(120, 160)
    linear = cv2.resize(picture, (90, 70), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(Resize(size=(90, 70)).apply(picture), linear)
    blocks = picture.reshape(60, 2, 80, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(Resize(size=(80, 60)).apply(picture) - blocks).max() <= 0.51


def test_grey_is_bt601() -> None:
    picture = video_files.texture(16, 16)
    weighted = picture.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(to_grey(picture) - weighted).max() <= 0.6


@pytest.mark.parametrize(
    "text", ["", "256", "0x10", "340 x 256", "99999x16", "-3x40", "short-side"]
)
def test_mistakes(text: str) -> None:
    with pytest.raises(UserError):
        Resize.parse(text)


def test_both_rules_at_once() -> None:
    with pytest.raises(UserError, match="not both"):
        Resize(short_side=256, size=(340, 256))
