"""Lets torchvision from the general index be imported beside a CPU torch: its operators have no library there.

`make test-label` puts this file and a `.pth` that imports it into the environment. torchvision then fails at import
("operator torchvision::nms does not exist"), since it registers further kernels of operators that its CUDA library
would declare. They are declared here, without kernels, once torchvision is looked for; nothing in MONAI Label's
segmentation calls them.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

DECLARED = []  # libraries, which end with their last reference


class _Finder:
    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """None always: declares the operators when torchvision, built for another torch, is about to be imported."""
        if name != "torchvision" or DECLARED:
            return
        if version("torch").partition("+")[2] == version("torchvision").partition("+")[2]:
            return
        import torch

        if torch._C._jit_get_schemas_for_operator("torchvision::nms"):
            return
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        DECLARED.append(library)


sys.meta_path.insert(0, _Finder)
