"""``lightning evaluate``: how good images are, from a folder, an archive or a checkpoint."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

import lightning_gans.data
from lightning_gans.callbacks.tables import table
from lightning_gans.data import Data
from lightning_gans.data.whole import FEWEST, Whole, read_whole
from lightning_gans.errors import InputError
from lightning_gans.metrics.defaults import extractors_for
from lightning_gans.metrics.features import Extractor, features_of, tell_time
from lightning_gans.metrics.quality import FAMILIES, Quality
from lightning_gans.metrics.reference import Reference, events_of, reference, reference_of
from lightning_gans.runs import finite
from lightning_gans.sampling import Parser, device_of, load_model
from lightning_gans.types import Events

__all__ = ["run"]

_CHUNK = 512
_MOST = 50_000

_EPILOG = """\
examples:
  lightning evaluate --real photos/ --fake samples/ --extractor inception
  lightning evaluate --real MNIST --fake runs/dcgan_mnist/version_0/checkpoints/final.ckpt
"""


def _data_set(name: str, image_size: int | None) -> Data | None:
    """The data set of that name, None if there is none."""
    kind = getattr(lightning_gans.data, name, None)
    if not (isinstance(kind, type) and issubclass(kind, Data)):
        return None
    options = {} if image_size is None else {"image_size": image_size}
    try:
        return kind(**options)
    except TypeError as error:  # a folder, an archive or a mixture needs to be told more
        raise InputError(f"--real {name}: {error}; give the folder or file itself") from error


class _Given(NamedTuple):
    """Events that every extractor looks at anew, some at a time: they are not held as floats.

    Attributes:
        n: How many.
        shape: Of each.
        events: Makes them.
        cropped: Images of which only the centre square is seen.
    """

    n: int
    shape: tuple[int, ...]
    events: Callable[[], Iterator[Events]]
    cropped: int = 0


def _real(options: Any) -> tuple[list[Extractor], list[Reference], tuple[int, ...], int]:
    """What looks at the real events, what it sees, their shape, and how many were cropped."""
    data = _data_set(options.real, options.image_size)
    if data is not None:
        found = extractors_for(data, options.extractor, options.weights)
        found = [extractor.to(options.device) for extractor in found]
        return found, [reference(data, extractor) for extractor in found], data.event_shape, 0
    whole = read_whole(Path(options.real), options.image_size)
    n, shape = len(whole.stored), tuple(whole.stored.shape[1:])
    found = extractors_for(shape, options.extractor, options.weights)
    found = [extractor.to(options.device) for extractor in found]
    references = []
    for extractor in found:
        tell_time(extractor, shape, n, f"looking at {options.real}")
        told = f"{extractor.name} features of {options.real}"
        values = features_of(extractor, whole.events(), told, n).values
        references.append(reference_of(options.real, values, values[:0]))
    return found, references, shape, whole.cropped


def _drawn(options: Any, n: int) -> _Given:
    """Samples of a checkpoint, the same ones each time."""
    model, n = load_model(Path(options.fake), options.trust).to(options.device), options.n or n

    def events() -> Iterator[Events]:
        source = torch.Generator().manual_seed(options.seed)
        for start in range(0, n, _CHUNK):
            yield model.sample(min(_CHUNK, n - start), source)

    return _Given(n, tuple(model.event_shape), events)


def _found(options: Any, shape: tuple[int, ...]) -> _Given:
    """A data set's test events, or those of a folder or archive; the first n, if n is given."""
    path = Path(options.fake)
    data = None if path.suffix else _data_set(options.fake, options.image_size)
    if data is not None:
        n = min(_MOST, data.count("test"))
        given = _Given(n, data.event_shape, lambda: events_of(data, "test", options.n or n))
    else:
        channels = shape[0] if len(shape) == 3 else None
        stored, cropped = read_whole(path, options.image_size, channels)
        first = Whole(stored[: options.n])
        given = _Given(len(stored), tuple(stored.shape[1:]), first.events, cropped)
    if options.n is not None and options.n > given.n:
        raise InputError(f"-n is {options.n}, but {path} holds {given.n} events")
    return given._replace(n=options.n or given.n)


def _fake(options: Any, shape: tuple[int, ...], n: int) -> _Given:
    drawn = Path(options.fake).suffix == ".ckpt"
    given = _drawn(options, n) if drawn else _found(options, shape)
    if given.shape != shape:
        raise InputError(
            f"--real has events of shape {shape}, --fake of {given.shape}; "
            "they must be alike (--image_size resizes images)"
        )
    return given


def _parser() -> Parser:
    parser = Parser(
        prog="lightning evaluate",
        description="Compare generated events with real ones.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--real", required=True, help="a data set's name, a folder of images, or an .npz"
    )
    parser.add_argument(
        "--fake",
        required=True,
        help="a checkpoint, a folder, an .npz, or a data set (its test images)",
    )
    parser.add_argument(
        "--extractor",
        default="auto",
        help="auto (the data's own classifier, and TF-Inception where its weights are), inception, "
        "identity (the numbers themselves), or a classifier of torchvision such as resnet50",
    )
    parser.add_argument("--weights", type=Path, help="file with that network's weights")
    parser.add_argument(
        "--metrics", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="families (all)"
    )
    parser.add_argument(
        "-n", type=int, help="generated events (all; of a checkpoint as many as are held out)"
    )
    parser.add_argument(
        "--image_size", type=int, help="resize images, their centre squares, to this size"
    )
    parser.add_argument("--out", type=Path, help="write the numbers as JSON here, too")
    parser.add_argument("--seed", type=int, default=0, help="of a checkpoint's latents (0)")
    parser.add_argument("--device", default="cpu", help="e.g. cpu or cuda (cpu)")
    parser.add_argument(
        "--trust", action="store_true", help="let the checkpoint name code of your own"
    )
    return parser


def run(args: list[str]) -> None:
    """Run ``lightning evaluate`` with ``args``.

    Raises:
        InputError: What the user gave cannot be used.
    """
    options = _parser().parse_args(args)
    if options.n is not None and options.n < FEWEST:
        raise InputError(f"-n is {options.n}; it must be at least {FEWEST}")
    options.device = device_of(options.device)
    extractors, references, shape, cropped = _real(options)
    if not extractors:
        raise InputError(
            f"nothing is known to compare events such as those of {options.real} with; choose "
            "--extractor inception, resnet50 or another classifier of torchvision, or identity"
        )
    real = references[0]
    n = min(_MOST, len(real.held_out) or len(real.train))
    given = _fake(options, shape, n)
    report = {"real": options.real, "fake": options.fake, "seed": options.seed}
    report |= {"cropped": {"real": cropped, "fake": given.cropped}, "protocols": {}, "metrics": {}}
    for path, count in ((options.real, cropped), (options.fake, given.cropped)):
        if count:
            print(f"{path}: {count:,} images are no squares; only their centres are compared")
    for extractor, real in zip(extractors, references, strict=True):
        tell_time(extractor, shape, given.n, f"looking at {options.fake}")
        quality = Quality(extractor, real, tuple(options.metrics), given.n)
        told = f"{extractor.name} features of {options.fake}"
        fake = features_of(extractor, given.events(), told, given.n)
        measured = quality.measure(fake)
        print(f"{quality.protocol}\n{table(measured)}\n")
        report["protocols"][extractor.name] = quality.fingerprint()
        report["metrics"][extractor.name] = {k: v._asdict() for k, v in measured.items()}
    if options.out is not None:
        try:
            options.out.write_text(json.dumps(finite(report), indent=2) + "\n")
        except OSError as error:
            raise InputError(f"{options.out} cannot be written: {error.strerror}") from error
