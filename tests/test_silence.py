"""Nothing leaves the machine, and nothing secret of it reaches a file or a stream: whole runs in their own process.

The child process counts every socket that is opened, whether it is used or not (but for one that a library binds to
this machine itself to learn whether it has IPv6), and has every environment variable that
is known to hold a secret set to a marker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

MARK = "zq7secretzq7"
SECRETS = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN", "AZURE_CLIENT_SECRET", "AZURE_STORAGE_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN",
    "GH_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "NPM_TOKEN", "PYPI_TOKEN", "TWINE_PASSWORD", "DOCKER_PASSWORD",
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "REPLICATE_API_TOKEN", "CIVITAI_TOKEN", "WANDB_API_KEY", "COMET_API_KEY",
    "DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "SLACK_TOKEN", "SENTRY_DSN", "SSH_PRIVATE_KEY", "SECRET_KEY", "PASSWORD",
    "KUBECONFIG", "HTTP_AUTH", "VAULT_TOKEN",
)  # fmt: skip

CHILD = """
import json, os, socket, sys
opened = []
class Watched(socket.socket):
    def __init__(self, *words, **named):
        # urllib3 asks once, at its import, whether this machine has IPv6; here it is told that there is none.
        if sys._getframe(1).f_globals["__name__"] != "urllib3.util.connection":
            opened.append(words)
        raise OSError("the network is blocked")
socket.socket = socket.SocketType = Watched
def refuse(*words, **named):
    opened.append(words)
    raise OSError("the network is blocked")
for name in ("getaddrinfo", "create_connection", "gethostbyname", "socketpair"):
    setattr(socket, name, refuse)
from faceedit.cli import main
for name, words in json.loads(sys.argv[1]).items():
    print(f"== {name}", file=sys.stderr, flush=True)
    code = main(words)
    print(f"code={code} opened={opened}", file=sys.stderr, flush=True)
"""
SMOKE = ("-r", "smoke/inpaint", "--steps", "1")
RUNS = {
    "edit": (
        0,
        ("edit", "p.png", "rosy cheeks", *SMOKE, "-o", "out.png", "--save-mask", "m.png", "--compare", "c.png"),
    ),
    "edit verbose json": (0, ("edit", "p.png", "rosy cheeks", *SMOKE, "-o", "v.png", "-v", "--json")),
    "edit by itself": (0, ("edit", "p.png", "rosy cheeks", "--steps", "1", "-o", "auto.png")),
    "info": (0, ("info", "out.png")),
    "replay": (0, ("replay", "out.png")),
    "mask": (0, ("mask", "p.png", "rosy cheeks", "-o", "k.png")),
    "compare": (0, ("compare", "p.png", "out.png", "-o", "s.png")),
    "recipes": (0, ("recipes", "show", "mini/inpaint")),
    "weights": (0, ("weights", "list")),
    "doctor": (0, ("doctor", "--json")),
    "batch": (0, ("batch", "in", "--prompt", "rosy cheeks", "-o", "many", *SMOKE)),
    "a failure in full": (1, ("edit", "absent.png", "rosy cheeks", *SMOKE, "--debug")),
    "weights that are elsewhere": (4, ("edit", "p.png", "rosy cheeks", "-r", "inpaint", "--debug")),
}


@dataclass(frozen=True)
class Runs:
    """What all runs left behind: the part of stderr by name, stdout, and the folder they worked in."""

    told: dict[str, str]
    out: str
    place: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One process does them all, in a folder with a portrait and nothing of the user's own."""
    from PIL import Image

    from faceedit.portraits.render import render

    place = tmp_path_factory.mktemp("silence")
    (place / "in").mkdir()
    image = Image.fromarray(render(0, 192, regions=False).image)
    for name in ("p.png", "in/a.png"):
        image.save(place / name)
    kept = {
        key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    }
    home = place / "home"
    secrets = {variable: f"hf_{MARK}" if "HF" in variable or "HUG" in variable else MARK for variable in SECRETS}
    own = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "XDG_DATA_HOME": home / "data", "HF_HOME": home / "hf"}
    own |= {"FACEEDIT_CACHE": home / "c", "FACEEDIT_CONFIG": home / "none.toml"}
    environment = {**kept, **secrets, **{key: str(path) for key, path in own.items()}}
    words = json.dumps({name: words for name, (_, words) in RUNS.items()})
    run = subprocess.run(
        [sys.executable, "-c", CHILD, words], cwd=place, env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr
    parts = (part.partition("\n") for part in run.stderr.split("== ")[1:])
    return Runs({name: told for name, _, told in parts}, run.stdout, place)


@pytest.mark.parametrize("name", RUNS)
def test_no_socket(runs: Runs, name: str) -> None:
    """Breaks when a library calls home, at its import too."""
    assert runs.told[name].rstrip().endswith(f"code={RUNS[name][0]} opened=[]"), runs.told[name]


def test_no_secret(runs: Runs) -> None:
    """Breaks when a variable reaches a file, a record, a message or a traceback."""
    assert MARK not in runs.out + "".join(runs.told.values())
    files = [path for path in runs.place.rglob("*") if path.is_file()]
    assert {"out.png", "auto.png", "m.png", "faceedit-batch.jsonl"} <= {path.name for path in files}
    assert [path for path in files if MARK.encode() in path.read_bytes()] == []
