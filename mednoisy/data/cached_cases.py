"""Cases whose deterministic preprocessing is done once and kept in RAM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cached_property
from typing import Any

import torch
from monai.data import MetaTensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mednoisy.data.ignored_voxels import IGNORED
from mednoisy.data.training_data import AS_READ
from mednoisy.errors import user_error_behind

log = logging.getLogger(__name__)


class CachedCases(Dataset):
    """Preprocessed cases as plain tensors.

    An item is `{"id": str, "image": (C, *spatial) float32, "spacing": tuple}` and, where the case has one,
    `"label": (*spatial) uint8`, `IGNORED` where nobody looked, and of a volume `AS_READ`. Items are shared, not copied:
    never change them in place.

    Args:
        data: cases of a datalist, `{"id", "image", "label"?}`; kept as `data`. `id` may come from the transform.
        transform: deterministic; gives MetaTensors `image` and perhaps `label`, channels first.
        workers: threads (reading, unpacking and resampling leave Python's lock); 0 for none.

    Raises:
        UserError: what a case's file is refused for, also from within MONAI's `Compose`.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[dict[str, Any]], Mapping[str, Any]],
        workers: int = 0,
    ):
        self.data, self.transform, self.workers = [dict(case) for case in data], transform, workers
        with ThreadPoolExecutor(max(workers, 1)) as pool:
            results = pool.map if workers else map
            done = results(lambda case: _prepared(case, transform), self.data)
            try:
                self.items = list(tqdm(done, total=len(self.data), desc="cases", unit="case", disable=None))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        log.info("cached %d cases, %.2f GB of RAM", len(self), self.nbytes / 1e9)

    @property
    def nbytes(self) -> int:
        """Bytes of RAM that the tensors take; a repeated case counts once."""
        items = {id(item): item for item in self.items}.values()
        tensors = (value for item in items for value in item.values() if isinstance(value, torch.Tensor))
        return sum(tensor.nbytes for tensor in tensors)

    @cached_property
    def partly_labeled(self) -> bool:
        """Whether some label holds `IGNORED`."""
        return any(bool((item["label"] == IGNORED).any()) for item in self.items if "label" in item)

    def partly_looked_at(self) -> CachedCases:
        """The cases whose label holds `IGNORED`, each once; their items are shared."""
        fewer = copy(self)
        fewer.__dict__.pop("partly_labeled", None)
        rows = {id(item): row for row, item in enumerate(self.items) if bool((item["label"] == IGNORED).any())}
        fewer.data, fewer.items = ([kept[row] for row in rows.values()] for kept in (self.data, self.items))
        return fewer

    def extended(self, data: Sequence[Mapping[str, Any]], repeats: int = 1) -> CachedCases:
        """These cases `repeats` times and, behind them, those of `data`, prepared in the same way.

        The cases held already are shared, not prepared again; they themselves stay as they are.
        """
        longer = CachedCases(data, self.transform, self.workers)
        longer.data, longer.items = self.data * repeats + longer.data, self.items * repeats + longer.items
        return longer

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.items[index]


class AllImages(Dataset):
    """The cases of several sections as one, without their labels.

    Args:
        sections: `CachedCases`, or slices of them; their items are shared.
        left_out: ids of cases that are none of them.
        words: what they are, for messages.
    """

    def __init__(self, sections: Sequence[Any], left_out: Container[str] = (), words: str = "labeled or not"):
        self.sections, self.words = list(sections), words
        self._places = [
            (section, index)
            for section in self.sections
            for index in range(len(section))
            if section[index]["id"] not in left_out
        ]

    @property
    def items(self) -> list[dict[str, Any]]:
        """Those of all sections, as they hold them."""
        return [item for section in self.sections for item in section.items]

    @property
    def nbytes(self) -> int:
        """Bytes of RAM that the sections take."""
        return sum(section.nbytes for section in self.sections)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        section, place = self._places[index]
        return {key: value for key, value in section[place].items() if key != "label"}


def _prepared(case: dict[str, Any], transform: Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    try:
        result = transform(dict(case))
    except Exception as error:
        raise user_error_behind(error) or error from error
    image = result["image"]
    if not isinstance(image, MetaTensor):
        raise ValueError("the transform must keep the image a MetaTensor, which knows the spacing of its voxels")
    spacing = tuple(float(step) for step in image.pixdim[: image.ndim - 1])
    item = {"id": str(result.get("id", case.get("id"))), "image": _plain(image, torch.float32), "spacing": spacing}
    if AS_READ in image.meta:
        item[AS_READ] = image.meta[AS_READ]
    if "label" in result:
        item["label"] = _plain(result["label"][0], torch.uint8)
    return item


def _plain(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    plain = tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
    plain = plain.to(dtype).contiguous()
    # A view of a larger volume, such as a crop, would keep all of it in RAM.
    return plain if plain.untyped_storage().nbytes() == plain.nbytes else plain.clone()
