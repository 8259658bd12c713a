"""Measure the store: what codings cost and lose, random reads, and opening a large one.

    twostream bench store --clips videos/
    twostream bench store --clips videos/ --cache /tmp/flow.npz --json
    twostream bench store --clips videos/ --alternatives
    twostream bench store --clips videos/ --cold --folder /data

First it is checked that the folder of JPEGs and a store of the same JPEGs give the same pixels, and
that what is stored without loss comes back unchanged. All times are of one core, in one run.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench import cold
from scripts.bench.codecs import CodecRow, alternatives, codec_table
from scripts.bench.reading import (
    ROUND,
    Read,
    check_reading,
    folder_by_opencv,
    folder_by_pillow,
    make_folder,
    make_store,
    opening,
    race,
    videos_of,
)
from scripts.bench.store_material import Flow, drawn_flow, real_flow
from storage.codecs import compile_reader
from storage.errors import UserError
from storage.store import StoreConfig, on_disk

CHUNKS = (1, 2, 4, 8, 16, 32)
LENGTHS = (1, 5, 10)


@dataclass
class StoreBench:
    """What is measured, and on what."""

    clips: Path | None = None
    """A folder of videos; their TV-L1 flow is computed first. Without it flow is drawn."""
    cache: Path | None = None
    """Keep the computed flow in this .npz, and take it from there the next time."""
    videos: int = 25
    """How many clips, each from a folder of its own, are taken."""
    pairs: int = 4
    """Pairs of each clip."""
    rounds: int = 200
    """Random stacks that each reader reads."""
    index: int = 100_000
    """Videos in the store that is opened."""
    alternatives: bool = False
    """Also measure codings that were tried and are not used."""
    cold: bool = False
    """Measure reading from the disk, and nothing else: what stack and frame take when nothing of
    them is in memory."""
    folder: Path | None = None
    """Put what is written for the measurement there (default: where temporary files go)."""
    seed: int = 0
    json: bool = False
    """Print JSON."""
    quiet: bool = field(default=False)
    """No progress."""


def run(options: StoreBench) -> int:
    """Measure and print."""
    import cv2

    cv2.setNumThreads(1)
    flow = load_flow(options)
    if options.cold:
        return run_cold(options, flow)
    compile_reader()
    results: dict[str, Any] = {"pairs": len(flow), "drawn": options.clips is None}
    note(options, "codings ...")
    rows = codec_table(flow) + (alternatives(flow) if options.alternatives else [])
    results["codecs"] = [dataclasses.asdict(row) for row in rows]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results |= reading(options, flow, Path(folder))
        note(options, f"opening {options.index} videos ...")
        results["opening_ms"] = opening(Path(folder) / "index", options.index)
    folder_row, default_row = rows[0], next(r for r in rows if r.codec == StoreConfig().codec)
    figures = {
        "reading 10 pairs, times as fast as the folder": results["times_as_fast"],
        "bytes of a pair, share of the folder's": default_row.bytes / folder_row.bytes,
        "error, share of the folder's": default_row.error / folder_row.error,
        "opening, ms": results["opening_ms"]["open"] + results["opening_ms"]["first look"],
    }
    results["figures"] = figures
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        show(rows, results)
    return 0


def run_cold(options: StoreBench, flow: Flow) -> int:
    """Measure reading from the disk, and print."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = cold.cold_table(flow, Path(folder), options.rounds, options.seed)
    if options.json:
        print(json.dumps([row.figures() for row in rows]))
    else:
        cold.show_cold(rows)
    return 0


def load_flow(options: StoreBench) -> Flow:
    if options.cache is not None and options.cache.exists():
        with np.load(options.cache) as stored:
            flow: Flow = stored["flow"]
            return flow
    if options.clips is None:
        note(options, "no --clips: drawn flow, whose figures differ from real ones")
        return drawn_flow(options.videos * options.pairs, options.seed)
    if not options.clips.is_dir():
        raise UserError(f"--clips {options.clips} is not a folder of videos")
    note(options, "TV-L1 flow of the clips (OpenCV, one core: about a second a pair) ...")
    flow = real_flow(options.clips, options.videos, options.pairs)
    if options.cache is not None:
        np.savez(options.cache, flow=flow)
    return flow


def reading(options: StoreBench, flow: Flow, folder: Path) -> dict[str, Any]:
    """Random stacks from stores of several codecs and layouts, and from the folder."""
    videos = videos_of(flow)
    note(options, "a folder of JPEGs, and stores ...")
    make_folder(folder / "jpegs", videos)
    default = make_store(folder / "default", videos, StoreConfig(frame_codec="none"))
    same = make_store(
        folder / "same", videos, StoreConfig(ROUND, codec="jpeg:95", frame_codec="none")
    )
    exact = make_store(folder / "exact", videos, StoreConfig(codec="lossless", frame_codec="none"))
    check_reading(folder / "jpegs", same, exact, videos)
    readers: dict[str, Read] = {
        "folder of JPEGs, OpenCV": folder_by_opencv(folder / "jpegs"),
        "folder of JPEGs, Pillow": folder_by_pillow(folder / "jpegs"),
        "store of the same JPEGs": same.read_flow,
        "store, lossless": exact.read_flow,
        f"store, {StoreConfig().codec}": default.read_flow,
    }
    names, rounds = list(videos), options.rounds
    times = {str(n): race(readers, names, n, rounds, options.seed) for n in LENGTHS}
    ten = times["10"]
    note(options, "layouts ...")
    layouts = {
        chunk: make_store(folder / f"chunk{chunk}", videos, StoreConfig(frame_codec="none"), chunk)
        for chunk in CHUNKS
    }
    by_chunk: dict[str, Read] = {str(chunk): s.read_flow for chunk, s in layouts.items()}
    pair_count = sum(len(flow) for flow in videos.values())
    result = {
        "stacks_ms": times,
        "times_as_fast": ten["folder of JPEGs, OpenCV"] / ten[f"store, {StoreConfig().codec}"],
        "times_as_fast_as_pillow": ten["folder of JPEGs, Pillow"]
        / ten[f"store, {StoreConfig().codec}"],
        "layouts_ms": {str(n): race(by_chunk, names, n, rounds, options.seed) for n in LENGTHS},
        "layouts_bytes": {
            str(chunk): disk_bytes(folder / f"chunk{chunk}") / pair_count for chunk in CHUNKS
        },
    }
    for store in (default, same, exact, *layouts.values()):
        store.close()
    return result


def disk_bytes(store: Path) -> int:
    return sum(on_disk(path) for path in store.glob("shards/*/data.mdb"))


def show(rows: list[CodecRow], results: dict[str, Any]) -> None:
    print(f"{results['pairs']} pairs of 340x256{', drawn' if results['drawn'] else ''}, one core\n")
    print(f"{'quantiser':<10} {'coding':<36} {'bytes':>7} {'encode':>7} {'decode':>7} "
          f"{'error':>7} {'worst':>7}")  # fmt: skip
    for row in rows:
        print(
            f"{row.quantizer:<10} {row.codec:<36} {row.bytes:>7.0f} {row.encode_ms:>7.3f} "
            f"{row.decode_ms:>7.3f} {row.error:>7.4f} {row.worst:>7.4f}"
        )
    print("\nbytes and ms a pair; error: pixels, mean end-point error of the round trip\n")
    print(f"{'ms of a random stack of':<36} {'1':>7} {'5':>7} {'10':>7} pairs")
    for name in results["stacks_ms"]["1"]:
        cells = " ".join(f"{results['stacks_ms'][str(n)][name]:>7.3f}" for n in LENGTHS)
        print(f"{name:<36} {cells}")
    print(f"\n{'pairs in a chunk':<20} {'1':>7} {'5':>7} {'10':>7} {'bytes on disk a pair':>22}")
    for chunk in CHUNKS:
        cells = " ".join(f"{results['layouts_ms'][str(n)][str(chunk)]:>7.3f}" for n in LENGTHS)
        print(f"{chunk:<20} {cells} {results['layouts_bytes'][str(chunk)]:>22.0f}")
    print()
    for name, value in results["opening_ms"].items():
        print(f"{name + ', ms':<36} {value:>7.2f}")
    print()
    for name, value in results["figures"].items():
        print(f"{name:<48} {value:>6.2f}")


def note(options: StoreBench, text: str) -> None:
    if not options.quiet:
        print(text, file=sys.stderr)
