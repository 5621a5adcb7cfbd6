"""The learning rate's course and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from faceedit.train.settings import LoopSettings


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Linear warm-up, then a cosine from `learning_rate` down to `final_learning_rate` at the last step.

    It depends on nothing but the step's number, so that a resumed run needs no schedule state.
    """
    peak, last = settings.learning_rate, settings.final_learning_rate
    if step < settings.warmup:
        return peak * (step + 1) / settings.warmup
    done = min(1.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup))
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * done))


class MovingAverage:
    """Exponential moving average of named parameters; buffers are taken as they are."""

    def __init__(self, modules: Mapping[str, nn.Module], decay: float) -> None:
        self.decay = decay
        self.shadow = {name: p.detach().clone() for name, p in named_parameters(modules)}

    @torch.no_grad()
    def update(self, modules: Mapping[str, nn.Module], step: int) -> None:
        """shadow <- d * shadow + (1 - d) * weights, where d grows with the step so that the start is forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = [p.detach() for _, p in named_parameters(modules)]
        torch._foreach_lerp_(list(self.shadow.values()), parameters, 1 - decay)

    @contextmanager
    def applied(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """The modules hold the averaged weights inside the block and their own again afterwards."""
        own = {name: p.detach().clone() for name, p in named_parameters(modules)}
        _copy(modules, self.shadow)
        try:
            yield
        finally:
            _copy(modules, own)


def named_parameters(modules: Mapping[str, nn.Module]) -> list[tuple[str, nn.Parameter]]:
    """Every trainable parameter of the modules as ("module.path", parameter), in a fixed order."""
    return [
        (f"{key}.{name}", p)
        for key, module in modules.items()
        for name, p in module.named_parameters()
        if p.requires_grad
    ]


@torch.no_grad()
def _copy(modules: Mapping[str, nn.Module], values: Mapping[str, Tensor]) -> None:
    for name, parameter in named_parameters(modules):
        parameter.copy_(values[name])
