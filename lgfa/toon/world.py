"""The toon domain's truth in one object, for what trains and measures drawn domains."""
from __future__ import annotations

from ..drawn.world import World
from . import captions, sampling
from .parameters import IDENTITY, PARAMETERS, POSE, expression_table
from .renderer import render

TOON = World(
    name="toon",
    parameters=PARAMETERS,
    who=len(IDENTITY),
    pose=POSE,
    outfit=("backdrop", "shirt"),
    expressions=expression_table(),
    words=captions.WORDS,
    z_dim=sampling.Z_DIM,
    draw=render,
    people=sampling.identities,
    faces=sampling.domain_params,
    with_expression=sampling.with_expression,
    z_from_params=sampling.z_from_params,
    params_from_z=sampling.params_from_z,
    bends=sampling.bends,
)
