"""`faceedit mask`: where an edit would act."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import build_request
from faceedit.cli.console import Console
from faceedit.cli.files import check_outputs, check_stdout, output_path
from faceedit.cli.output import grey_bytes, pixel_bytes, write_files
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
        heat: o.Heat = None,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        mask: o.MaskFile = None,
        region: o.Region = None,
        face: o.FaceIndex = None,
        locator: o.Locator = None,
        dilate: o.Dilate = None,
        feather: o.Feather = None,
        resize_mask: o.ResizeMask = False,
        settings: o.Settings = None,
        force: o.Force = False,
    ) -> None:
        """Write the mask that an edit would use, and draw it."""
        if not prompts and not region and mask is None:
            raise UsageError("nothing says where", 'say it with a prompt ("rosy cheeks"), --region or --mask')
        check_stdout(console, output)
        target = output_path(image, output, "mask")
        if overlay is None and target is not None:
            overlay = target.with_name(f"{target.stem}.overlay{target.suffix}")
        check_outputs([target, overlay, heat], force)
        # A region or a mask needs no words: its name stands for them, and need not be one that the models know.
        wordless = [] if prompts else ["vocabulary=open"]
        request = build_request(
            image,
            prompts or region or ["mask"],
            region=region,
            settings=[*(settings or ()), *wordless],
            locator=locator,
            backend=backend,
            recipe=recipe,
            mask=mask,
            face=face,
            dilate=dilate,
            feather=feather,
            resize_mask=resize_mask,
        )
        from faceedit import compare
        from faceedit.run import locate_mask

        prepared, found = locate_mask(request)
        picture = prepared.picture
        files = [(target, grey_bytes(found.values, target))]
        if overlay is not None:
            files.append((overlay, pixel_bytes(compare.overlay(picture.rgb, found.values), overlay)))
        if found.heat is None and heat is not None:
            raise UsageError("the locator does not tell how sure it is", "leave out --heat, or give --locator pasl")
        if found.heat is not None:
            if heat is None and target is not None:
                heat = target.with_name(f"{target.stem}.heat{target.suffix}")
            check_outputs([target, overlay, heat], force)
            if heat is not None:
                files.append((heat, pixel_bytes(compare.heat_map(picture.rgb, found.heat), heat)))
        write_files(console, files, force)
        for warning in prepared.warnings:
            console.warn(warning)
        height, width = picture.size
        document = {
            "input": image,
            "output": None if target is None else str(target),
            "overlay": None if overlay is None else str(overlay),
            "heat": None if heat is None else str(heat),
            "size": [width, height],
            "face": [round(float(value), 1) for value in prepared.portrait.face.box],
            "mask_origin": found.origin,
            "mask_share": round(float(found.values.mean()), 6),
            "warnings": list(prepared.warnings),
        }
        console.emit(SCHEMA, document, None if target is None else str(target))
        if overlay is not None:
            console.say(f"overlay: {overlay}")
        if heat is not None:
            console.say(f"heat map: {heat}")
