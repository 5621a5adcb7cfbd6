"""Every argument and option, defined once, so that a name means the same in every verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

ENV_PREFIX = "FACEEDIT_"


def env_name(flag: str) -> str:
    """The environment variable of an option: "--source-prompt" reads FACEEDIT_SOURCE_PROMPT."""
    return ENV_PREFIX + flag.lstrip("-").replace("-", "_").upper()


def _option(*flags: str, text: str, **more: Any) -> Any:
    return typer.Option(*flags, help=text, envvar=env_name(flags[0].partition("/")[0]), show_envvar=False, **more)


# Arguments
Image = Annotated[str, typer.Argument(metavar="IMAGE", help="The picture; - reads it from stdin.")]
Prompts = Annotated[
    list[str], typer.Argument(metavar="PROMPT", help='What to change, e.g. "rosy cheeks"; several make one edit.')
]
OptionalPrompts = Annotated[
    list[str] | None, typer.Argument(metavar="PROMPT", help="What would change; not needed with --region or --mask.")
]
Pictures = Annotated[
    list[Path], typer.Argument(metavar="PICTURE", help="Pictures of one size; the first is the reference.")
]
ResultFile = Annotated[Path, typer.Argument(metavar="OUT", help="A picture that faceedit wrote.")]
RecipeName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a recipe, or path of a YAML file.")]
WeightNames = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Weights by name; all without one.")]
WeightName = Annotated[str, typer.Argument(metavar="NAME", help="Weights by name (faceedit weights list).")]
TrainName = Annotated[
    str, typer.Argument(metavar="NAME", help="Training recipe: a name under recipes/train, or a file.")
]

# What is edited, and how
Backend = Annotated[
    str, _option("--backend", "-b", text="Profile or editor; auto takes the best that can run.", metavar="NAME")
]
Recipe = Annotated[str | None, _option("--recipe", "-r", text="Recipe by name, or path of a file.", metavar="NAME")]
Settings = Annotated[
    list[str] | None, _option("--set", text="Override one recipe key; repeatable.", metavar="KEY=VALUE")
]
Seed = Annotated[int, _option("--seed", "-s", text="Seed of everything random.", min=0, max=2**32 - 1, metavar="N")]
Steps = Annotated[int | None, _option("--steps", text="Sampling steps.", min=1, metavar="N")]
Strength = Annotated[
    float | None, _option("--strength", text="How strongly to edit.", min=0.0, max=1.0, metavar="SHARE")
]
SourcePrompt = Annotated[str | None, _option("--source-prompt", text="Describes the picture as it is.", metavar="TEXT")]
Variants = Annotated[int, _option("--variants", text="Results to make, each with the next seed.", min=1, metavar="K")]

Constraint = Annotated[
    str | None,
    _option("--constraint", text="What guides MAG-Edit: auto, token, spatial or none.", metavar="NAME"),
]
Stfg = Annotated[
    bool | None, _option("--stfg/--no-stfg", text="Guide the seam's low frequencies; as the recipe says without it.")
]

# Where to edit
MaskFile = Annotated[
    Path | None, _option("--mask", "-m", text="Mask file of the picture's size, white = edit.", metavar="FILE")
]
Region = Annotated[list[str] | None, _option("--region", text="Edit this region; repeatable.", metavar="NAME")]
FaceIndex = Annotated[
    int | None, _option("--face", text="Which face (faceedit faces); the largest without it.", min=0, metavar="N")
]
Locator = Annotated[
    str | None, _option("--locator", text="How the place is found; as the recipe says without it.", metavar="NAME")
]
Dilate = Annotated[
    float | None, _option("--dilate", text="Grow the mask by this share of the crop's side.", min=0.0, metavar="SHARE")
]
Feather = Annotated[
    float | None,
    _option(
        "--feather", text="Soften the mask outwards, over this share of the crop's side.", min=0.0, metavar="SHARE"
    ),
]
ResizeMask = Annotated[bool, _option("--resize-mask", text="Resize a mask of another size to the picture's.")]

# On what machine
Device = Annotated[str, _option("--device", text="auto, cpu, cuda, cuda:N or mps.", metavar="NAME")]
DType = Annotated[str, _option("--dtype", text="auto, fp32, fp16 or bf16.", metavar="NAME")]
Memory = Annotated[str, _option("--memory", text="auto, full, low, lowest, 80gb, 24gb or 16gb.", metavar="NAME")]

# What is written
Output = Annotated[
    str | None, _option("--output", "-o", text="Where to write; a folder, or - for stdout.", metavar="FILE")
]
OutputFolder = Annotated[Path, _option("--output", "-o", text="Folder to write.", metavar="DIR")]
RunFolder = Annotated[
    Path | None, _option("--output", "-o", text="Folder of the run; runs/NAME without it.", metavar="DIR")
]
SaveMask = Annotated[Path | None, _option("--save-mask", text="Also write the mask that was used.", metavar="FILE")]
CompareFile = Annotated[
    Path | None, _option("--compare", text="Also write input, mask and result side by side.", metavar="FILE")
]
SaveMaps = Annotated[
    Path | None, _option("--save-maps", text="Also write what the method saw at its steps.", metavar="DIR")
]
Overlay = Annotated[
    Path | None, _option("--overlay", text="Where to write the mask drawn on the picture.", metavar="FILE")
]
Heat = Annotated[
    Path | None, _option("--heat", text="Where to write how sure a locator that can tell is (pasl).", metavar="FILE")
]
Difference = Annotated[Path | None, _option("--difference", text="Also write the map of differences.", metavar="FILE")]
Force = Annotated[bool, _option("--force", text="Overwrite files that exist.")]
DryRun = Annotated[bool, _option("--dry-run", "-n", text="Say what would be done; load and write nothing.")]
NoMetadata = Annotated[bool, _option("--no-metadata", text="Leave the record of how it was made out of the file.")]
OriginalImage = Annotated[
    str | None, _option("--image", text="The picture that was edited; looked for beside OUT.", metavar="FILE")
]

# Data, training, evaluation
Count = Annotated[int, _option("--count", text="How many portraits.", min=1, metavar="N")]
Size = Annotated[int, _option("--size", text="Side of the portraits in pixels.", min=128, max=1024, metavar="PIXELS")]
FaceFolder = Annotated[Path | None, typer.Argument(metavar="FOLDER", help="Pictures of faces; not with --portraits.")]
Portraits = Annotated[
    int | None, _option("--portraits", text="Render so many portraits instead of a folder.", min=1, metavar="N")
]
Whole = Annotated[bool, _option("--whole", text="Take pictures whole instead of cropping to the face.")]
ParserFolder = Annotated[
    Path | None, _option("--parser", text="Folder of the face parser, if not the published one.", metavar="DIR")
]
DescriberFolder = Annotated[
    Path | None, _option("--describer", text="Folder of the vision-language model, likewise.", metavar="DIR")
]
Grid = Annotated[
    int | None, _option("--grid", text="Side of the masks; an eighth of --size without it.", min=1, metavar="N")
]
RegionSet = Annotated[str, _option("--regions", text="text2mask (18 regions) or all (22).", metavar="NAME")]
HeldOut = Annotated[bool, _option("--held-out", text="Count seeds among those that no training may see.")]
Processes = Annotated[
    int | None, _option("--processes", text="Processes that draw; one per core without it.", min=1, metavar="N")
]
SheetFile = Annotated[
    Path | None, _option("--sheet", text="Also draw the masks of the first pictures.", metavar="FILE")
]
Resume = Annotated[bool, _option("--resume", text="Go on from the last checkpoint in the folder.")]
Attributes = Annotated[
    list[str] | None, _option("--attributes", text="Only these, by field or field=value; repeatable.", metavar="KEY")
]
BenchmarkLocator = Annotated[
    str,
    _option("--locator", text="dilate, hull or exact (the true region), recipe, or a locator's name.", metavar="NAME"),
]
Wordings = Annotated[str, _option("--wordings", text="canonical, or held-out: words no training saw.", metavar="KIND")]
Split = Annotated[str, _option("--split", text="held-out for reports, validation for tuning.", metavar="NAME")]
Trips = Annotated[
    int, _option("--trips", text="Also put glasses on and take them off so many times.", min=0, metavar="N")
]

Repeats = Annotated[int, _option("--repeats", text="Warm edits measured; the best counts.", min=1, metavar="N")]

# Batches
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A folder, a glob in quotes, or a .jsonl or .csv manifest.")
]
BatchFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that -o named.")]
BatchPrompts = Annotated[
    list[str] | None, _option("--prompt", text="What to change; repeatable, each one edit.", metavar="TEXT")
]
NameTemplate = Annotated[
    str, _option("--name", text="Name of a result, with fields in braces (docs/batch.md).", metavar="TEMPLATE")
]
Root = Annotated[
    Path | None, _option("--root", text="Folder that a manifest's paths start from; its own without it.", metavar="DIR")
]
ShardText = Annotated[
    str | None, _option("--shard", text="Only part i of N, i from 0; also from Slurm or torchrun.", metavar="i/N")
]
Workers = Annotated[str, _option("--workers", text="Processes; auto takes one per GPU.", metavar="N")]
RetryFailed = Annotated[bool, _option("--retry-failed", text="Try again what failed before.")]
MergedFile = Annotated[
    Path | None, _option("--output", "-o", text="File to write; merged.jsonl in DIR without it.", metavar="FILE")
]

# Weights
AcceptLicence = Annotated[bool, _option("--accept-licence", text="The licence was read and is accepted.")]
Revision = Annotated[str, _option("--revision", text="Commit to fetch instead of the pinned one.", metavar="COMMIT")]
AllowMoving = Annotated[bool, _option("--allow-moving", text="Take a branch or tag, which can change.")]
Yes = Annotated[bool, _option("--yes", text="Do not ask.")]

# Signing
SignCertificate = Annotated[
    Path | None, _option("--sign-cert", text="Sign the result (C2PA) with this certificate chain, PEM.", metavar="FILE")
]
SignKey = Annotated[Path | None, _option("--sign-key", text="Private key of that certificate, PEM.", metavar="FILE")]

# Shared by all verbs
Json = Annotated[bool, _option("--json", text="One JSON object per result on stdout.")]
Quiet = Annotated[bool, _option("--quiet", "-q", text="Only errors on stderr.")]
Verbose = Annotated[int, _option("--verbose", "-v", text="More on stderr.", count=True, show_default=False)]
Debug = Annotated[bool, _option("--debug", text="Show the traceback of an error.")]
