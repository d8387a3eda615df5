"""Types of sockets, schemas and the base class of nodes."""
from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from comfy_execution.graph_utils import ExecutionBlocker


class FolderType(str, Enum):
    input = "input"
    output = "output"
    temp = "temp"


class UploadType(str, Enum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class NumberDisplay(str, Enum):
    number = "number"
    slider = "slider"


# ---------------------------------------------------------------- inputs and outputs
class _Socket:
    Parent: Any = None

    @property
    def io_type(self):
        return self.Parent.io_type

    def get_io_type(self):
        return self.io_type


class Input(_Socket):
    def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                 lazy: bool = None, extra_dict=None):
        self.id, self.display_name, self.optional = id, display_name, optional
        self.tooltip, self.lazy, self.extra_dict = tooltip, lazy, extra_dict or {}


class WidgetInput(Input):
    def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                 lazy: bool = None, default: Any = None, socketless: bool = None,
                 widget_type: str = None, force_input: bool = None, extra_dict=None):
        super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)
        self.default, self.socketless = default, socketless
        self.widget_type, self.force_input = widget_type, force_input


class Output(_Socket):
    def __init__(self, id: str = None, display_name: str = None, tooltip: str = None,
                 is_output_list=False):
        self.id, self.display_name, self.tooltip = id, display_name, tooltip
        self.is_output_list = is_output_list


class ComfyTypeI:
    Type, io_type = Any, None

    def __init_subclass__(cls) -> None:
        for name in ("Input", "Output"):
            base = getattr(cls, name, None)
            if base is not None:
                setattr(cls, name, type(name, (base,), {"Parent": cls}))


class ComfyTypeIO(ComfyTypeI):
    Input, Output = Input, Output


def Custom(io_type: str) -> type[ComfyTypeIO]:
    return type("CustomComfyType", (ComfyTypeIO,), {"io_type": io_type})


class Boolean(ComfyTypeIO):
    Type, io_type = bool, "BOOLEAN"

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                     lazy: bool = None, default: bool = None, label_on: str = None,
                     label_off: str = None, socketless: bool = None, force_input: bool = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None,
                             force_input)
            self.label_on, self.label_off = label_on, label_off


class Int(ComfyTypeIO):
    Type, io_type = int, "INT"

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                     lazy: bool = None, default: int = None, min: int = None, max: int = None,
                     step: int = None, control_after_generate: bool = None,
                     display_mode: NumberDisplay = None, socketless: bool = None,
                     force_input: bool = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None,
                             force_input)
            self.min, self.max, self.step, self.display_mode = min, max, step, display_mode
            self.control_after_generate = control_after_generate


class Float(ComfyTypeIO):
    Type, io_type = float, "FLOAT"

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                     lazy: bool = None, default: float = None, min: float = None,
                     max: float = None, step: float = None, round: float = None,
                     display_mode: NumberDisplay = None, socketless: bool = None,
                     force_input: bool = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None,
                             force_input)
            self.min, self.max, self.step, self.round = min, max, step, round
            self.display_mode = display_mode


class String(ComfyTypeIO):
    Type, io_type = str, "STRING"

    class Input(WidgetInput):
        def __init__(self, id: str, display_name: str = None, optional=False, tooltip: str = None,
                     lazy: bool = None, multiline=False, placeholder: str = None,
                     default: str = None, dynamic_prompts: bool = None, socketless: bool = None,
                     force_input: bool = None):
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless, None,
                             force_input)
            self.multiline, self.placeholder = multiline, placeholder
            self.dynamic_prompts = dynamic_prompts


class Combo(ComfyTypeIO):
    Type, io_type = str, "COMBO"

    class Input(WidgetInput):
        def __init__(self, id: str, options: list[str] | list[int] | type[Enum] = None,
                     display_name: str = None, optional=False, tooltip: str = None,
                     lazy: bool = None, default: str | int | Enum = None,
                     control_after_generate: bool = None, upload: UploadType = None,
                     image_folder: FolderType = None, remote=None, socketless: bool = None):
            if isinstance(options, type):
                options = [one.value for one in options]
            default = default.value if isinstance(default, Enum) else default
            super().__init__(id, display_name, optional, tooltip, lazy, default, socketless)
            self.options, self.upload, self.image_folder = options, upload, image_folder
            self.control_after_generate, self.remote = control_after_generate, remote


class Image(ComfyTypeIO):
    Type, io_type = torch.Tensor, "IMAGE"


class Mask(ComfyTypeIO):
    Type, io_type = torch.Tensor, "MASK"


class Video(ComfyTypeIO):
    io_type = "VIDEO"


class AnyType(ComfyTypeIO):
    io_type = "*"


class BBOX(ComfyTypeIO):
    io_type = "BBOX"


class MultiType:
    Type = Any

    class Input(Input):
        def __init__(self, id: str | Input, types: list, display_name: str = None, optional=False,
                     tooltip: str = None, lazy: bool = None, extra_dict=None):
            super().__init__(id, display_name, optional, tooltip, lazy, extra_dict)
            self._io_types = types

        @property
        def io_types(self):
            return self._io_types

        def get_io_type(self):
            return ",".join(dict.fromkeys(one.io_type for one in self.io_types))


# ---------------------------------------------------------------- schemas
class Hidden(str, Enum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"


class HiddenHolder:
    def __init__(self, values: dict):
        self._values = {Hidden(key).name: value for key, value in values.items()}

    def __getattr__(self, key: str):
        return self.__dict__["_values"].get(key)


@dataclass
class Schema:
    node_id: str
    display_name: str = None
    category: str = "sd"
    inputs: list[Input] = None
    outputs: list[Output] = None
    hidden: list[Hidden] = None
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False

    def validate(self):
        ids = [one.id for one in [*(self.inputs or []), *(self.outputs or [])]]
        if len(set(ids)) != len(ids):
            raise ValueError(f"ids of inputs and outputs must be unique: {ids}")

    def finalize(self):
        if self.is_output_node:
            self.hidden = [*(self.hidden or []), Hidden.prompt, Hidden.extra_pnginfo]
        for index, output in enumerate(self.outputs or []):
            if output.id is None:
                output.id = f"_{index}_{output.io_type}_"


class ComfyNode:
    SCHEMA: Schema = None
    hidden: HiddenHolder = None

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, **kwargs) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, **kwargs) -> bool:
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, **kwargs) -> Any:
        raise NotImplementedError

    @classmethod
    def check_lazy_status(cls, **kwargs) -> list[str]:
        return [name for name in kwargs if kwargs[name] is None]

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        cls.SCHEMA = cls.FINALIZE_SCHEMA()
        cls.SCHEMA.validate()
        return cls.SCHEMA

    @classmethod
    def FINALIZE_SCHEMA(cls):
        schema = cls.define_schema()
        schema.finalize()
        return schema

    @classmethod
    def PREPARE_CLASS_CLONE(cls, hidden_inputs: dict) -> type[ComfyNode]:
        hidden = HiddenHolder(hidden_inputs or {})
        return type(cls.__name__ + "Clone", (cls,), {"hidden": hidden})

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args, **kwargs) -> NodeOutput:
        return cls._normal(cls.execute(*args, **kwargs))

    @classmethod
    async def EXECUTE_NORMALIZED_ASYNC(cls, *args, **kwargs) -> NodeOutput:
        return cls._normal(await cls.execute(*args, **kwargs))

    @classmethod
    def _normal(cls, out: Any) -> NodeOutput:
        if isinstance(out, ExecutionBlocker):
            out = NodeOutput(block_execution=out.message)
        out = NodeOutput() if out is None else NodeOutput(*out) if isinstance(out, tuple) else out
        if not isinstance(out, NodeOutput):
            raise Exception(f"a node returned {type(out)}")
        if out.expand is not None and not cls.SCHEMA.enable_expand:
            raise Exception(f"{cls.__name__} expands without enable_expand")
        return out


class NodeOutput:
    def __init__(self, *args: Any, ui: _UIOutput | dict = None, expand: dict = None,
                 block_execution: str = None):
        self.args, self.ui, self.expand = args, ui, expand
        self.block_execution = block_execution

    @property
    def result(self):
        return self.args if len(self.args) > 0 else None

    def __getitem__(self, index) -> Any:
        return self.args[index]


class _UIOutput(ABC):
    @abstractmethod
    def as_dict(self) -> dict:
        ...
