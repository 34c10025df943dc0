"""Denoisers, one a file: the real-valued regularisers inside an unrolled network.

In comes an image whose real and imaginary parts are channels (``channels.py``), out comes one of the same shape. A denoiser is
a frozen `DenoiserSpec` (``networks/base.py``) whose `build(maps)` makes the module. Read ``resnet.py`` first.
"""

from ssrecon.networks.denoisers.channels import as_channels, as_image
from ssrecon.networks.denoisers.cnn import CNN
from ssrecon.networks.denoisers.resnet import ResNet

__all__ = ["CNN", "ResNet", "as_channels", "as_image"]
