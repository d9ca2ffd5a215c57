"""From training runs to the pretrained weights of the package."""
