# The service, without torch; it looks for drift, too (docs/images.md):
#   docker build -f dockerfiles/api.dockerfile -t api --build-arg COMMIT="$(git rev-parse HEAD)" .
#   docker run --rm -p 8080:8080 -v "$PWD/runs/latest/bundle:/model:ro" -e MODEL=/model api
ARG BASE=docker.io/library/debian:trixie-slim

FROM ${BASE} AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /home/mlops --no-create-home mlops
# For any user, as `docker run --user` may name one.
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
FROM tools AS dependencies
COPY dockerfiles/requirements-api.txt ./
RUN --mount=type=cache,target=/opt/cache \
    uv pip install --prefix /opt/dependencies --no-deps --require-hashes --requirement requirements-api.txt \
    && rm /opt/dependencies/.lock

FROM tools AS project
COPY LICENSE README.md pyproject.toml ./
COPY configs configs
COPY src src
# Without what it says it needs: torch and all else that trains.
RUN --mount=type=cache,target=/opt/cache \
    uv pip install --prefix /opt/project --no-deps . \
    && rm /opt/project/.lock

FROM base AS api
COPY --from=tools /opt/venv /opt/venv
COPY --from=dependencies /opt/dependencies /opt/venv
COPY --from=project /opt/project /opt/venv
ENV HOME=/home/mlops \
    PYTHONUNBUFFERED=1 \
    SERVE_HOST=0.0.0.0 \
    PORT=8080
WORKDIR /work
USER 1000:1000
EXPOSE 8080
STOPSIGNAL SIGTERM
# Until the model is loaded, and when the service is about to end, /ready says 503, which is raised as an error here.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/ready')"]
ENTRYPOINT ["python", "-m", "mlops_cls.serve"]
# Last, since it changes each time.
ARG COMMIT=
ENV MLOPS_CLS_COMMIT=$COMMIT
LABEL org.opencontainers.image.title="mlops-cls api" \
      org.opencontainers.image.description="Answers pictures over HTTP with a bundle; no torch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision=$COMMIT
