"""The convolutional classifier of digits, LeNet-5."""

from jaxtyping import Float
from torch import Tensor, nn

from lightning_gans.networks.layers import at_least
from lightning_gans.types import Events

__all__ = ["LeNet"]

_SMALLEST = 8
_PADDED_BELOW = 16


class LeNet(nn.Module):
    """LeNet-5 (LeCun et al., 1998), as used today with ReLU and max-pooling.

    Two convolutions of 5 x 5 (16 and 32 maps), each followed by a pooling of 2 x 2, then dense
    layers of 120, 84 and ``classes`` units. The first convolution is padded to keep the size; so is
    the second for images below 16 pixels.

    Args:
        image_size: Height and width of the images, at least 8.
        channels: Channels of the images.
        classes: Number of classes.

    Raises:
        InputError: ``image_size`` is below 8, or another size below 1.
    """

    num_features = 84

    def __init__(self, image_size: int = 28, channels: int = 1, classes: int = 10) -> None:
        super().__init__()
        at_least(_SMALLEST, image_size=image_size)
        at_least(1, channels=channels, classes=classes)
        self.image_size, self.channels, self.classes = image_size, channels, classes
        # On small maps a convolution without padding would leave next to nothing.
        padding = 2 if image_size < _PADDED_BELOW else 0
        side = (image_size // 2 - 4 + 2 * padding) // 2
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, self.num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(self.num_features, classes)

    def features(self, images: Events) -> Float[Tensor, "batch 84"]:
        """The last hidden layer (batch, 84), at least 0, of images in [-1, 1]."""
        return self.body(images)

    def forward(self, images: Events) -> Float[Tensor, "batch classes"]:
        """Logits (batch, classes) of images (batch, channels, image_size, image_size)."""
        return self.head(self.features(images))
