"""The nodes: schemas and short `execute`s; what they compute is in lgfa/."""
from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import (
    animate,
    content,
    examples,
    folders,
    language,
    load,
    motion,
    photo,
    render,
    shape,
    train,
)

folders.register()          # ComfyUI of 2025 knows no other moment: it calls no `on_load`

# Literal, so that tools can read it without running anything; a test compares it with the groups.
NODE_CLASS_MAPPINGS: dict[str, type[io.ComfyNode]] = {
    "LGFA_LoadGenerator": load.LoadGenerator,
    "LGFA_LoadFaceEncoder": load.LoadFaceEncoder,
    "LGFA_LoadCLIP": load.LoadCLIP,
    "LGFA_LoadMotionModel": load.LoadMotionModel,
    "LGFA_LoadDomain": load.LoadDomain,
    "LGFA_LoadExample": examples.LoadExample,
    "LGFA_AlignFace": photo.AlignFace,
    "LGFA_PasteFaceBack": photo.PasteFaceBack,
    "LGFA_EncodeText": language.EncodeText,
    "LGFA_EncodeImage": language.EncodeImage,
    "LGFA_InvertFace": content.InvertFace,
    "LGFA_SampleFace": content.SampleFace,
    "LGFA_MixLatents": content.MixLatents,
    "LGFA_SaveLatents": content.SaveLatents,
    "LGFA_LoadLatents": content.LoadLatents,
    "LGFA_RecurrentMotion": motion.RecurrentMotion,
    "LGFA_MotionMapper": motion.MotionMapper,
    "LGFA_ChainExpressions": motion.ChainExpressions,
    "LGFA_Timeline": motion.Timeline,
    "LGFA_ShapeTrajectory": shape.ShapeTrajectory,
    "LGFA_JoinTrajectories": shape.JoinTrajectories,
    "LGFA_BlendTrajectories": shape.BlendTrajectories,
    "LGFA_RenderAnimation": render.RenderAnimation,
    "LGFA_AnimateFace": animate.AnimateFace,
    "LGFA_TrainingSource": train.TrainingSource,
    "LGFA_LossWeights": train.LossWeights,
    "LGFA_TrainMotionModel": train.TrainMotionModel,
}


class LGFAExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return list(NODE_CLASS_MAPPINGS.values())
