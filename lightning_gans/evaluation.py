"""``lightning evaluate``: how good images are, from a folder, an archive or a checkpoint."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning_gans.data
from lightning_gans.callbacks.drawing import drawn
from lightning_gans.callbacks.tables import table
from lightning_gans.catalogue import public_names
from lightning_gans.data import Data
from lightning_gans.data.whole import FEWEST, Whole, read_whole
from lightning_gans.errors import InputError, meant
from lightning_gans.messages import quieten
from lightning_gans.metrics.defaults import extractors_for
from lightning_gans.metrics.features import Extractor, ImageNetwork, features_of, tell_time
from lightning_gans.metrics.quality import FAMILIES, Quality
from lightning_gans.metrics.reference import Reference, events_of, reference, reference_of
from lightning_gans.models import Model
from lightning_gans.runs import finite
from lightning_gans.sampling import Parser, device_of, load_model
from lightning_gans.types import Events

__all__ = ["run"]

_MOST, _MOST_DRAWN = 50_000, 5000

_EPILOG = """\
examples:
  lightning evaluate --real photos/ --fake samples/ --extractor inception
  lightning evaluate --real MNIST --fake runs/dcgan_mnist/version_0/checkpoints/final.ckpt
"""


def _data_set(option: str, name: str, image_size: int | None) -> Data | None:
    """The data set of that name, None where it is a folder or an archive.

    Raises:
        InputError: There is neither, or the data set needs to be told more.
    """
    if name not in lightning_gans.data.__all__:
        if not Path(name).exists():
            known = [known for known, _ in public_names("data")]
            raise InputError(
                f"{option} {name} is no folder, .npz file or data set (`lightning list data`)"
                + meant(name, known)
            )
        return None
    kind = getattr(lightning_gans.data, name)
    options = {} if image_size is None else {"image_size": image_size}
    try:
        return kind(**options)
    except TypeError as error:  # a folder, an archive or a mixture needs to be told more
        raise InputError(f"{option} {name}: {error}; give the folder or file itself") from error


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
    data = _data_set("--real", options.real, options.image_size)
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


def _drawn(options: Any, model: Model, n: int) -> _Given:
    """Samples of a checkpoint: those of `lightning test`."""
    n = options.n or n
    return _Given(n, tuple(model.event_shape), lambda: drawn(model.sample, n, options.seed))


def _found(options: Any) -> _Given:
    """A data set's test events, or those of a folder or archive; the first n, if n is given."""
    data = _data_set("--fake", options.fake, options.image_size)
    if data is not None:
        n = min(_MOST, data.count("test"))
        given = _Given(n, data.event_shape, lambda: events_of(data, "test", options.n or n))
    else:
        stored, cropped = read_whole(Path(options.fake), options.image_size)
        first = Whole(stored[: options.n])
        given = _Given(len(stored), tuple(stored.shape[1:]), first.events, cropped)
    if options.n is not None and options.n > given.n:
        raise InputError(f"-n is {options.n}, but {options.fake} holds {given.n} events")
    return given._replace(n=options.n or given.n)


def _alike(given: _Given, shape: tuple[int, ...], extractors: list[Extractor]) -> _Given:
    """Generated events in the shape of real ones: grey images are repeated to three channels.

    Raises:
        InputError: More than that would be needed.
    """
    if given.shape == shape:
        return given
    if given.shape == (1, *shape[1:]) and shape[0] == 3:
        return given._replace(
            shape=shape, events=lambda: (part.expand(-1, *shape) for part in given.events())
        )
    if given.shape == (3, *shape[1:]) and shape[0] == 1:
        # These repeat grey real images to three channels themselves.
        if all(isinstance(extractor, ImageNetwork) for extractor in extractors):
            return given
        raise InputError(
            f"the real images are grey and the generated ones coloured, which {extractors[0].name} "
            "cannot compare; make them alike, or choose --extractor inception or a classifier of "
            "torchvision"
        )
    raise InputError(
        f"--real has events of shape {shape}, --fake of {given.shape}; "
        "they must be alike (--image_size resizes images)"
    )


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
        "-n",
        type=int,
        help="generated events (all; of a checkpoint as many as are held out, at most 5,000)",
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


def _opened(options: Any, cropped: dict[str, int], repeated: dict[str, bool]) -> dict[str, Any]:
    """The report as it begins: what is compared, and what is done to images, which is said too."""
    for side in ("real", "fake"):
        path = getattr(options, side)
        if count := cropped[side]:
            print(f"{path}: {count:,} images are no squares; only their centres are compared")
        if repeated[side]:
            print(f"{path}: grey images are compared with coloured ones, repeated to 3 channels")
    told = {"real": options.real, "fake": options.fake, "seed": options.seed}
    return told | {"cropped": cropped, "repeated": repeated, "protocols": {}, "metrics": {}}


def run(args: list[str]) -> None:
    """Run ``lightning evaluate`` with ``args``.

    Raises:
        InputError: What the user gave cannot be used.
    """
    quieten()
    options = _parser().parse_args(args)
    if options.n is not None and options.n < FEWEST:
        raise InputError(f"-n is {options.n}; it must be at least {FEWEST}")
    options.device = device_of(options.device)
    # What can be refused at once is, before real events are looked at.
    model = None
    if Path(options.fake).suffix == ".ckpt":
        model = load_model(Path(options.fake), options.trust).to(options.device)
    else:
        _data_set("--fake", options.fake, options.image_size)
    extractors, references, shape, cropped = _real(options)
    if not extractors:
        raise InputError(
            f"nothing is known to compare events such as those of {options.real} with; choose "
            "--extractor inception, resnet50 or another classifier of torchvision, or identity"
        )
    real = references[0]
    n = min(_MOST_DRAWN, len(real.held_out) or len(real.train))
    found = _found(options) if model is None else _drawn(options, model, n)
    given = _alike(found, shape, extractors)
    repeated = {"real": given.shape > shape, "fake": found.shape < given.shape}
    report = _opened(options, {"real": cropped, "fake": given.cropped}, repeated)
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
