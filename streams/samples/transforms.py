"""From bytes to the network's input, on the training device, many samples at once.

Order: decode (pixels of motion, or 0..1), crop, resize, colour jitter, mirror, normalise. Motion
keeps the units of the stored picture when it is resized, as in every published protocol.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streams.inputs import Input
from streams.networks import v2
from streams.samples.batch import Batch, Rows
from streams.samples.crops import Box, five_boxes, three_boxes

CROPS = (1, 2, 3, 5, 6, 10)
"""Crops of a testing view: the centre (1), three squares along the long side that show all of the
picture (3), corners and centre (5); each with mirror images (2, 6, 10)."""
MIRRORED = (2, 6, 10)


def prepare(
    batch: Batch, name: str, input_: Input, table: Tensor, size: int, out: Tensor | None = None
) -> Tensor:
    """One input of a batch on its device -> float32 (B, K, C, size, size), in `out` if it fits.

    On a CPU a fresh tensor of this size costs more than filling it, since the system hands out
    its pages one by one; a training loop gives the tensor of the step before.
    """
    planes = batch.planes[name]
    shape = (*planes.shape[:2], input_.channels, size, size)
    if out is None or out.shape != shape or out.device != planes.device:
        out = planes.new_empty(shape, dtype=torch.float32)
    for run in batch.runs[name]:
        pictures = cropped(decoded(planes, run, input_, table), run, size)
        if batch.colours is not None and input_.kind == "rgb":
            pictures = coloured(pictures, batch.colours[run.first : run.stop])
        out[run.first : run.stop] = input_.normalise(
            input_.mirror(pictures) if run.flip else pictures
        )
    return out


def coloured(pictures: Tensor, colours: Tensor) -> Tensor:
    """Frames (n, K, 3 T, h, w) in 0..1 with a colour (n, 3) added to each row's."""
    steps = pictures.unflatten(2, (-1, 3))
    return (steps + colours[:, None, None, :, None, None]).flatten(2, 3)


def decoded(planes: Tensor, run: Rows, input_: Input, table: Tensor) -> Tensor:
    """float32 (n, K, C, h, w) of one run's rows."""
    rows = planes[run.first : run.stop, :, :, : run.height, : run.width]
    return input_.decode(rows.flatten(0, 1), table).unflatten(0, rows.shape[:2])


def cropped(pictures: Tensor, run: Rows, size: int) -> Tensor:
    """Each row's box, resized: (n, K, C, size, size)."""
    full = (0, 0, run.height, run.width)
    if any(box != full for box in run.boxes):
        boxes = zip(pictures, run.boxes, strict=True)
        pictures = torch.stack([v2.crop(picture, *box) for picture, box in boxes])
    return resized(pictures, size)


def resized(pictures: Tensor, size: int) -> Tensor:
    """(..., h, w) -> (..., size, size), bilinear; with antialiasing where pixels are lost. (Where
    none are, it changes nothing and takes twice as long.)"""
    if pictures.shape[-2:] == (size, size):
        return pictures
    shrinks = max(pictures.shape[-2:]) > size
    flat = v2.resize(pictures.flatten(0, -4), [size, size], antialias=shrinks)
    return flat.unflatten(0, pictures.shape[:-3])


def test_crops(pictures: Tensor, input_: Input, share: float, size: int, crops: int) -> Tensor:
    """Whole decoded pictures (N, C, h, w) -> normalised views (N, crops, C, size, size)."""
    height, width = pictures.shape[-2:]
    if crops in (3, 6):
        boxes = three_boxes(height, width)
    else:
        boxes = five_boxes(height, width, share)[4 if crops in (1, 2) else 0 :]
    views = [resized(cut(pictures, box), size) for box in boxes]
    if crops in MIRRORED:
        views += [input_.mirror(view) for view in views]
    return input_.normalise(torch.stack(views, 1))


def cut(pictures: Tensor, box: Box) -> Tensor:
    done: Tensor = v2.crop(pictures, *box)
    return done
