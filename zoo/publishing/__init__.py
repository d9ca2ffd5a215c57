"""Publish training runs as the pretrained weights of the package."""
