"""MNIST and Fashion-MNIST: read, checked, fetched when missing; and synthetic data of the same shapes."""

from zoo.data.mnist import MNIST, Dataset, load_fashion_mnist, load_mnist, synthetic

__all__ = ["MNIST", "Dataset", "load_fashion_mnist", "load_mnist", "synthetic"]
