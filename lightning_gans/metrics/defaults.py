"""Which extractors a data set is looked at with, unless a user chooses."""

import warnings
from functools import singledispatch
from pathlib import Path

from lightning_gans.data import Data
from lightning_gans.data.files import Files
from lightning_gans.data.images import Images
from lightning_gans.errors import InputError
from lightning_gans.metrics.features import ClassifierFeatures, Extractor, Flat
from lightning_gans.metrics.imagenet import ImageNet
from lightning_gans.metrics.inception import Inception, inception_weights
from lightning_gans.metrics.oracles import oracle

__all__ = ["extractors_for", "own_extractor"]

_CHANNELS = (1, 3)


@singledispatch
def own_extractor(data: Data) -> Extractor | None:
    """What fits the data without a download: None where nothing does.

    Labelled images in memory are seen by their own classifier, which is trained first if there is
    none in the cache (`oracles.oracle`). Of points of a known law and of stacked images the modes
    say more than a distance.
    """
    return None


@own_extractor.register
def _(data: Images) -> Extractor | None:
    streamed = isinstance(data, Files) and data.streamed
    if len(data.class_names) < 2 or streamed:
        return None
    return ClassifierFeatures(oracle(data), type(data).__name__.lower())


def extractors_for(
    data: Data | tuple[int, ...], chosen: str, weights: Path | None
) -> list[Extractor]:
    """The extractors that are asked for.

    Args:
        data: The data set, or where there is none the shape of its events.
        chosen: ``auto``: what fits the data, and TF-Inception too where its weights are here;
            ``inception``, ``identity`` (the numbers themselves), or a classifier of torchvision by
            its name, e.g. resnet50.
        weights: A file with the weights of the chosen network; None: downloaded if missing.

    Raises:
        InputError: The network does not exist, or its weights cannot be had.
    """
    shape = data.event_shape if isinstance(data, Data) else data
    if chosen == "identity":
        return [Flat(shape)]
    if chosen == "inception":
        return [Inception(weights or inception_weights())]
    if chosen != "auto":
        return [ImageNet(chosen, weights)]
    if weights is not None:
        raise InputError(f"whose weights are {weights}? Name the extractor, e.g. inception")
    found = []
    # What nobody asked for must not stop a run.
    try:
        own = own_extractor(data) if isinstance(data, Data) else _own_of_shape(shape)
        found += [] if own is None else [own]
    except InputError as error:
        warnings.warn(f"quality is not measured by the data's classifier: {error}", stacklevel=2)
    try:
        here = inception_weights()
        if here is not None and len(shape) == 3 and shape[0] in _CHANNELS:
            found.append(Inception(here))
    except InputError as error:
        warnings.warn(f"quality is not measured by TF-Inception: {error}", stacklevel=2)
    return found


def _own_of_shape(shape: tuple[int, ...]) -> Extractor | None:
    return Flat(shape) if len(shape) == 1 else None
