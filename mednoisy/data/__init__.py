"""Cases, datalists, readers and numbered draws."""

from typing import TYPE_CHECKING

from mednoisy.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from mednoisy.data.batch import Batch
    from mednoisy.data.counter_based_random import Draw
    from mednoisy.data.datalist import Datalist
    from mednoisy.data.image import Image
    from mednoisy.data.images import read_image
    from mednoisy.data.label_maps import LabelMap, read_label_map
    from mednoisy.data.phantoms import make_dataset
else:
    __getattr__, __dir__ = lazy_exports(
        __name__,
        {
            "mednoisy.data.batch": ("Batch",),
            "mednoisy.data.datalist": ("Datalist",),
            "mednoisy.data.counter_based_random": ("Draw",),
            "mednoisy.data.image": ("Image",),
            "mednoisy.data.images": ("read_image",),
            "mednoisy.data.label_maps": ("LabelMap", "read_label_map"),
            "mednoisy.data.phantoms": ("make_dataset",),
        },
    )

__all__ = ["Batch", "Datalist", "Draw", "Image", "LabelMap", "make_dataset", "read_image", "read_label_map"]
