"""Faults that a run must outlive, or end by one message with its last good checkpoint whole.

    python benchmarks/faults.py [full_disk server image death]

* `full_disk` (as root): the run folder lies on a tmpfs of a few MiB, which fills up.
* `server`: Weights & Biases answers at first (`wandb_server.py`), then its server is killed.
* `image`: files of a folder that is streamed are overwritten while a run reads them.
* `death`: one of two processes is killed by SIGKILL in training.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

FIT = [sys.executable, "-m", "lightning_gans", "fit", "--config=configs/dcgan.yaml"]
FIT += [f"--model.{player}.base_channels=4" for player in ("generator", "discriminator")]
FIT += ["--trainer.accelerator=cpu", "--quality.every_n_epochs=0", "--trainer.log_every_n_steps=5"]
QUIET = "--run.wandb=disabled"


def start(folder: Path, *options: str, **environment: str) -> subprocess.Popen:
    """A run that is kept in ``folder``."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [*FIT, f"--run.folder={folder}", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def when_it_trains(process: subprocess.Popen, folder: Path) -> None:
    """Wait until a run has reported."""
    while process.poll() is None and not list(folder.glob("*/*/metrics.csv")):
        time.sleep(0.05)


def last_lines(said: str) -> str:
    """What was said, but for progress bars."""
    lines = [line.rsplit("\r", 1)[-1].strip() for line in said.splitlines()]
    return " / ".join(line for line in lines if line and "%|" not in line)


def full_disk(folder: Path) -> None:
    """Checkpoints are kept until the disk is full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder], check=True)
    try:
        options = [QUIET, "--checkpoints.every_n_batches=5", "--trainer.max_steps=1000"]
        process = start(folder, *options)
        _, said = process.communicate()
        kept = sorted(folder.glob("*/*/checkpoints/*.ckpt"))
        whole = [torch.load(path, weights_only=True)["global_step"] for path in kept]
        print(
            f"exit code {process.returncode}; {len(whole)} whole checkpoints, up to batch ", end=""
        )
        print(f"{max(whole)}; it said: {last_lines(said)}")
    finally:
        subprocess.run(["umount", folder], check=True)


def server(folder: Path) -> None:
    """Reports go on to nobody."""
    port = str(random_port())
    answering = subprocess.Popen([sys.executable, "benchmarks/wandb_server.py", port])
    time.sleep(1)
    key = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}
    process = start(folder, "--trainer.max_steps=100", **key)
    when_it_trains(process, folder)
    answering.kill()
    _, said = process.communicate()
    (final,) = folder.glob("*/*/checkpoints/final.ckpt")
    steps = torch.load(final, weights_only=True)["global_step"]
    print(f"exit code {process.returncode} after {steps} batches; it said: {last_lines(said)}")


def image(folder: Path) -> None:
    """Each broken image is replaced by the next one that is none."""
    images = folder / "images"
    images.mkdir()
    source = np.random.default_rng(0)
    for i in range(300):
        pixels = source.integers(0, 256, (32, 32), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{i:03}.png")
    data = ["--data=Folder", f"--data.root={images}", "--data.channels=1", "--data.image_size=32"]
    data += ["--data.batch_size=16", "--data.in_memory_gib=0", "--data.num_workers=1"]
    process = start(folder, QUIET, "--trainer.max_steps=200", *data)
    when_it_trains(process, folder)
    for path in sorted(images.iterdir())[::7]:
        path.write_text("no image")
    _, said = process.communicate()
    print(f"exit code {process.returncode}; it said: {last_lines(said)[:400]}")


def death(folder: Path) -> None:
    """The process that is left ends by itself."""
    process = start(folder, QUIET, "--trainer.devices=2", "--trainer.max_epochs=100000")
    when_it_trains(process, folder)
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
    began = time.monotonic()
    os.kill(int(child), signal.SIGKILL)
    _, said = process.communicate()
    seconds = time.monotonic() - began
    print(f"exit code {process.returncode} after {seconds:.1f} s; it said: {last_lines(said)}")


def random_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


FAULTS: dict[str, Callable[[Path], None]] = {
    "full_disk": full_disk,
    "server": server,
    "image": image,
    "death": death,
}


def main() -> None:
    """Try those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faults", nargs="*", metavar="|".join(FAULTS))
    for name in parser.parse_args().faults or FAULTS:
        with tempfile.TemporaryDirectory() as temporary:
            print(f"{name}: ", end="", flush=True)
            FAULTS[name](Path(temporary))


if __name__ == "__main__":
    main()
