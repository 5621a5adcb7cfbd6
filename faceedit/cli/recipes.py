"""`faceedit recipes`: what an edit can be told, and what it is told by default."""

from __future__ import annotations

from typing import Any

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import settings_of
from faceedit.cli.console import Console, columns
from faceedit.cli.verb import command

SCHEMA = "faceedit.recipe/1"


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="List recipes and show their options.", no_args_is_help=False)
    app.add_typer(group, name="recipes")

    @command(group, "list")
    def list_(console: Console) -> None:
        """List the recipes."""
        from faceedit.recipe import list_recipes, load_recipe

        rows = [(recipe.name, recipe.editor, recipe.description) for recipe in map(load_recipe, list_recipes())]
        for name, editor, description in rows if console.json else ():
            console.emit(SCHEMA, {"name": name, "editor": editor, "description": description})
        if not console.json:
            console.line(columns(rows))

    @command(group, "show")
    def show(console: Console, name: o.RecipeName, settings: o.Settings = None) -> None:
        """Show a recipe: options, values, meanings, and the words that its models know; needs no weights."""
        from faceedit.recipe import describe, load_recipe, recipe_values
        from faceedit.wordings import known_wordings

        recipe = load_recipe(name, settings_of(settings))
        rows = describe(recipe)
        document: dict[str, Any] = {
            "name": recipe.name,
            "values": recipe_values(recipe),
            "meanings": {row.key: row.meaning for row in rows},
        }
        text = columns([(row.key, row.value, row.meaning) for row in rows])
        if recipe.vocabulary == "portraits":
            document["words"] = list(known_wordings())
            text += f'\n\nprompts: {", ".join(known_wordings())}\nand other wordings of these; several join with "and"'
        console.emit(SCHEMA, document, text)
