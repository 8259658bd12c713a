"""The part of `twostream score` for runs of networks over sequences of features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.errors import UserError
from storage.progress import progress_bar

if TYPE_CHECKING:
    import torch

    from scripts.score import Options
    from streams.scoring import Run


def score_sequence(trained: Run, options: Options, device: torch.device) -> int:
    """Write the score table of a run of kind sequence."""
    from scripts.score import check_labels, keep, origin_of
    from streams.sequences import FeatureData, SequenceScorer, open_feature_source, sequence_table

    if not options.features or options.store is not None:
        raise UserError(
            f"{options.run} learned on features: it is scored with --features, one store or more, "
            "as in training"
        )
    if options.average == "sparsity":
        raise UserError("--average sparsity weighs crops, and features have none; leave it out")
    if options.windows < 1:
        raise UserError(f"--windows {options.windows} must be at least 1")
    if not options.out.parent.is_dir():
        raise UserError(f"--out {options.out}: the folder {options.out.parent} does not exist")
    scorer = SequenceScorer(trained, device)
    data = FeatureData(
        features=options.features,
        labels=options.labels,
        split=trained.split if options.split is None else options.split,
        validation=trained.validation,
        missing=options.missing,
        any_counts=options.any_counts,
        empty_classes=True,
    )
    source = open_feature_source(data, (options.part,))
    scorer.check(source, other_store=options.other_store)
    check_labels(trained, source, options)
    provenance: dict[str, Any] = {
        "run": str(options.run),
        "recipe": trained.origin.get("recipe", ""),
        "store": [str(path) for path in options.features],
        **origin_of(trained, source),
        **source.left_out(),
    }
    count = len(source.parts[options.part])
    with progress_bar(count, "video", "score", quiet=options.talk.quiet) as bar:
        table = sequence_table(
            scorer,
            source,
            options.part,
            options.windows,
            options.loop,
            stream=options.name or trained.name,
            probabilities=options.average == "probabilities",
            watch=bar.update,
            provenance=provenance,
        )
    missing = len(source.missing[options.part])
    how = f"at most {options.windows} windows"
    return keep(trained, table, options, missing, how, {"windows": options.windows})
