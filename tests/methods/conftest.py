"""What the baselines' tests share."""
from __future__ import annotations

import pytest
import torch
from tiny import tiny_clip_config, tiny_generator

from lgfa.config import IdentityConfig
from lgfa.embed.clip import CLIP
from lgfa.embed.identity import Identity
from lgfa.methods.baselines import Parts


@pytest.fixture(scope="module")
def parts() -> Parts:
    generator = tiny_generator()
    torch.manual_seed(5)
    clip = CLIP(tiny_clip_config()).eval()
    identity = Identity(IdentityConfig(16, (4, 4, 8, 8, 8), (1, 1, 1, 1), 8)).eval()
    return Parts(generator, clip, identity)
