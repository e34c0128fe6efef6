"""What the benchmark scripts share: environment, build, timed processes, statistics, checks.

Standard library only, so that --help works before any package is installed. Knows nothing of
PyTorch; the peer programs beside this file do.
"""

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "scripts" / "peers"
BINARIES = ROOT / ".build" / "release"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etd"
# They choose OpenBLAS's kernels; every side of a comparison runs with what the CPU calls for.
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


def fail(message: str) -> NoReturn:
    """Ends the script with one line that says what was wrong and what to do."""
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def positive(text: str) -> int:
    """A count on the command line, for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


# Environment ------------------------------------------------------------------------------------


def environment_python() -> str:
    """The Python of the pinned environment, made if missing."""
    made = subprocess.run([ROOT / "scripts/python-environment"], stdout=subprocess.PIPE, text=True)
    if made.returncode:
        fail("the Python environment could not be made (scripts/python-environment)")
    return made.stdout.strip()


def enter_environment() -> None:
    """Starts this script again with the pinned environment's Python, unless it runs there."""
    python = environment_python()
    if Path(sys.prefix) != Path(python).parents[1]:
        os.execv(python, [python, *sys.argv])


def build(*products: str) -> None:
    """Makes the release build of these products."""
    for product in products:
        print(f"building {product} (release)", file=sys.stderr)
        done = subprocess.run(
            ["swift", "build", "-c", "release", "--product", product],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        if done.returncode:
            sys.stderr.write(done.stdout)
            fail(f"swift build --product {product} failed")


def clean_variables(threads: int) -> dict[str, str]:
    """This process's environment without OpenBLAS settings, and with `threads` for every pool."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET}
    pools = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return kept | {name: str(threads) for name in pools} | {"TOKENIZERS_PARALLELISM": "false"}


# Processes --------------------------------------------------------------------------------------


@dataclass
class Finished:
    """A process that ended well: wall seconds, peak memory, what it said."""

    seconds: float
    peak_bytes: int
    stdout: str
    stderr: str


def run(command: Sequence[Any], threads: int) -> Finished:
    """Runs a command and measures it; its failure ends the script with its own words."""
    words = [str(word) for word in command]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, stdout=out, stderr=err, cwd=ROOT, env=clean_variables(threads)
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = [file.seek(0) or file.read().decode(errors="replace") for file in (out, err)]
    if process.returncode:
        sys.stderr.write(texts[1])
        fail(f"{Path(words[0]).name} ended with status {process.returncode}: {' '.join(words)}")
    return Finished(seconds, usage.ru_maxrss * 1024, *texts)


def run_peer(program: str, python: str, threads: int, flags: Sequence[Any]) -> tuple[Finished, Any]:
    """Runs a program of this folder; also gives the JSON that it writes to --out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "result.json"
        command = [python, PEERS / program, "--threads", threads, "--out", out, *flags]
        done = run(command, threads)
        return done, json.loads(out.read_text())


def tokenize(model: Path, texts: Sequence[str], bos: str = "auto") -> list[list[int]]:
    """The ids of each text, by `etd tokenize`."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    command = [BINARIES / "etd", "tokenize", "--model", model, "--json-lines", "--bos", bos]
    done = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        fail(f"etd tokenize failed on {model}")
    return [json.loads(line) for line in done.stdout.splitlines()]


# Files ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside `path` that gets its name if the block ends well."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_json(value: Any, path: Path) -> None:
    """Writes under a temporary name and renames."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with open(handle, "w") as file:
        file.write(json.dumps(value, indent=1) + "\n")
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


# Models -----------------------------------------------------------------------------------------


@dataclass
class Model:
    """What each side opens, by precision; both hold the same weights."""

    name: str
    ours: dict[str, Path]
    peer: dict[str, Path]
    config: dict[str, Any]
    tokenizer: Path | None


def find_model(argument: str, precisions: Sequence[str], python: str) -> Model:
    """A Hugging Face directory as it is, or a fetched GGUF, which the peer gets dequantised."""
    given = Path(argument).absolute()
    if given.is_dir():
        if not (given / "config.json").is_file():
            fail(f"--model {argument}: no config.json in that directory")
        sides = {precision: given for precision in precisions}
        tokenizer = given if (given / "tokenizer.json").is_file() else None
        return Model(given.name, sides, sides, read_config(given), tokenizer)
    file = given if given.is_file() else CACHE / "models" / f"{argument}.gguf"
    if not file.is_file():
        fail(f"--model {argument}: no directory, no file and no model that fetch-model has fetched")
    # The GGUF's weights are exact in f32 only; for bf16 both sides open the rounded ones.
    peer = {p: dequantised(file, p, python) for p in precisions}
    ours = {p: file if p == "f32" else peer[p] for p in precisions}
    return Model(file.stem, ours, peer, read_config(peer[precisions[0]]), file)


def dequantised(file: Path, precision: str, python: str) -> Path:
    """The file's weights as a Hugging Face directory in the cache, made once."""
    folder = CACHE / "bench" / f"{file.stem}-{precision}"
    command = [python, PEERS / "checkpoint.py", file, folder, "--precision", precision]
    run(command, os.cpu_count() or 1)
    return folder


def read_config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text())


def body_products(config: dict[str, Any]) -> int:
    """FLOPs per token of the matrix products with the weights of all layers."""
    d = config["hidden_size"]
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or d // heads
    pairs = config.get("num_key_value_heads") or heads
    attention = 2 * d * heads * head + 2 * d * pairs * head
    return 2 * config["num_hidden_layers"] * (attention + 3 * d * config["intermediate_size"])


def head_products(config: dict[str, Any]) -> int:
    """FLOPs per position of one product with the unembedding."""
    return 2 * config["hidden_size"] * config["vocab_size"]


# Figures ----------------------------------------------------------------------------------------


@dataclass
class Ratio:
    """Peer over ours: the ratio of the medians, and the least and greatest of single pairs."""

    medians: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.medians:.2f} ({self.least:.2f} to {self.greatest:.2f})"


def ratio(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    pairs = [theirs / own for own, theirs in zip(ours, peer, strict=True)]
    return Ratio(statistics.median(peer) / statistics.median(ours), min(pairs), max(pairs))


def spread(values: Sequence[float]) -> str:
    """The median, and the range of all."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def mebibytes(values: Sequence[int]) -> str:
    return f"{max(values) / (1 << 20):,.0f} MiB"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def greatest_difference(ours: Sequence[float | None], peer: Sequence[float | None]) -> float:
    """The greatest absolute difference; infinite if the numbers of values differ or one is null."""
    if len(ours) != len(peer) or not ours:
        return math.inf
    missing = any(value is None or math.isnan(value) for value in [*ours, *peer])
    return math.inf if missing else max(abs(a - b) for a, b in zip(ours, peer))
