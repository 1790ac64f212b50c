# Training, in a container of its own (docs/images.md):
#   docker build -f dockerfiles/train.dockerfile -t train --build-arg COMMIT="$(git rev-parse HEAD)" .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" train experiment=resnet18 trainer.max_epochs=1
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS base
# torch.compile writes C++, and Triton C, on the machine that they run on.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ python3 python3-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /home/mlops --no-create-home mlops
# For any user, as `docker run --user` may name one: whoever it is trains here.
RUN install --directory --mode=1777 /home/mlops /work
ENV PATH=/opt/venv/bin:$PATH

FROM base AS tools
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY dockerfiles/requirements-build.txt /opt/build/
RUN python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --require-hashes --requirement /opt/build/requirements-build.txt \
    && python3 -m venv --without-pip /opt/venv
ENV PATH=/opt/tools/bin:$PATH \
    VIRTUAL_ENV=/opt/venv \
    UV_BUILD_CONSTRAINT=/opt/build/requirements-build.txt \
    UV_CACHE_DIR=/opt/cache \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
WORKDIR /opt/build

# What is installed into folders of their own becomes layers of their own, of which only those that changed are sent.
FROM tools AS torch
ARG ACCELERATOR=cuda
COPY dockerfiles/requirements-torch-*.txt ./
RUN --mount=type=cache,target=/opt/cache \
    if [ "$ACCELERATOR" = cpu ]; then export UV_TORCH_BACKEND=cpu; fi \
    && uv pip install --prefix /opt/torch --no-deps --require-hashes --requirement "requirements-torch-$ACCELERATOR.txt" \
    && rm /opt/torch/.lock

FROM tools AS dependencies
COPY dockerfiles/requirements-train.txt ./
RUN --mount=type=cache,target=/opt/cache \
    uv pip install --prefix /opt/dependencies --no-deps --require-hashes --requirement requirements-train.txt \
    && rm /opt/dependencies/.lock

FROM tools AS project
COPY LICENSE README.md pyproject.toml ./
COPY configs configs
COPY src src
RUN --mount=type=cache,target=/opt/cache \
    uv pip install --prefix /opt/project --no-deps . \
    && rm /opt/project/.lock

FROM base AS train
COPY --from=tools /opt/venv /opt/venv
COPY --from=torch /opt/torch /opt/venv
COPY --from=dependencies /opt/dependencies /opt/venv
COPY --from=project /opt/project /opt/venv
ENV HOME=/home/mlops \
    PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /work
USER 1000:1000
STOPSIGNAL SIGTERM
# Whether a training is well is told by its log and its exit code: 0 done, 2 refused, 75 start me again.
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "mlops_cls.train"]
# Last, since it changes each time. There is no git in here to ask for the commit that a run keeps.
ARG COMMIT=
ENV MLOPS_CLS_COMMIT=$COMMIT
LABEL org.opencontainers.image.title="mlops-cls train" \
      org.opencontainers.image.description="Trains, tests and keeps an image classifier; takes Hydra overrides" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision=$COMMIT
