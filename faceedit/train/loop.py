"""The one training loop: seeded, resumable to the bit, on a CPU, one GPU or several processes (accelerate)."""

from __future__ import annotations

import dataclasses
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.errors import NumericError
from faceedit.train.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from faceedit.train.ema import MovingAverage, learning_rate, named_parameters
from faceedit.train.log import Diary
from faceedit.train.memory import keep_freed_memory
from faceedit.train.settings import LoopSettings

Modules = Mapping[str, nn.Module]
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Figures by name and, where there is something to look at, a sheet uint8 [H, W, 3] sRGB."""

    figures: dict[str, float]
    sheet: NDArray[np.uint8] | None = None


class Objective(Protocol):
    """What is trained. A batch depends on its number alone, which is what makes a resumed run exact."""

    name: str

    def build(self) -> dict[str, nn.Module]:
        """The modules, initialised from the objective's seed; parameters with `requires_grad` are trained."""

    def batch(self, index: int) -> Batch:
        """The index-th batch of CPU tensors, always the same for the same index."""

    def loss(self, modules: Modules, batch: Batch, step: int, /) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar loss and its parts, detached, to be logged."""

    def evaluate(self, modules: Modules) -> Evaluation:
        """Figures on validation seeds; called with the averaged weights in eval mode."""

    def export(self, modules: Modules, folder: Path) -> None:
        """Write the averaged weights the way that diffusers and transformers read them."""


def train(objective: Objective, settings: LoopSettings, out: Path, resume: bool = False) -> Progress:
    """Train an objective until `settings.steps` steps are done, the time is up, or a signal asks to stop.

    Writes into `out`: `checkpoints/STEP/`, `log.jsonl`, `curve.png`, `sheets/STEP.png`, and `export/` at the end.
    The state after n steps is the same to the bit whether or not the run was interrupted, on the same machine with
    the same number of threads and processes.

    Args:
        objective: what to train; see `Objective`.
        settings: the loop's settings.
        out: the run's folder; created.
        resume: go on from the newest checkpoint in `out`, if there is one.

    Raises:
        NumericError: the loss is not finite; the step is named and the last checkpoint stays.
        WeightsError: the checkpoint does not fit the model.
        KeyboardInterrupt: after a checkpoint was written, when SIGINT stopped the run.
    """
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    accelerator = Accelerator(mixed_precision=settings.precision)
    out.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        built = objective.build()
    modules = {name: _placed(module, accelerator.device) for name, module in built.items()}
    parameters = [p for _, p in named_parameters(modules)]
    optimizer = torch.optim.AdamW(
        _decayed(modules, settings.weight_decay), settings.learning_rate, (settings.beta1, settings.beta2), fused=True
    )
    average = MovingAverage(modules, settings.ema)
    progress, plain = Progress(), dataclasses.asdict(settings)
    checkpoints = out / "checkpoints"
    found = latest_checkpoint(checkpoints) if resume else None
    if found is not None:
        progress, _ = load_checkpoint(found, modules, average, optimizer)
    main = accelerator.is_main_process
    diary = Diary(out, objective.name, settings.steps, progress.step) if main else None
    began, started_at, seen = time.monotonic(), progress.seconds, 0
    sums: dict[str, float] = {}

    def spent() -> float:
        return started_at + time.monotonic() - began

    def keep() -> None:
        if main:
            save_checkpoint(checkpoints, modules, average, optimizer, progress, plain, settings.keep_checkpoints)

    def review() -> None:
        if diary is not None:
            evaluation = _evaluated(objective, modules, average)
            diary.write({"step": progress.step, "samples": progress.samples, "evaluation": evaluation.figures})
            diary.say(", ".join(f"{name} {value:.4g}" for name, value in evaluation.figures.items()))
            if evaluation.sheet is not None:
                _write_sheet(out / "sheets" / f"{progress.step:08d}.png", evaluation.sheet)

    with _stop_requested() as stop:
        while progress.step < settings.steps:
            step = progress.step
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, settings)
            parts: dict[str, float] = {}
            for micro in range(settings.accumulate):
                index = (step * settings.accumulate + micro) * accelerator.num_processes + accelerator.process_index
                batch = {k: _onto(t, accelerator.device) for k, t in objective.batch(index).items()}
                with accelerator.autocast():
                    loss, named = objective.loss(modules, batch, step)
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise NumericError(
                        f"the loss of {objective.name} is {value} at step {step}",
                        "lower loop.learning_rate and resume from the last checkpoint",
                    )
                accelerator.backward(loss / settings.accumulate)
                for name, part in {"total": loss, **named}.items():
                    parts[name] = parts.get(name, 0.0) + float(part.detach()) / settings.accumulate
            if accelerator.num_processes > 1:
                _average_gradients(parameters, accelerator)
            parts["gradient_norm"] = float(torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            average.update(modules, step)
            seen += settings.batch * settings.accumulate * accelerator.num_processes
            samples = progress.samples + settings.batch * settings.accumulate * accelerator.num_processes
            progress = Progress(step + 1, samples, spent())
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + value
            if diary is not None:
                speed = seen / (time.monotonic() - began)
                left = (settings.steps - progress.step) * (time.monotonic() - began) * settings.batch / (seen or 1)
                diary.progress(progress.step, parts["total"], speed, left * settings.accumulate)
                if progress.step % settings.log_every == 0:
                    diary.write(
                        {
                            "step": progress.step,
                            "samples": progress.samples,
                            "seconds": round(progress.seconds, 2),
                            "samples_per_second": round(speed, 2),
                            "learning_rate": learning_rate(step, settings),
                            "loss": {name: total / settings.log_every for name, total in sums.items()},
                        }
                    )
                    sums.clear()
            if progress.step % settings.evaluate_every == 0 and progress.step < settings.steps:
                review()
            if progress.step % settings.checkpoint_every == 0:
                keep()
            if stop.is_set() or (settings.max_minutes and time.monotonic() - began > 60 * settings.max_minutes):
                break
        keep()
        review()
        if diary is not None:
            with average.applied(modules), torch.no_grad():
                objective.export({name: module.eval() for name, module in modules.items()}, out / "export")
            diary.close()
    if stop.interrupted:
        raise KeyboardInterrupt
    return progress


def _placed(module: nn.Module, device: torch.device) -> nn.Module:
    """Convolutional networks run faster with channels last; the flag is harmless for the others."""
    return module.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def _onto(tensor: Tensor, device: torch.device) -> Tensor:
    if tensor.ndim == 4 and tensor.is_floating_point():
        return tensor.to(device=device, memory_format=torch.channels_last)
    return tensor.to(device)


def _decayed(modules: Modules, decay: float) -> list[dict[str, Any]]:
    """One group in the order of `named_parameters`: checkpoints name the optimiser's slots by that order.

    Vectors (biases, norms, temperature) decay too little to matter at the small decay used here.
    """
    return [{"params": [p for _, p in named_parameters(modules)], "weight_decay": decay}]


def _average_gradients(parameters: list[nn.Parameter], accelerator: Accelerator) -> None:
    """Mean of the processes' gradients in one transfer; a module's loss may then call any of its methods."""
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = accelerator.reduce(torch.cat([g.reshape(-1) for g in grads]), reduction="mean")
    for parameter, grad, piece in zip(parameters, grads, flat.split([g.numel() for g in grads]), strict=True):
        parameter.grad = piece.view_as(grad)


def _evaluated(objective: Objective, modules: Modules, average: MovingAverage) -> Evaluation:
    with average.applied(modules), torch.no_grad():
        for module in modules.values():
            module.eval()
        evaluation = objective.evaluate(modules)
        for module in modules.values():
            module.train()
    return evaluation


def _write_sheet(path: Path, sheet: NDArray[np.uint8]) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


class _Stop(threading.Event):
    interrupted = False


@contextmanager
def _stop_requested() -> Iterator[_Stop]:
    """SIGINT and SIGTERM end the run after the current step, so that its checkpoint is a whole one."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, _frame: object) -> None:
        stop.interrupted = number == signal.SIGINT
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
