"""MONAI Label's list of images and labels, every way in guarded: plain names, checked files, kept copies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore

from mednoisy.data.file_formats import SUFFIXES
from mednoisy.data.images import case_name
from mednoisy.errors import UserError
from mednoisy.files import write_text
from mednoisy.monai_label.intake import add_image, keep_version, label_path, save_label
from mednoisy.monai_label.names import checked_tag, known_study
from mednoisy.monai_label.parameters import checked
from mednoisy.monai_label.studies import Study, found_studies
from mednoisy.monai_label.workplace import Workplace


class Studies(LocalDatastore):
    """The studies of a folder, for MONAI Label.

    Args:
        place: the folder.
        classes: names in order of their codes.
        on_label: is given the id of a study whose finished label was saved.
    """

    def __init__(self, place: Workplace, classes: tuple[str, ...], on_label: Callable[[str], None]):
        self.place, self.classes, self.on_label = place, classes, on_label
        self._seen: tuple[int, ...] = ()
        self._listing, self._saving = threading.RLock(), threading.Lock()  # requests come on threads of their own
        super().__init__(str(place.studies), extensions=tuple(f"*{suffix}" for suffix in SUFFIXES))
        self.look()

    def look(self) -> None:
        """Take note of files that were put into the folders, or taken out, since the last look."""
        folders = [self.place.studies, *sorted(path for path in self.place.labels.parent.iterdir() if path.is_dir())]
        seen = tuple(folder.stat().st_mtime_ns for folder in folders)
        with self._listing:
            if seen != self._seen:
                self.refresh()
                self._seen = seen

    def study(self, name: object) -> Study:
        """The study of an id (E571, E572)."""
        return known_study(found_studies(self.place), name)

    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any]) -> str:
        """Put an uploaded image among the studies; its id."""
        with self._saving:
            path = add_image(self.place, image_id or case_name(image_filename), Path(image_filename))
        name = case_name(path)
        with self._listing:
            if name not in self._datastore.objects:
                info = {**checked(image_info), "name": path.name}
                model = ImageLabelModel(image=DataModel(info=info, ext=path.name[len(name) :]))
                self._datastore.objects[name] = model
                self._update_datastore_file()
        return name

    def remove_image(self, image_id: str) -> None:
        """Refused: nobody removes scans over a network (E586)."""
        self.study(image_id)
        raise UserError("E586", "studies are not removed over the network", "Remove the file from the folder")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]) -> str:
        """Check and save a label map, the one before kept; the id of the study."""
        study, tag = self.study(image_id), checked_tag(getattr(label_tag, "value", label_tag))
        told = checked(label_info)
        with self._saving:
            saved = save_label(self.place, study, Path(label_filename), self.classes, told, tag)
        info = {**told, "name": saved.path.name, "voxels": dict(saved.voxels), "version": saved.version}
        with self._listing:
            self.look()
            model = DataModel(info=info, ext=saved.path.name[len(study.id) :])
            self._datastore.objects[study.id].labels[tag] = model
            self._update_datastore_file()
        if tag == self.place.labels.name:
            self.on_label(study.id)
        return study.id

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label map; a copy is kept."""
        study, tag = self.study(label_id), checked_tag(label_tag)
        path = label_path(self.place, study, tag)
        if not path.is_file():
            raise UserError("E571", f"{study.id!r} has no label of the tag {tag}", "See /datastore/?output=all")
        with self._saving:
            keep_version(self.place, study.id, path, tag)
            path.unlink()
        self.look()

    def get_image_uri(self, image_id: str) -> str:
        """The file of a study (E571, E572)."""
        return str(self.study(image_id).image.resolve())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """The file of a label map; E571, there is none."""
        study, tag = self.study(label_id), checked_tag(getattr(label_tag, "value", label_tag))
        path = label_path(self.place, study, tag)
        if not path.is_file() or path.is_symlink():
            raise UserError("E571", f"{study.id!r} has no label of the tag {tag}", "See /datastore/?output=all")
        return str(path.resolve())

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of an image (E571, E572)."""
        self.study(image_id)
        found: dict[str, Any] = super().get_image_info(image_id)
        return found

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Note what a client says of an image (E571, E572, E585)."""
        self.study(image_id)
        with self._listing:
            self.look()
            super().update_image_info(image_id, checked(info))

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label map (E571, E572)."""
        self.get_label_uri(label_id, label_tag)
        found: dict[str, Any] = super().get_label_info(label_id, label_tag)
        return found

    def update_label_info(self, label_id: str, label_tag: str, info: Mapping[str, Any]) -> None:
        """Note what a client says of a label map (E571, E572, E585)."""
        self.get_label_uri(label_id, label_tag)
        with self._listing:
            self.look()
            super().update_label_info(label_id, label_tag, checked(info))

    def json(self) -> dict[str, Any]:
        """The whole list."""
        with self._listing:
            return dict(super().json())

    def status(self) -> dict[str, Any]:
        """How many studies there are, and how many labels of each tag."""
        with self._listing:
            return dict(super().status())

    def list_images(self) -> list[str]:
        """Ids of all studies."""
        with self._listing:
            return list(super().list_images())

    def _list_files(self, path: str, patterns: object) -> dict[str, str]:
        """Names of files that are studies or label maps: neither hidden ones nor links."""
        found: dict[str, str] = super()._list_files(path, patterns)
        inside = self.place.studies.resolve()
        return {
            name: name for name in found
            if not name.startswith(".") and inside in (Path(path) / name).resolve().parents
        }  # fmt: skip

    def _to_id(self, file: str) -> tuple[str, str]:
        name = case_name(file)
        return name, file[len(name) :]

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Whole or not at all: a server that is killed while it writes finds its list again."""
        content = self._datastore.model_dump(exclude={"base_path"})
        write_text(self._datastore_config_path, json.dumps(content, indent=2, default=str))
        self._config_ts = Path(self._datastore_config_path).stat().st_mtime
