"""What must hold of the GPU engine on the GPU at hand; to be run under a checker of memory too.

python -m scripts.bench.gpu_check
compute-sanitizer --tool racecheck python -m scripts.bench.gpu_check --small
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import DIALECTS, TVL1, flow_through, reference
from flow.tvl1.gpu import Device, FlowQueue, open_device
from scripts.bench.flow_material import draw_motion
from storage.codecs import RULES, Quantizer

SIZES = ((64, 80), (16, 16), (129, 97), (256, 340))
SMALL_SIZES = ((40, 70),)


def flow_on(
    device: Device,
    frames: NDArray[np.uint8],
    params: TVL1,
    quantizer: Quantizer | None = None,
    batch: int | None = None,
    sample: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8 | np.float32]:
    """Flow (N-1, 2, H, W) of frames, or its codes with a quantiser."""
    kind = np.float32 if quantizer is None else np.uint8
    with FlowQueue(device, params, quantizer, batch) as queue:
        return flow_through(queue, frames, kind, sample)


def agrees_with_the_reference(device: Device, frames: NDArray[np.uint8], params: TVL1) -> str:
    """Over so few iterations that the stopping rule cannot amplify rounding."""
    few = replace(params, epsilon=0, inner=18, outer=1, warps=2)
    expected = reference.compute(frames[:2], few)
    most = float(np.abs(flow_on(device, frames[:2], few) - expected).max())
    return "" if most < 5e-3 else f"off by up to {most:.4f} px"


def batches_do_not_matter(device: Device, frames: NDArray[np.uint8], params: TVL1) -> str:
    """The same bytes again, and in batches of any size."""
    whole = flow_on(device, frames, params)
    for batch in (None, 1, 2):
        if not np.array_equal(flow_on(device, frames, params, batch=batch), whole):
            return f"other bytes in batches of {batch or len(whole)}"
    return ""


def codes_are_the_quantisers(device: Device, frames: NDArray[np.uint8], params: TVL1) -> str:
    """Codes, and the pair in pixels beside them."""
    flow = flow_on(device, frames, params)
    for rule in RULES:
        quantizer = Quantizer(rule, 2.0)
        sample = np.empty(flow.shape[1:], np.float32)
        codes = flow_on(device, frames, params, quantizer, sample=sample)
        if not np.array_equal(codes, quantizer.quantize(flow.astype(np.float32))):
            return f"codes of {rule} are not the quantiser's"
        if not np.array_equal(sample, flow[0]):
            return "the sample is not the first pair's flow"
    return ""


CHECKS: tuple[Callable[[Device, NDArray[np.uint8], TVL1], str], ...] = (
    agrees_with_the_reference,
    batches_do_not_matter,
    codes_are_the_quantisers,
)


def what_is_wrong(
    device: Device, sizes: tuple[tuple[int, int], ...] = SIZES, pairs: int = 4
) -> list[str]:
    """All checks for both presets: what does not hold, one line each."""
    wrong = []
    for dialect in DIALECTS:
        for height, width in sizes:
            frames = draw_motion(height, width, pairs + 1).frames
            for holds in CHECKS:
                reason = holds(device, frames, TVL1.preset(dialect))
                if reason:
                    wrong.append(f"{dialect} {width}x{height}, {holds.__name__}: {reason}")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    small = "--small" in (sys.argv[1:] if arguments is None else arguments)
    device = open_device(0)
    wrong = what_is_wrong(device, SMALL_SIZES, 2) if small else what_is_wrong(device)
    print("\n".join(wrong) or f"all holds on {device.name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
