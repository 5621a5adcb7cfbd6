"""Edit from Python: python examples/library.py."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import faceedit

HERE = Path(__file__).parent

if __name__ == "__main__":
    result = faceedit.edit(HERE / "portrait.png", "rosy cheeks", seed=0)
    Image.fromarray(result.rgb).save("rosy.png")
    print(result.record.data["target"], result.mask.origin)
