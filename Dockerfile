# The zoo and the benchmark on Debian 13 with its own Python, for the CPU:
#     docker build -t mnist-zoo . && docker run --rm -v mnist-zoo:/root/.cache mnist-zoo
# and for NVIDIA GPUs of compute capability 5.0 to 8.9, with NVIDIA's container toolkit on the host:
#     docker build --build-arg WHEEL=cu112 -t mnist-zoo-gpu . && docker run --rm --gpus all -v mnist-zoo:/root/.cache mnist-zoo-gpu
# Other commands: docker run --rm mnist-zoo -m zoo doctor. The volume keeps MNIST and the compiled kernels.
FROM debian:trixie-slim
ARG WHEEL=cpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# g++ compiles the kernels when they are first used, and brings the libraries that MXNet links to.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates g++ python3-venv && rm -rf /var/lib/apt/lists/*
COPY . /opt/source
RUN python3 -m venv /opt/zoo && /opt/zoo/bin/pip install --quiet --no-cache-dir /opt/source && /opt/zoo/bin/python -m zoo setup --wheel $WHEEL && rm -rf /root/.cache/pip
ENV PATH=/opt/zoo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WORKDIR /root
ENTRYPOINT ["python"]
CMD ["-m", "bench"]
