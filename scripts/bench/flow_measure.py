"""Engines taking turns on the same frames: agreement with the definition, then time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1, flow_through, load_engine, reference
from scripts.bench.flow_material import Material, lengthen
from storage.codecs import Quantizer

Compute = Callable[[NDArray[np.uint8], TVL1], NDArray[np.float32]]

BASELINE = "opencv"
"""The engine that the others are compared with."""
GPU_PAIRS = 512
"""A GPU works on many pairs at a time; with fewer it would be measured half empty."""


@dataclass(frozen=True)
class Agreement:
    """How far an engine's flow is from the reference, over some material."""

    engine: str
    preset: str
    difference: float
    """Mean end-point difference, pixels."""
    motion: float
    """Mean length of the reference's flow, pixels."""
    unstable: tuple[str, ...]
    """Material on which the reference itself moves as far when a parameter is nudged."""
    wrong: tuple[str, ...]
    """Material on which the engine is further off than is allowed."""


@dataclass(frozen=True)
class Result:
    """One engine on one material."""

    material: str
    size: str
    preset: str
    engine: str
    seconds: float
    """A pair, best round."""
    iterations: int | None
    """Pixel-iterations of a pair, where they can be counted."""
    times_opencv: float | None = None
    """OpenCV's time over this one's, same pair, same run."""
    error: float | None = None
    """Mean end-point error against the known flow, pixels."""
    ceilings: dict[str, float] | None = None
    """GPU: shares of what memory and arithmetic units were measured to give."""

    @property
    def pairs_per_second(self) -> float:
        return 1 / self.seconds

    @property
    def ns_per_iteration(self) -> float | None:
        return self.seconds * 1e9 / self.iterations if self.iterations else None


def allowed_difference(engine: str, motion: float) -> float:
    """Mean end-point difference to the reference that rounding explains, pixels."""
    if engine == BASELINE:  # the code that the definition was taken from, not one made from it
        return 0.02 + 0.01 * motion
    return 0.01 + 0.005 * motion


def own_drift(material: Material, params: TVL1) -> float:
    """How far the reference itself moves when tau is nudged by a millionth, pixels.

    The stopping rule amplifies rounding. Where motion is large, or a cut leaves nothing to find,
    two exact implementations part, and so does the reference from itself.
    """
    nudged = dataclasses.replace(params, tau=params.tau * (1 + 1e-6))
    drift = reference_flow(material, nudged) - reference_flow(material, params)
    return float(np.hypot(*drift).mean())


def agreement(
    compute: Compute, engine: str, preset: str, params: TVL1, materials: list[Material]
) -> Agreement:
    """Hold an engine to the reference, on the first pair of every material.

    Where it is further off than rounding explains, it may be twice as far off as the reference is
    from itself.
    """
    differences, motions = [], []
    unstable: list[str] = []
    wrong: list[str] = []
    for material in materials:
        expected = reference_flow(material, params)
        flow = compute(material.frames[:2], params)[0]
        difference = float(np.hypot(*(flow - expected)).mean())
        motion = float(np.hypot(*expected).mean())
        differences.append(difference)
        motions.append(motion)
        if not difference <= allowed_difference(engine, motion):
            explained = difference <= 2 * own_drift(material, params)
            (unstable if explained else wrong).append(material.name)
    return Agreement(
        engine,
        preset,
        float(np.mean(differences)),
        float(np.mean(motions)),
        tuple(unstable),
        tuple(wrong),
    )


_expected: dict[tuple[str, str, TVL1], NDArray[np.float32]] = {}


def reference_flow(material: Material, params: TVL1) -> NDArray[np.float32]:
    """Of the first pair; computed once, since the reference is slow."""
    key = (material.name, material.size, params)
    if key not in _expected:
        _expected[key] = reference.compute(material.frames[:2], params)[0]
    return _expected[key]


def measure_engines(
    names: list[str], preset: str, params: TVL1, material: Material, rounds: int, threads: int
) -> list[Result]:
    """Let the engines take turns on one material."""
    if BASELINE in names:
        import cv2

        cv2.setNumThreads(1)
    engines = {name: load_engine(name) for name in names}
    on_gpu = {name for name, engine in engines.items() if engine.open_queue is not None}
    frames = {
        name: lengthen(material.frames, GPU_PAIRS) if name in on_gpu else material.frames
        for name in names
    }
    queues = {
        name: engine.open_queue(params, Quantizer())
        for name, engine in engines.items()
        if engine.open_queue is not None
    }
    best = dict.fromkeys(names, float("inf"))
    # the check has warmed up the others; a GPU's first call loads and allocates
    flow = {name: engines[name].compute(frames[name][:2], params) for name in on_gpu}
    for _ in range(rounds):
        for name, engine in engines.items():
            count = 1 if name == BASELINE else threads
            # processor time leaves out what else the machine does, which would count against
            # the slower engine; a GPU's time and that of several threads are on the wall
            clock = time.perf_counter if name in on_gpu or count > 1 else time.process_time
            started = clock()
            if name in queues:  # as in an extraction: frames in, codes out
                flow_through(queues[name], frames[name], np.uint8)
            else:
                flow[name] = engine.compute(frames[name], params, count)
            seconds = (clock() - started) / (len(frames[name]) - 1)
            best[name] = min(best[name], seconds)
    iterations = pixel_iterations(material, params)
    return [
        Result(
            material=material.name,
            size=material.size,
            preset=preset,
            engine=name,
            seconds=best[name],
            iterations=iterations,
            times_opencv=best[BASELINE] / best[name] if BASELINE in best and threads == 1 else None,
            error=material.error(flow[name][0]) if material.truth is not None else None,
            ceilings=gpu_shares(material, params, best[name]) if name in on_gpu else None,
        )
        for name in names
    ]


def pixel_iterations(material: Material, params: TVL1) -> int | None:
    """Pixel-iterations of a pair, counted by the CPU engine; None without Numba."""
    try:
        from flow.tvl1.cpu import compute_into
    except ImportError:
        return None
    flow = np.empty((len(material.frames) - 1, 2, *material.frames.shape[1:]), np.float32)
    return compute_into(material.frames, params, flow) // len(flow)


def gpu_shares(material: Material, params: TVL1, seconds: float) -> dict[str, float]:
    """How near the GPU engine comes to what the device can do, when a pair takes so long."""
    from scripts.bench.gpu import shares_of_ceilings

    return shares_of_ceilings(material.frames, params, seconds)
