"""`faceedit mask`: where an edit would act."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import build_request
from faceedit.cli.console import Console
from faceedit.cli.files import check_outputs, check_stdout, output_path, read_source
from faceedit.cli.verb import command
from faceedit.errors import UsageError

SCHEMA = "faceedit.mask/1"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "mask")
    def mask(
        console: Console,
        image: o.Image,
        prompts: o.OptionalPrompts = None,
        output: o.Output = None,
        overlay: o.Overlay = None,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        mask: o.MaskFile = None,
        region: o.Region = None,
        face: o.FaceIndex = None,
        source_prompt: o.SourcePrompt = None,
        locator: o.Locator = None,
        dilate: o.Dilate = None,
        feather: o.Feather = None,
        resize_mask: o.ResizeMask = False,
        settings: o.Settings = None,
        force: o.Force = False,
    ) -> None:
        """Write the mask that an edit would use, and an overlay of it on the picture."""
        if not prompts and not region and mask is None:
            raise UsageError("nothing says where", 'name it with a prompt ("rosy cheeks"), --region or --mask')
        check_stdout(console, output)
        target = output_path(image, output, "mask")
        if overlay is None and target is not None:
            overlay = target.with_name(f"{target.stem}.overlay.png")
        check_outputs([target, overlay], force)
        request = build_request(
            image,
            prompts,
            region=region,
            settings=settings,
            locator=locator,
            backend=backend,
            recipe=recipe,
            mask=mask,
            face=face,
            source_prompt=source_prompt,
            dilate=dilate,
            feather=feather,
            resize_mask=resize_mask,
        )
        from faceedit.compare import draw_mask
        from faceedit.images import write_atomic
        from faceedit.record import mask_bytes
        from faceedit.run import locate_mask

        picture, portrait, found = locate_mask(request)
