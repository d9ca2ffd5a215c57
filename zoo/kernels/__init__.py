"""The project's own operators for MXNet on CPUs, written in C++ and compiled for the processor at hand.

``zoo_program`` computes a network for inference in float32, and ``zoo_training`` trains one; ``zoo_whole_step`` also
computes the loss and the update. In bfloat16, ``zoo_chain`` is Dropout, BatchNorm, ReLU and max pooling in one pass
over memory, forward and backward; ``zoo_dropout`` is Dropout alone. ``zoo_convolution`` is a convolution on AMX, and
``zoo_network`` a sequence of them for inference. They replace MXNet's operators in the graphs that are trained and run
(:mod:`zoo.graph.lowering`), never in those that are exported.

A C++ compiler is needed once. Without one, or with ``ZOO_KERNELS=0``, MXNet's own operators do the work.
"""

from zoo.kernels.library import SWITCH, Kernels, available

__all__ = ["SWITCH", "Kernels", "available"]
