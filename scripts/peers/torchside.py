"""What the PyTorch peers share: their flags, opening a model, their result file."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def parser(description: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--threads", type=int, required=True)
    made.add_argument("--out", type=Path, required=True, help="where the result goes, as JSON")
    return made


def open_model(folder: Path, precision: str) -> transformers.PreTrainedModel:
    """The model in evaluation mode, weights and arithmetic in `precision`."""
    transformers.utils.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[precision])
    return model.eval()


def fastest(candidates: list[int], measure: Callable[[int], float]) -> tuple[int, dict[int, float]]:
    """The candidate with the least `measure(candidate)` seconds a token; all of them."""
    seconds = {candidate: measure(candidate) for candidate in candidates}
    return min(seconds, key=seconds.__getitem__), seconds


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def least(work: Callable[[], object], limit: float) -> float:
    """The least seconds of one call, over `limit` seconds of calls and at least two."""
    best, begin = timed(work), time.perf_counter()
    while True:
        best = min(best, timed(work))
        if time.perf_counter() - begin > limit:
            return best


def write(result: dict[str, Any], path: Path) -> None:
    result["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    path.write_text(json.dumps(result))
