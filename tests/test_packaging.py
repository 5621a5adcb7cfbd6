"""The wheel carries everything, works from another folder, and its dependencies are declared and pinned."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from faceedit.models.manifest import weight_sets
from faceedit.recipe import list_recipes
from faceedit.resources import manifest_path, recipes_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
# Modules whose distribution has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "c2pa": "c2pa-python",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel; building needs no network because hatchling is in the dev extra."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel laid out as an installer does it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    """stdout of Python in another folder with the installed package first on its path."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_carries_recipes_manifest_weights_and_licence(wheel: Path) -> None:
    """Breaks when a file that the code reads at run time is left out of the wheel, or tests slip into it."""
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = {path.relative_to(recipes_dir()).as_posix() for path in recipes_dir().rglob("*.yaml")}
    assert {f"faceedit/recipes/{name}" for name in recipes} <= names
    assert "faceedit/weights.toml" in names and "faceedit/weights/mini-2/MODEL_LICENSES.md" in names
    for known in weight_sets():
        if known.kind == "bundled":
            assert {f"faceedit/weights/{known.id}/{file.path}" for file in known.files} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith(("faceedit/", "faceedit-")) for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_wheel_stays_small(wheel: Path) -> None:
    """Breaks when the bundled weights outgrow the 64 MiB that they are allowed."""
    assert wheel.stat().st_size < 64 * 2**20


def test_the_wheel_finds_its_own_recipes_and_weights(installed: Path, tmp_path: Path) -> None:
    """Breaks when an installed package looks for recipes or weights beside a checkout."""
    code = (
        "import faceedit.resources as r; from faceedit.recipe import list_recipes; "
        "print(r.recipes_dir(), r.manifest_path(), r.bundled_weights_dir(), *list_recipes(), sep='\\n')"
    )
    recipes, manifest, weights, *names = run(installed, tmp_path, "-c", code).splitlines()
    assert Path(recipes) == installed / "faceedit/recipes"
    assert Path(manifest) == installed / "faceedit/weights.toml"
    assert Path(weights) == installed / "faceedit/weights"
    assert tuple(names) == list_recipes()


@pytest.mark.slow
def test_the_wheel_edits_a_picture(installed: Path, tmp_path: Path) -> None:
    """Breaks when an edit from an installed wheel, started in another folder, does not work."""
    from PIL import Image

    from faceedit.portraits.render import render

    Image.fromarray(render(7, 256).image).save(tmp_path / "in.png")
    # The bundled models where this checkout has them; a checkout before their first training has only random ones.
    bundled = any(known.kind == "bundled" and known.id == "mini-2" and known.files for known in weight_sets())
    recipe = "mini/ca-edit" if bundled else "smoke/inpaint"
    out = run(installed, tmp_path, "-m", "faceedit", "edit", "in.png", "rosy cheeks", "-r", recipe, "-o", "out.png")
    assert out.strip().endswith("out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (256, 256)


def test_a_checkout_finds_its_own_recipes_and_manifest() -> None:
    """Breaks when an editable install reads files of another installation."""
    assert recipes_dir() == ROOT / "recipes" and manifest_path() == ROOT / "weights.toml"


def requirements() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return [Requirement(line) for line in lines]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_dependency_is_pinned_once_for_every_python(python: str) -> None:
    """Breaks when a dependency is not in constraints.txt, is pinned twice for one Python, or outside its own range."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins: dict[str, str] = {}
    for pin in map(Requirement, lines):
        if pin.marker is None or pin.marker.evaluate({"python_version": python}):
            assert re.fullmatch(r"==[0-9.]+", str(pin.specifier)), f"{pin} is not one exact version"
            assert canonical(pin.name) not in pins, f"{pin.name} is pinned twice"
            pins[canonical(pin.name)] = str(pin.specifier)[2:]
    for wanted in requirements():
        if wanted.marker is None or wanted.marker.evaluate({"python_version": python}):
            assert wanted.specifier.contains(pins[canonical(wanted.name)]), (
                f"{wanted} and {pins[canonical(wanted.name)]}"
            )


def test_every_import_is_a_declared_dependency() -> None:
    """Breaks when the package imports something that only happens to be installed."""
    declared = {canonical(wanted.name) for wanted in requirements()}
    for path in (ROOT / "faceedit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                modules = [node.module]
            for module in {name.partition(".")[0] for name in modules} - {"faceedit", *sys.stdlib_module_names}:
                assert canonical(DISTRIBUTIONS.get(module, module)) in declared, f"{path.name} imports {module}"
