"""How fast an edit is, in one run: start-up, cold and warm edit, memory, and the floor that the models set.

The floor is what the models alone take: the very calls that a warm edit makes (noise prediction, encoding and
decoding, the text encoder), recorded with their inputs and run once more with nothing around them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from faceedit.errors import FaceEditError

if TYPE_CHECKING:
    from torch import nn

T = TypeVar("T")

HELP_RUNS = 3
PROMPT = "rosy cheeks"
_CHILD = "import json, sys; from faceedit.bench import child; print(json.dumps(child(json.load(sys.stdin))))"


@dataclass(frozen=True)
class BenchReport:
    """The figures of one run; times in seconds, memory in bytes.

    Attributes:
        recipe: name of the recipe.
        editor: name of the editor.
        device: what the models ran on.
        threads: CPU threads of torch.
        size: side of the model's crop in pixels.
        help_seconds: `faceedit --help` in a fresh process, median of three.
        import_seconds: importing what an edit needs.
        load_seconds: loading the models.
        first_seconds: the first edit after loading.
        warm_seconds: an edit with the models loaded, from the encoded picture to the encoded result; best of all.
        prepare_seconds: of that, reading the picture, finding the face and the place.
        edit_seconds: of that, the editor's own part and pasting back.
        encode_seconds: of that, encoding the result with its record.
        floor_seconds: the bare model calls of that edit; best of all.
        ratio: warm_seconds / floor_seconds.
        edit_ratio: edit_seconds / floor_seconds.
        calls: class of the model -> number of its calls in one edit.
        peak_memory: highest resident memory of the process, or `None` where the system does not tell.
        device_memory: highest memory of an accelerator, or `None` on the CPU.
    """

    recipe: str
    editor: str
    device: str
    threads: int
    size: int
    help_seconds: float
    import_seconds: float
    load_seconds: float
    first_seconds: float
    warm_seconds: float
    prepare_seconds: float
    edit_seconds: float
    encode_seconds: float
    floor_seconds: float
    ratio: float
    edit_ratio: float
    calls: dict[str, int]
    peak_memory: int | None
    device_memory: int | None


def bench(options: dict[str, Any], repeats: int = 3) -> BenchReport:
    """Measures in fresh processes, so that nothing this one has loaded counts.

    Args:
        options: fields of `faceedit.request.Request` by name (recipe, device, settings, ...); plain JSON values.
        repeats: warm edits and floors measured, in turns; the best of each counts, as other work only adds time.

    Raises:
        FaceEditError: the edit failed, with the exit code that it has in `faceedit edit`.
    """
    task = json.dumps({"options": options, "repeats": repeats})
    done = subprocess.run([sys.executable, "-c", _CHILD], input=task, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise FaceEditError(f"the measured process failed: {last}", "see what faceedit edit --debug says")
    answer = json.loads(lines[-1])
    if "error" in answer:
        failure = FaceEditError(answer["error"]["message"], answer["error"]["hint"])
        failure.exit_code = answer["error"]["code"]
        raise failure
    start_up = statistics.median(_timed(_help)[0] for _ in range(HELP_RUNS))
    return BenchReport(help_seconds=start_up, **answer)


def child(task: dict[str, Any]) -> dict[str, Any]:
    """The measured process: all fields of `BenchReport` but `help_seconds`, or the error that ended it."""
    try:
        return _measure(task["options"], task["repeats"])
    except FaceEditError as error:
        return {"error": {"code": error.exit_code, "message": str(error), "hint": error.hint}}


def _measure(options: dict[str, Any], repeats: int) -> dict[str, Any]:
    import_seconds, _ = _timed(_import_walk)
    import torch

    from faceedit.backend import choose_recipe
    from faceedit.provenance import encode_result
    from faceedit.request import Request
    from faceedit.run import edit_prepared, load_editor, prepare

    request = Request(image=_photograph(), prompts=(PROMPT,), **options)
    choice = choose_recipe(request)
    loaded = _timed(lambda: load_editor(choice.recipe))
    editor = cast("Any", loaded[1])

    def walk() -> tuple[float, float, float]:
        prepare_seconds, prepared = _timed(lambda: prepare(request, choice))
        edit_seconds, result = _timed(lambda: edit_prepared(prepared, request, editor=editor))
        return prepare_seconds, edit_seconds, _timed(lambda: encode_result(result))[0]

    first = sum(walk())
    with recorded_calls(models_of(editor)) as calls:
        walk()
    walks, floors = [], []
    for _ in range(repeats):
        walks.append(walk())
        floors.append(_timed(lambda: replay_calls(calls))[0])
    best, floor = min(walks, key=sum), min(floors)
    device = editor.components.device
    return {
        "recipe": choice.recipe.name,
        "editor": choice.recipe.editor,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "size": editor.size,
        "import_seconds": import_seconds,
        "load_seconds": loaded[0],
        "first_seconds": first,
        "warm_seconds": sum(best),
        "prepare_seconds": best[0],
        "edit_seconds": best[1],
        "encode_seconds": best[2],
        "floor_seconds": floor,
        "ratio": sum(best) / floor,
        "edit_ratio": best[1] / floor,
        "calls": dict(Counter(type(call.model).__name__ for call in calls)),
        "peak_memory": peak_memory(),
        "device_memory": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
    }


def models_of(editor: Any) -> list[nn.Module]:
    """The networks among an editor's components."""
    from torch import nn

    return [part for part in vars(editor.components).values() if isinstance(part, nn.Module)]


@dataclass(frozen=True)
class Call:
    """One call of a network (or of a part that is called on its own, such as a VAE's decoder), with its inputs."""

    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@contextmanager
def recorded_calls(models: list[nn.Module]) -> Iterator[list[Call]]:
    """Collects the outermost calls of networks made inside the block, in order."""
    calls: list[Call] = []
    depth = 0

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal depth
        if depth == 0:
            calls.append(Call(module, args, kwargs))
        depth += 1

    def leave(_module: nn.Module, _args: tuple[Any, ...], _output: Any) -> None:
        nonlocal depth
        depth -= 1

    parts = {id(part): part for model in models for part in model.modules()}.values()
    hooks = [part.register_forward_pre_hook(enter, with_kwargs=True) for part in parts]
    hooks += [part.register_forward_hook(leave, always_call=True) for part in parts]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def replay_calls(calls: list[Call]) -> None:
    """The recorded calls once more, and nothing else; waits until the device is done."""
    import torch

    with torch.no_grad():
        for call in calls:
            call.model(*call.args, **call.kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        elif torch.backends.mps.is_available():
            torch.mps.synchronize()


def peak_memory() -> int | None:
    """Highest resident memory of this process in bytes; `None` where the system has no `getrusage` (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _photograph() -> bytes:
    import io

    from PIL import Image
    from skimage import data

    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "PNG")
    return buffer.getvalue()


def _import_walk() -> None:
    import faceedit.models.loader
    import faceedit.run  # noqa: F401


def _help() -> None:
    subprocess.run([sys.executable, "-m", "faceedit", "--help"], stdout=subprocess.DEVNULL, check=True)


def _timed(function: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result
