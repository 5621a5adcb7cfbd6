"""Nothing leaves the machine, and nothing secret of it reaches a file or a stream: whole runs, each in its own process.

The child process counts every socket that is opened, whether it is used or not (but for one that a library binds to
this machine itself to learn whether it has IPv6), and has every environment variable that
is known to hold a secret set to a marker.
"""

from __future__ import annotations

import os
import subprocess
import sys
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
import socket, sys
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
code = main(sys.argv[1:])
print(f"opened={opened}", file=sys.stderr)
sys.exit(code)
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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a portrait, and nothing of the user's own."""
    from PIL import Image

    from faceedit.portraits.render import render

    folder = tmp_path_factory.mktemp("silence")
    (folder / "in").mkdir()
    image = Image.fromarray(render(0, 192, regions=False).image)
    for name in ("p.png", "in/a.png"):
        image.save(folder / name)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_no_socket_and_no_secret(place: Path, name: str) -> None:
    """Breaks when a library calls home, or when a variable reaches a file, a record, a message or a traceback."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
    }
    home = place / "home"
    secrets = {variable: f"hf_{MARK}" if "HF" in variable or "HUG" in variable else MARK for variable in SECRETS}
    own = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "XDG_DATA_HOME": home / "data", "HF_HOME": home / "hf"}
    environment = {
        **kept,
        **secrets,
        **{key: str(path) for key, path in own.items()},
        "FACEEDIT_CACHE": str(home / "c"),
    }
    code, words = RUNS[name]
    run = subprocess.run(
        [sys.executable, "-c", CHILD, *words], cwd=place, env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == code, run.stderr
    assert run.stderr.rstrip().endswith("opened=[]"), run.stderr
    assert MARK not in run.stdout + run.stderr
    marked = [path for path in place.rglob("*") if path.is_file() and MARK.encode() in path.read_bytes()]
    assert marked == []
