"""Networks that start from a file of weights: of a network of this package, or of a classifier trained on ImageNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mednoisy.engines.stages import Stage, named_networks
from mednoisy.errors import UserError
from mednoisy.networks.imagenet_weights import load_pretrained_where_it_fits
from mednoisy.networks.transfer import fit_of, transfer_weights
from mednoisy.networks.weight_files import read_encoders


def start_from_file(stages: Sequence[Stage], file: Path | str) -> list[str]:
    """Start the networks that stages train, in place, from the encoders of a file; a line for each that was started.

    A network takes the encoder that fits it as a whole: every entry of its own encoder is there, in its shape. One for
    which there is none keeps its weights, and its line says what did not fit. Decoders and heads begin anew.

    Args:
        stages: of a run.
        file: `models/model.pt` of a run, one of its `checkpoints`, a pretext's among them; or weights that torchvision
            or timm release, see `load_pretrained`.

    Raises:
        UserError: E340 the file is missing or unreadable; E547 its encoders fit none of the networks; of a file without
            any encoder, what `load_pretrained_where_it_fits` refuses: E341, E343 and E344.
    """
    networks, encoders = named_networks(stages), read_encoders(Path(file))
    if not encoders:
        return [str(read) for read in load_pretrained_where_it_fits([network for _, network in networks], file)]
    lines, started = [], 0
    for name, network in networks:
        fits = {source: fit_of(weights, network) for source, weights in encoders.items()}
        source = max(fits, key=lambda each: fits[each].matching)
        if fits[source].whole:
            lines.append(f"{name}: {transfer_weights(encoders[source], network)} of {file}")
            started += 1
        else:
            lines.append(f"{name}: {fits[source]}")
    if not started:
        cause = f"weights {file} fit no network of this run, {', '.join(lines)}"
        cure = "Give weights of the same encoder: its class, width, levels, norm and image channels"
        raise UserError("E547", cause, cure)
    return lines
