"""Peak memory of `lightning fit` against the hand-written loop, each in a process of its own.

    python benchmarks/memory.py

On a GPU: the most that torch allocated. On a CPU: the most the process held beyond what it held
after its imports, since those are Lightning's and not the model's.
"""

import resource
import subprocess
import sys
import tempfile

import torch

BATCHES = 30


def held() -> float:
    """GiB: the peak so far."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours() -> None:
    """`lightning fit`, as a user runs it."""
    import lightning_gans.cli  # noqa: F401
    from benchmarks.loop import CASES
    from lightning_gans.__main__ import main

    before = 0.0 if torch.cuda.is_available() else held()
    options = [f"--trainer.max_steps={BATCHES}", "--trainer.max_epochs=-1", "--run.wandb=disabled"]
    with tempfile.TemporaryDirectory() as folder:
        assert main(["fit", *CASES["dcgan"][0], *options, f"--run.folder={folder}"]) == 0
    print(held() - before)


def loop() -> None:
    """The same networks, optimizers and batches by hand."""
    import contextlib

    import lightning_gans.cli  # noqa: F401
    from benchmarks.loop import hand_written
    from lightning_gans.data import Digits
    from lightning_gans.networks import DCGANDiscriminator, DCGANGenerator

    before = 0.0 if torch.cuda.is_available() else held()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    g, d = DCGANGenerator().to(device), DCGANDiscriminator().to(device)
    adams = [
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999), fused=True) for network in (g, d)
    ]
    done = 0
    while done < BATCHES:
        batches = Digits(batch_size=128).train_dataloader()
        for _ in hand_written(g, d, *adams, batches, 100, contextlib.nullcontext):
            done += 1
            if done == BATCHES:
                break
    print(held() - before)


if __name__ == "__main__":
    sys.path.insert(0, ".")
    if sys.argv[1:]:
        {"ours": ours, "loop": loop}[sys.argv[1]]()
    else:
        used = {}
        for name in ("ours", "loop"):
            command = [sys.executable, __file__, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            used[name] = float(done.stdout.split()[-1])
        print(
            f"ours {used['ours']:.3f} GiB, loop {used['loop']:.3f} GiB, "
            f"ratio {used['ours'] / used['loop']:.3f}"
        )
