"""What a finished run deploys, written for other programs, opened again and compared."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mednoisy.export.check import check_export
from mednoisy.export.deployed_run import DeployedRun, deployed_run
from mednoisy.export.frozen_bundle import write_bundle
from mednoisy.export.single_files import (
    no_torchscript,
    open_onnx,
    open_torchscript,
    write_onnx,
    write_torchscript,
)
from mednoisy.export.verification import checked_difference, network_of_bundle, same_at_another_size
from mednoisy.export.zoo_archive import pack, write_large_files
from mednoisy.files import folder_written_aside, written_aside
from mednoisy.notices import tell


@dataclass(frozen=True)
class Exported:
    """What was written, and how far its logits of a random patch are from the run's."""

    path: Path
    difference: float


def export_run(
    folder: Path | str, output: Path | str, kind: str, *, trust: bool = False, url: str | None = None
) -> Exported:
    """Write what a run deploys; whole or not at all.

    Args:
        folder: of the finished run, perhaps a cross-validated one.
        output: a file, or for `monai-label` a folder; absent.
        kind: of `ENDINGS`.
        trust: whether the run's configuration may be any program, see `check_trusted`.
        url: of the weights, for `zoo`: where they are, or will be, published.

    Raises:
        UserError: as `check_export` and `deployed_run`; E554 and E556, what the network cannot be written as, or not
            without change; E320, the disk is full.
    """
    output = Path(output)
    check_export(output, kind, url)
    run = deployed_run(folder, trust=trust)
    return _zoo(run, output, url) if kind == "zoo" else WRITERS[kind](run, output)


def _torchscript(run: DeployedRun, output: Path) -> Exported:
    """The network's program, or, where that cannot be said, its trace if that is right at another size."""
    with written_aside(output) as aside:
        why = write_torchscript(run, aside)
        if why is not None and not same_at_another_size(run, open_torchscript(aside)):
            raise no_torchscript(run, why)
        return Exported(output, checked_difference(run, open_torchscript(aside), output))


def _onnx(run: DeployedRun, output: Path) -> Exported:
    """Of any size where the network is the same at another one; else of the patch's."""
    with written_aside(output) as aside:
        write_onnx(run, aside, any_size=True)
        if not same_at_another_size(run, open_onnx(aside)):
            write_onnx(run, aside, any_size=False)
            tell(f"the network of {output.name} takes {' x '.join(map(str, run.patch_size))} voxels alone")
        return Exported(output, checked_difference(run, open_onnx(aside), output))


def _zoo(run: DeployedRun, output: Path, url: str | None) -> Exported:
    with TemporaryDirectory(prefix="mednoisy-") as place:
        folder = Path(place) / output.stem
        folder.mkdir()
        write_bundle(run, folder, output.stem)
        write_large_files(folder, url)
        with written_aside(output) as aside:
            pack(folder, aside)
            opened = Path(place) / "opened"
            shutil.unpack_archive(aside, opened, "zip")
            exported = Exported(output, checked_difference(run, network_of_bundle(opened / output.stem), output))
    if url is None:
        tell(f"large_files.yml in {output.name} names no address of the weights; --url says where they are published")
    return exported


def _bundle(run: DeployedRun, output: Path) -> Exported:
    with folder_written_aside(output) as aside:
        write_bundle(run, aside, output.name)
        return Exported(output, checked_difference(run, network_of_bundle(aside), output))


WRITERS: dict[str, Callable[[DeployedRun, Path], Exported]] = {
    "torchscript": _torchscript,
    "onnx": _onnx,
    "monai-label": _bundle,
}
