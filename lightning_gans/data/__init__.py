"""Data sets: training, validation and test batches ``(samples, labels)``."""

from lightning_gans.data.arrays import Arrays
from lightning_gans.data.celeba import CelebA
from lightning_gans.data.chains import CategoricalChain, GaussianChain
from lightning_gans.data.digits import Digits
from lightning_gans.data.folder import Folder
from lightning_gans.data.mixtures import Mixture, RandomMixture
from lightning_gans.data.mnist import EMNIST, KMNIST, MNIST, FashionMNIST
from lightning_gans.data.module import Data
from lightning_gans.data.sequences import Sequences
from lightning_gans.data.stacked import StackedDigits, StackedMNIST
from lightning_gans.data.synthetic import Grid, Ring
from lightning_gans.data.torchvision_sets import CIFAR10, CIFAR100, STL10, SVHN

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "STL10",
    "SVHN",
    "Arrays",
    "CategoricalChain",
    "CelebA",
    "Data",
    "Digits",
    "FashionMNIST",
    "Folder",
    "GaussianChain",
    "Grid",
    "Mixture",
    "RandomMixture",
    "Ring",
    "Sequences",
    "StackedDigits",
    "StackedMNIST",
]
