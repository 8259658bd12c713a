"""Say what is in a store and how it was made.

    twostream inspect ucf101.store
    twostream inspect ucf101.store --video Biking/v_Biking_g01_c01
    twostream inspect ucf101.store --list | head
    twostream inspect ucf101.store --json | jq .content.pairs

Only the index is read; `twostream verify` reads everything.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scripts.common import Talk, run_command
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.features import FeatureMeta, FeatureStore
    from storage.store import StoreConfig, Summary, VideoMeta


@dataclass(frozen=True)
class Options:
    store: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="STORE")]
    """The store's directory."""
    video: str | None = None
    """Say what is known of this video instead."""
    list: bool = False
    """Print the ids of all videos, one a line."""
    json: bool = False
    """Print JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from storage.features import holds_features, open_features
    from storage.store import open_store, summarise

    features = holds_features(options.store)
    store: Any = (open_features if features else open_store)(options.store)
    with store:
        if options.video is not None:
            if options.video not in store:
                raise UserError(
                    f"{options.video!r} is not in {options.store}; `twostream inspect "
                    f"{options.store} --list` names the {len(store):,} that are"
                )
            meta = store.video(options.video)
            page = steps_page(meta) if features else video_page(meta)
            print(json.dumps(meta.to_json(), indent=2) if options.json else page)
        elif options.list:
            videos = store.videos()
            print(json.dumps(videos) if options.json else "\n".join(map(printable, videos)))
        elif features:
            show_features(options, store)
        else:
            content = summarise(store)
            if options.json:
                config = store.meta.to_json()
                about = {"made": config, "content": content.to_json(), "layout": store.layout()}
                print(json.dumps(about, indent=2))
            else:
                print(store_page(options.store, store.meta, content, store.layout()))
    return 0


def show_features(options: Options, store: FeatureStore) -> None:
    """What is in a feature store."""
    metas = list(store.metas())
    steps, size = sum(meta.steps for meta in metas), sum(meta.size for meta in metas)
    content = {"videos": len(metas), "steps": steps, "record_bytes": size}
    content |= {"statistics": store.statistics.exists(), "encoder": store.encoder.exists()}
    config = store.meta
    if options.json:
        print(json.dumps({"made": config.to_json(), "content": content}, indent=2))
        return
    rows = [
        ("videos", f"{len(metas):,}"),
        ("steps", f"{steps:,} of {' x '.join(map(str, config.shape))} numbers as {config.dtype}"),
        ("records", readable(size)),
        ("mean, deviation", "of the training part" if content["statistics"] else "none"),
        ("", ""),
        ("at", config.at),
        *((f"network {name}", short(value)) for name, value in config.network.items()),
        ("views", short(config.views)),
        ("source", str(config.source.get("fingerprint") or "not said")),
        ("layout", str(store.layout())),
    ]
    print("\n".join([str(options.store), *lines(rows)]))


def steps_page(meta: FeatureMeta) -> str:
    """A video of a feature store as text for people."""
    rows = [
        ("steps", f"{meta.steps:,}"),
        ("records", readable(meta.size)),
        ("rate", f"{meta.fps:g} frames a second" if meta.fps else "not said"),
        *((f"source {name}", short(value)) for name, value in meta.source.items()),
    ]
    return "\n".join([printable(meta.video), *lines(rows)])


def store_page(path: Path, config: StoreConfig, content: Summary, layout: int) -> str:
    """A store as text for people."""
    quantizer = config.quantizer
    rows: list[tuple[str, str]] = [
        (
            "videos",
            f"{content.videos:,}" + (f", {content.partial:,} in part" if content.partial else ""),
        ),
        ("frames", f"{content.frames:,} as {config.frame_codec}" if content.frames else "none"),
        ("flow pairs", f"{content.pairs:,} a field ({', '.join(config.fields)})"),
        ("playing time", f"{clock(content.seconds)} at {counted(content.rates)} frames a second"),
        ("sizes", counted(content.sizes)),
        ("disk", f"{readable(content.disk_bytes)} in {content.shards} shard(s)"),
        ("records", readable(content.record_bytes) + per_pair(content)),
        ("", ""),
        ("quantiser", f"{quantizer.rule}, bound {quantizer.bound:g} px"),
        ("flow codec", config.codec),
        ("size rule", config.size),
        ("step", f"{config.step}: pair i leads from frame i to frame i + {config.step}"),
        (
            "resampled to",
            f"{config.fps:g} frames a second" if config.fps else "the source's own rate",
        ),
        ("algorithm", f"{config.algorithm} {short(config.parameters)}".strip()),
        ("fingerprint", config.fingerprint or "not given"),
        ("engines", counted(content.engines)),
        ("layout", str(layout)),
    ]
    names = {"clipped_share": "clipped", "zero_share": "exactly at rest"}
    for name, value in content.quality.items():
        text = f"{100 * value:.3g} %" if name in names else f"{value:.4f} px on average"
        rows.append((names.get(name, "lost in codes"), text))
    return "\n".join([str(path), *lines(rows)])


def video_page(meta: VideoMeta) -> str:
    """A video as text for people."""
    rows = [
        ("frames", f"{meta.frames:,}"),
        ("flow pairs", f"{meta.pairs:,} a field"),
        ("size", f"{meta.width}x{meta.height}"),
        ("rate", f"{meta.fps:g} frames a second"),
        ("records", readable(meta.size)),
        ("engine", meta.engine or "not said"),
        *((f"source {name}", short(value)) for name, value in meta.source.items()),
        *((name.replace("_", " "), short(value)) for name, value in meta.quality.items()),
    ]
    return "\n".join([printable(meta.video), *lines(rows)])


def lines(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {text}".rstrip() for name, text in rows]


def counted(counts: Counter[str], most: int = 4) -> str:
    """`340x256 (12), 320x240 (1)`; a single kind needs no number."""
    common = counts.most_common(most)
    if len(counts) == 1:
        return str(common[0][0])
    more = f", {len(counts) - most} more" if len(counts) > most else ""
    return ", ".join(f"{name} ({count:,})" for name, count in common) + more or "none"


def per_pair(content: Summary) -> str:
    if not content.pairs:
        return ""
    with_frames = ", frames included" if content.frames else ""
    return f", {content.record_bytes / content.pairs:,.0f} bytes a pair{with_frames}"


def readable(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if unit != "bytes" else f"{count:.0f} bytes"
        count /= 1024
    return f"{count:.3g} TiB"


def clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value) if isinstance(value, dict | list) else printable(str(value))


def printable(text: str) -> str:
    """Ids may hold what a terminal cannot show."""
    return text.encode("utf-8", "backslashreplace").decode()


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="inspect", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
