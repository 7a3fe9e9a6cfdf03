"""What can be refused about a run before PyTorch and MONAI are loaded, which takes seconds.

Nothing is decided here: the functions that would refuse later are called earlier, where what they need can be read from
the configuration as it stands. What they let pass, or what only MONAI can evaluate, is checked again when a run starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mednoisy.composition import Composition, of_run
from mednoisy.composition.stacking import frame
from mednoisy.data.datalist import Datalist
from mednoisy.data.folds import check_folds
from mednoisy.engines.run_folder import RunFolder
from mednoisy.errors import UserError, did_you_mean
from mednoisy.evaluation.summary_file import RunSummary
from mednoisy.notices import tell


def check_composition(composition: Composition, main: bool = True, folds: int | None = None) -> None:
    """Refuse a run whose data are absent or whose output folder is taken.

    Args:
        main: whether this process would write the run (rank 0).
        folds: of a cross-validated run.

    Raises:
        UserError: E103, see `Composition.check_overrides`; as `Datalist.load`; E310 to E312, see `RunFolder.check`;
            E370, folds that cannot be; E501, see `check_pretext`.
    """
    composition.check_overrides()
    config = composition.config | dict(composition.overrides)
    check_pretext(config)
    if config.get("datalist") == frame()["datalist"]:
        _check_datalist(config, folds)
    output: Any = config.get("output_dir")
    if not _is_plain(output) or not isinstance(config.get("run_folder"), Mapping):
        return
    resume = bool(config.get("resume"))
    if not resume or not (Path(output) / "run.json").is_file():  # a run that is there is compared once it is read
        RunFolder(output, resume, main=main).check()


def check_pretext(config: Mapping[str, Any]) -> None:
    """Refuse a pretext that there is not.

    Args:
        config: the entries of a run.

    Raises:
        UserError: E501.
    """
    name, pretexts = config.get("pretext"), config.get("pretexts")
    if _is_plain(name) and isinstance(pretexts, Mapping) and name not in pretexts:
        raise UserError("E501", f"unknown pretext {name!r}", did_you_mean(str(name), pretexts))


def check_predicts(summary: RunSummary, folder: Path | str) -> None:
    """Refuse a run to predict with that ends with a pretext.

    Raises:
        UserError: E509.
    """
    if not summary.predicts:
        cause = f"the run in {folder} learned the pretext {summary.name}, which predicts nothing"
        raise UserError("E509", cause, f"Start another run from it: mednoisy train ... --pretext-from {folder}")


def with_numbers_that_fit(composition: Composition) -> Composition:
    """The run with no more labeled and validation cases than there are, where nobody has asked for a number.

    A bundle's own numbers are those of its own dataset. What is taken instead is told in a line.
    """
    config = composition.config | dict(composition.overrides)
    values: list[Any] = [config.get(name) for name in ("dataset_dir", "labeled", "validation")]
    folder, labeled, validation = values
    if not all(_is_plain(value) for value in values) or config.get("datalist") != frame()["datalist"]:
        return composition
    path = Path(folder) / "datalist.json"
    fitting: dict[str, Any] = {}
    pretext_alone = config.get("method_name") in config.get("pretexts", {})
    names = config.get("label_names")
    codes = len(names) if isinstance(names, list) else None
    if "labeled" not in composition.overrides and _too_many(path, codes, labeled, 0):
        there = len(Datalist.load(path).patients("labeled"))
        if not there and pretext_alone:
            labeled = fitting["labeled"] = None
        if there:
            tell(f"the bundle's {labeled} labeled cases are more than there are: all {there} are used (--labeled N)")
            labeled = fitting["labeled"] = there
    unasked = "validation" not in composition.overrides and not _too_many(path, codes, labeled, 0)
    if unasked and _too_many(path, codes, labeled, validation):
        tell(f"the bundle's {validation} validation cases cannot be had: none chooses the checkpoint (--validation N)")
        fitting["validation"] = 0
    return replace(composition, overrides={**composition.overrides, **fitting})


def _too_many(path: Path, codes: int | None, labeled: int, validation: int) -> bool:
    try:
        Datalist.load(path, labeled, validation, codes)
    except UserError as fault:
        return fault.code == "E217"  # any other is told when the run is checked
    return False


def check_prediction(run: Path | str, images: Sequence[Path], trust: bool = False) -> None:
    """Refuse images or a run that are not there.

    Args:
        trust: whether the run's configuration may be any program.

    Raises:
        UserError: E201, a missing image, or a folder without a DICOM series; E312, E108 or E390 as `of_run`; E402, the
            run is not finished; E509, it predicts nothing.
    """
    from mednoisy.data.formats.dicom import holds_slices
    from mednoisy.data.images import case_name
    from mednoisy.evaluation.read_finished_run import read_finished_run

    for image in images:
        if holds_slices(image):
            continue
        if image.is_dir():
            raise UserError("E201", f"{image} is a folder, not an image", f"Name its files: {image / '*'}")
        if not image.is_file():
            raise UserError("E201", f"{image} does not exist", "Correct the path", case=case_name(image))
    of_run(run, trust=trust)
    # Of an unfinished one, an earlier stage's network could pass for the last one's.
    check_predicts(read_finished_run(run).summary, run)


def _check_datalist(config: Mapping[str, Any], folds: int | None) -> None:
    values: list[Any] = [config.get(name) for name in ("labeled", "fold", "dataset_dir", "validation", "seed")]
    labeled, fold, folder, validation, seed = values
    names = config.get("label_names")
    optional = all(value is None or _is_plain(value) for value in (labeled, fold))
    if optional and all(_is_plain(value) for value in (folder, validation, seed)) and isinstance(names, list):
        datalist = Datalist.load(Path(folder) / "datalist.json", labeled, validation, len(names), fold, seed)
        if folds is not None:
            check_folds(folds, len(datalist.patients("labeled")))


def _is_plain(value: Any) -> bool:
    """Whether a value of the configuration is what it says, not an expression or another entry's."""
    return value is not None and not (isinstance(value, str) and value.startswith(("$", "@", "%")))
