"""Whether runs can be made of the rows of a study, and can start from what they are to start from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mednoisy.composition import compose
from mednoisy.composition.stacking import pretexts
from mednoisy.errors import UserError, user_error_behind
from mednoisy.runs.early_checks import check_pretext
from mednoisy.studies.rows import Row
from mednoisy.studies.starts import OF_STARTS

OF_THE_STUDY: dict[str, str | None] = {  # settings of each of its runs, and the option that says so instead
    "labeled": "--labeled",
    "seed": "--seeds",
    "fold": "--folds",
    "dataset_dir": "--data",
    "output_dir": "--output",
    **dict.fromkeys(("model_file", "resume", "method_name", "recipe_name")),
}


def check_row(
    row: Row,
    bundle: str,
    shared: Mapping[str, Any],
    dataset: Path | None = None,
    options: Mapping[str, str | None] = OF_THE_STUDY,
) -> None:
    """Refuse a row that no run could be made of.

    Args:
        shared: settings of all rows.
        options: of the command, by the setting that each stands for.

    Raises:
        UserError: E101, E103, E354, E356 and E501, as `Study.run`.
    """
    settings = {**shared, **row.settings}
    if taken := sorted(settings.keys() & OF_THE_STUDY):
        cause = f"the setting {taken[0]!r} is what a study gives to each of its runs"
        option = options.get(taken[0])
        raise UserError("E356", cause, f"Drop it, and use {option}, in a file its entry" if option else "Drop it")
    composed = compose(bundle, row.method, row.recipe, dataset=dataset, overrides=settings)
    composed.check_overrides()
    check_pretext(composed.config | settings)
    row.check_name()


def check_start(
    row: Row, bundle: str, shared: Mapping[str, Any], dataset: Path | None = None, folds: int | None = None
) -> None:
    """Refuse a row that cannot start from its start.

    Args:
        row: of a study whose starts are compared, scratch among them.
        bundle, dataset, folds: of the study.
        shared: settings of all its rows.

    Raises:
        UserError: E548, the row predicts nothing, its settings say another start, or a pretext would see the images
            of held-out cases; E503, a network that can learn no pretext; E340, E341, E343, E344 and E547, a file that
            does not fit.
    """
    settings = {**shared, **row.settings}
    method = compose(bundle, row.method, row.recipe, dataset=dataset).config["method_name"]
    if method in pretexts():
        cause = (
            f"row {row.folder!r} learns the pretext {method} and predicts nothing, so no start can be compared by it"
        )
        raise UserError("E548", cause, f"Name methods that segment as rows, and {method} among --starts")
    if taken := sorted(settings.keys() & set(OF_STARTS)):
        cause = f"row {row.folder!r} sets {taken[0]!r}, which the starts of a study decide"
        raise UserError("E548", cause, "Drop the setting, or --starts")
    if row.start.pretext and folds is not None:
        cause = f"the pretext {row.start.pretext}, which rows share, would see the images that --folds holds out"
        own = shlex.quote(_with_own_pretext(row))
        cure = f"Drop --folds, or take rows with a pretext of their own, such as {own}, in place of --starts"
        raise UserError("E548", cause, cure)
    if row.start:
        _check_networks(row, bundle, settings, dataset)


def _with_own_pretext(row: Row) -> str:
    """As `Row.parse` reads it: the row with the pretext that it was to share."""
    settings = {**row.settings, "pretext": row.start.pretext}
    method = row.method if row.recipe == "default" else f"{row.method}:{row.recipe}"
    return shlex.join([method, *(f"{key}={value}" for key, value in settings.items())])


def _check_networks(row: Row, bundle: str, settings: Mapping[str, Any], dataset: Path | None) -> None:
    """Build what a run of the row would start, and start it."""
    import torch  # takes seconds, and studies of scratch alone need none of it

    from mednoisy.engines.stages import named_networks
    from mednoisy.engines.starting_files import start_from_file
    from mednoisy.networks.reconstruction import encoder_of

    cpu = {"device": "$torch.device('cpu')"}
    try:
        parser = (
            compose(bundle, row.method, row.recipe, dataset=dataset, overrides={**settings, **cpu}).workflow().parser
        )
        parser.parse(reset=True)
        if row.start.file is not None:
            start_from_file(parser.get_parsed_content("plan"), row.start.file)
            return
        with torch.device("meta"):
            networks = dict(named_networks(parser.get_parsed_content("plan")))
            for network in networks.values():
                encoder_of(network)
            parser.get_parsed_content("pretexts")[row.start.pretext](networks)
    except Exception as fault:
        mendable = user_error_behind(fault)
        if mendable is None or mendable is fault:
            raise
        raise mendable from fault
