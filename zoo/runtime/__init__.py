"""MXNet 1.9.1 in a process prepared for it: ``from zoo.runtime import mx``.

Some things must be done before ``import mxnet``: restore the names that newer NumPy and Python releases dropped, choose
the number of OpenMP threads (MXNet would start half as many as there are CPUs), request permission to use the
processor's AMX unit, and load the CUDA libraries that pip installed where the loader does not look. This happens when
MXNet is imported: by ``import mxnet`` anywhere once ``zoo`` is imported, or by the first use of ``mx`` or ``STATUS``
here. Settings that the user has made are kept, unless MXNet would fail or compute wrong results with them:
``OMP_DYNAMIC`` becomes false, ``OMP_NUM_THREADS`` a plain number within OpenMP's other limits, and ``DNNL_MAX_CPU_ISA``
allows AMX only where this process may use it.

Using ``STATUS`` never fails. It says what was found and decided; if MXNet cannot be loaded, ``STATUS.problem`` is a
sentence that says why and what to do, and ``mx`` raises it as :class:`zoo.errors.MXNetUnavailable`.
"""

TYPE_CHECKING = False  # as in typing, whose import would take longer than the rest of this module
if TYPE_CHECKING:
    import mxnet as mx

    from zoo.runtime.preparation import Status

    STATUS: Status
    __all__ = ["STATUS", "mx"]
else:

    def __getattr__(name: str) -> object:
        if name not in ("mx", "STATUS"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from zoo.errors import MXNetUnavailable
        from zoo.runtime import preparation

        module, status = preparation.result()
        globals()["STATUS"] = status
        if module is not None:
            globals()["mx"] = module
        elif name == "mx":
            raise MXNetUnavailable(status.problem)
        return globals()[name]
