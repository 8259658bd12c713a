"""The plan of the house: every room, and the rooms whose public names it may import.

The front door `twostream` and the modules `errors`, `atomic`, `hdf5`, `progress` and `videos` of
`storage` may be imported from everywhere, `streams.settings` from `streams` up. The room that is
named like a big room's folder is what lies in that folder itself, such as `scripts/extract.py`.
"""

from __future__ import annotations

STREAMS = {"streams.inputs", "streams.networks", "streams.samples", "streams.training"}
FLOW = {"flow.tvl1", "flow.algorithms", "flow.video", "flow.extraction", "flow.pictures"}
FUSION = {
    *("fusion.judge", "fusion.scores", "fusion.features"),
    *("fusion.compare", "fusion.explanation", "fusion.network", "fusion.page", "fusion.report"),
}
STORAGE = {
    "storage",
    "storage.codecs",
    "storage.store",
    "storage.catalog",
    "storage.scores",
    "storage.convert",
    "storage.features",
    "storage.shards",
    "storage.remote",
}
COMMON = {"scripts.common", "scripts.samples"}

PLAN: dict[str, set[str]] = {
    # what lies on disk
    "storage": set(),
    "storage.codecs": set(),
    "storage.scores": {"storage.catalog"},
    "storage.features": {"storage.scores", "storage.store"},
    "storage.store": {"storage.codecs"},
    "storage.catalog": set(),
    "storage.convert": {"storage.catalog", "storage.codecs", "storage.store"},
    "storage.shards": {"storage.codecs", "storage.store"},
    "storage.remote": {"storage.store"},
    # from videos to flow
    "flow": set(),
    "flow.tvl1": {"storage.codecs"},
    "flow.tvl1.cpu": {"flow.tvl1"},
    "flow.tvl1.gpu": {"flow.tvl1", "storage.codecs"},
    "flow.tvl1.gpu.kernels": set(),
    "flow.algorithms": {"flow.tvl1"},
    "flow.trajectories": {"flow.algorithms", "flow.tvl1", "storage.features"},
    "flow.video": set(),
    "flow.extraction": {
        *("flow.algorithms", "flow.tvl1", "flow.video"),
        *("storage.codecs", "storage.store"),
    },
    "flow.pictures": {
        *("flow.algorithms", "flow.extraction", "flow.video"),
        *("storage.codecs", "storage.store"),
    },
    # from flow and frames to trained networks
    "streams": set(),
    "streams.aggregators": {"storage.features", "storage.scores"},
    "streams.networks": {"streams.aggregators"},
    "streams.inputs": {"storage.store"},
    "streams.samples": {
        *("streams.inputs", "streams.networks"),
        *("storage.catalog", "storage.remote", "storage.shards", "storage.store"),
    },
    "streams.training": {"streams.inputs", "streams.networks", "streams.samples"},
    "streams.scoring": {
        *STREAMS,
        *("storage.catalog", "storage.features", "storage.scores", "storage.store"),
    },
    "streams.sequences": {
        *STREAMS,
        *("streams.aggregators", "streams.scoring"),
        *("storage.catalog", "storage.features", "storage.scores", "storage.store"),
    },
    "streams.explanation": {
        *STREAMS,
        *("storage.catalog", "storage.store"),
    },
    # from scores and networks to a report
    "fusion": set(),
    "fusion.judge": {"storage.catalog", "storage.scores"},
    "fusion.scores": {"fusion.judge", "storage.scores"},
    "fusion.compare": {"fusion.judge", "storage.scores"},
    "fusion.features": {
        *("fusion.judge", "fusion.scores"),
        *("storage.catalog", "storage.features", "storage.scores"),
    },
    "fusion.network": STREAMS | {"streams.scoring"},
    "fusion.page": set(),
    "fusion.page.templates": set(),
    "fusion.report": {
        *("fusion.compare", "fusion.explanation", "fusion.judge", "fusion.page", "fusion.scores"),
        *("streams.scoring", "streams.training"),
        *("storage.catalog", "storage.codecs", "storage.scores", "storage.store"),
    },
    "fusion.report.templates": set(),
    "fusion.explanation.templates": set(),
    "fusion.explanation": {
        *STREAMS,
        *("fusion.network", "fusion.page", "streams.explanation", "streams.scoring"),
        "streams.sequences",
        *("storage.catalog", "storage.codecs", "storage.features", "storage.store"),
    },
    # commands
    "scripts.common": {
        *("storage.scores", "streams.samples", "streams.training"),
    },
    "scripts.health": {"flow.tvl1"},
    "scripts.samples": {"flow.video", "scripts.common"},
    "scripts.prediction": {
        *("flow.extraction", "flow.pictures", "flow.video", "fusion.explanation", "fusion.report"),
        *("scripts.common", "storage.store", "streams.samples", "streams.scoring"),
        "streams.sequences",
    },
    "scripts.bench": {
        *(FLOW | STORAGE | STREAMS | COMMON),
        *("flow.tvl1.cpu", "flow.tvl1.gpu", "fusion.network", "streams.scoring"),
    },
    "scripts.exam": {
        *("fusion.page", "scripts.common", "scripts.samples"),
        *("storage.codecs", "storage.features", "storage.scores", "storage.store"),
        *("streams.networks", "streams.scoring", "streams.sequences", "streams.training"),
    },
    "scripts.exam.templates": set(),
    "scripts": {
        *(FLOW | STORAGE | STREAMS | FUSION | COMMON),
        *("flow.trajectories", "scripts.health", "scripts.prediction"),
        *("streams.aggregators", "streams.scoring", "streams.sequences"),
    },
    "scripts.docs": {
        *("scripts", "scripts.bench", "storage.codecs", "storage.store"),
        *("streams.networks", "streams.training"),
    },
}

NEVER = {
    "streams": {"cv2", "cupy", "numba"},
    "flow": {"torch", "torchvision"},
    "storage": {"torch", "cv2.optflow", "cupy"},
}
"""Big room -> packages from outside that it leaves to others."""

ALIKE: dict[str, set[str]] = {
    # An engine's or a format's functions, a command's parts: one meaning, many modules.
    "flow": {"compute", "status", "version", "devices", "resize", "warp"},
    "storage": {"read", "recognise"},
    "streams": {"build", "build_named", "renamed"},
    "fusion": set(),
    "scripts": {"main", "run", "Options", "usage", "options_for", "description", "trainable"},
}
"""Big room -> names that several of its modules define on purpose, all with the same meaning."""
