"""What a node shows below itself."""
from __future__ import annotations

import os
from enum import Enum

import folder_paths
import numpy as np
from PIL import Image

from ._io import FolderType, _UIOutput


class SavedResult(dict):
    def __init__(self, filename: str, subfolder: str, type: Enum):
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class PreviewImage(_UIOutput):
    def __init__(self, image, animated: bool = False, cls=None, **kwargs):
        folder, name, count, subfolder, _ = folder_paths.get_save_image_path(
            "preview", folder_paths.get_temp_directory())
        self.values, self.animated = [], animated
        for index, one in enumerate(image):
            file = f"{name}_{count + index:05}_.png"
            pixels = one.mul(255).clamp(0, 255).byte().cpu().numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).save(os.path.join(folder, file))
            self.values.append(SavedResult(file, subfolder, FolderType.temp))

    def as_dict(self):
        return {"images": self.values, "animated": (self.animated,)}


class PreviewVideo(_UIOutput):
    def __init__(self, values: list, **kwargs):
        self.values = values

    def as_dict(self):
        return {"images": self.values, "animated": (True,)}


class PreviewText(_UIOutput):
    def __init__(self, value: str, **kwargs):
        self.value = value

    def as_dict(self):
        return {"text": (self.value,)}
