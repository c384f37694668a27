"""``lightning sample``: samples from a checkpoint alone."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from lightning_gans.arguments import refuse_foreign
from lightning_gans.callbacks import check_weights, draw_grid, picture_of, read_checkpoint
from lightning_gans.data.batches import to_bytes
from lightning_gans.errors import InputError, meant
from lightning_gans.models import Model

__all__ = ["Parser", "device_of", "load_model", "run", "write_samples"]


class Parser(argparse.ArgumentParser):
    """Whose errors are ours, and whose options have one name."""

    def parse_args(self, args: Sequence[str], namespace: Any = None) -> Any:
        """As argparse's; an unknown option is told before what else is missing."""
        known = self._option_string_actions
        for name in (arg.partition("=")[0] for arg in args if arg.startswith("--")):
            if name not in known:
                self.error(f"there is no option {name}{meant(name, known)}")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise InputError(f"{message} (see `{self.prog} --help`)")


def load_model(path: Path, trust: bool = False) -> Model:
    """The model in a checkpoint, built from the config inside it.

    Args:
        path: The checkpoint.
        trust: Let it name classes and functions that are neither ours nor torch's.

    Raises:
        InputError: The file is no checkpoint of ours, or its classes cannot be imported.
    """
    content = read_checkpoint(path)
    if not trust:
        refuse_foreign(content["config"]["model"], path)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Model, "model")
    try:
        config = parser.parse_object({"model": content["config"]["model"]})
        model = parser.instantiate_classes(config).model
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"the model in {path} cannot be built again: {reason}") from error
    check_weights(path, content, model)
    model.load_state_dict(content["state_dict"])
    return model.eval()


def device_of(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: There is none here.
    """
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {name}: {str(error).splitlines()[0]}") from error


def write_samples(samples: Tensor, out: Path) -> None:
    """Write samples as one .png, as an .npz with the array ``samples``, or as a folder of PNGs.

    Raises:
        InputError: The ending is another, samples of this shape have no picture, or the place
            cannot be written.
    """
    draw = picture_of(tuple(samples.shape[1:]))
    try:
        if out.suffix == ".npz":
            out.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(out, samples=samples.cpu().numpy())
        elif draw is None:
            raise InputError(
                f"samples of shape {tuple(samples.shape[1:])} have no picture: --out X.npz"
            )
        elif out.suffix == ".png":
            out.parent.mkdir(parents=True, exist_ok=True)
            draw(samples, out)
        elif out.suffix == "" and draw is draw_grid:
            out.mkdir(parents=True, exist_ok=True)
            for i, image in enumerate(to_bytes(samples).cpu()):
                to_pil_image(image).save(out / f"{i:06d}.png")
        else:
            raise InputError(
                f"--out {out}: the ending must be .png (one picture), .npz (the numbers) "
                "or none (a folder of images)"
            )
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error


def run(args: list[str]) -> None:
    """Run ``lightning sample`` with ``args``.

    Raises:
        InputError: What the user gave cannot be used.
    """
    parser = Parser(prog="lightning sample", description=__doc__)
    parser.add_argument("--ckpt_path", type=Path, required=True, help="the checkpoint")
    parser.add_argument("-n", type=int, default=64, help="number of samples (64)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("samples.png"),
        help="grid.png (one picture), samples.npz (numbers), or a folder (one PNG each)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument("--device", default="cpu", help="e.g. cpu or cuda (cpu)")
    parser.add_argument(
        "--trust", action="store_true", help="let the checkpoint name code of your own"
    )
    options: Any = parser.parse_args(args)
    if options.n < 1:
        raise InputError(f"-n is {options.n}; it must be at least 1")
    model = load_model(options.ckpt_path, options.trust).to(device_of(options.device))
    samples = model.sample(options.n, torch.Generator().manual_seed(options.seed))
    write_samples(samples, options.out)
    print(f"{options.n} samples of shape {tuple(samples.shape[1:])} in {options.out}")
