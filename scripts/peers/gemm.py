"""Measures the machine's matrix products, in GFLOP/s: numpy in f32, PyTorch in f32 and bf16.

    gemm.py --threads N --out F

Products of size 2048, or 256 where one of 2048 would take seconds (PyTorch's bf16 on a CPU without
instructions for it). The best of a few calls: what the machine can do, not what it does when
something else runs.
"""

from collections.abc import Callable

import numpy
import torch

import torchside

SMALL, SIZE = 256, 2048
# Below this rate in GFLOP/s one product of the full size takes a second or more.
SLOW = 20
SECONDS = 1.5


def rate(product: Callable[[int], object]) -> float:
    """The rate of product(n), which multiplies two n by n matrices."""
    small = rate_at(SMALL, product)
    return small if small < SLOW else rate_at(SIZE, product)


def rate_at(size: int, product: Callable[[int], object]) -> float:
    product(size)
    return 2 * size**3 / torchside.least(lambda: product(size), SECONDS) / 1e9


@torch.inference_mode()
def main() -> None:
    options = torchside.parser(__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    f32 = {size: torch.randn(size, size) for size in (SMALL, SIZE)}
    bf16 = {size: matrix.bfloat16() for size, matrix in f32.items()}
    plain = {size: matrix.numpy() for size, matrix in f32.items()}
    rates = {
        "f32 numpy": rate(lambda size: numpy.matmul(plain[size], plain[size])),
        "f32 torch": rate(lambda size: torch.matmul(f32[size], f32[size])),
        "bf16 torch": rate(lambda size: torch.matmul(bf16[size], bf16[size])),
    }
    capability = torch.backends.cpu.get_cpu_capability()
    torchside.write({"gflops": rates, "torch_cpu_capability": capability}, options.out)


if __name__ == "__main__":
    main()
