# swarmd in a container, from wheels that were made on the host: the host decides what goes in. Nothing but strip is
# downloaded while building, and only if it can be had. docs/testnet.md has the commands.
#
#   --build-arg BASE=python:3.11-slim@sha256:...   the base by digest, where a registry is at hand
#   --build-arg TORCH_INDEX=URL                     torch from this package index instead of from wheels/
#   --build-arg REVISION=$(git rev-parse HEAD)     what the labels say
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG TORCH_INDEX=
# LICENSE is there so that this line succeeds without wheels, and the next can say what is missing.
COPY LICENSE wheel[s]/*.whl /wheels/
RUN ls /wheels/swarmd-*.whl > /dev/null 2>&1 || { \
      echo "there is no wheel of swarmd in wheels/: run  pip wheel --wheel-dir wheels .  first" >&2; exit 1; }
RUN python3 -m venv /opt/swarmd \
 && if [ -n "$TORCH_INDEX" ]; then \
      rm -f /wheels/torch-*.whl \
   && /opt/swarmd/bin/pip install --no-cache-dir --no-compile --index-url "$TORCH_INDEX" "torch>=2.6,<=2.13.0"; fi \
 && /opt/swarmd/bin/pip install --no-cache-dir --no-compile --no-index --find-links /wheels swarmd
# strip, for torch's libraries. Without a package server the build goes on, and the image is larger.
RUN command -v strip > /dev/null \
 || { apt-get update && apt-get install -y --no-install-recommends binutils; } \
 || echo "binutils cannot be had: libraries keep their symbols" >&2
COPY .ci/slim /tmp/slim
RUN sh /tmp/slim /opt/swarmd

FROM ${BASE}
ARG BASE
ARG REVISION=unknown
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="swarmd" \
      org.opencontainers.image.description="A peer that learns to reason together with others" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
# util-linux gives flock, with which each replica takes a home of its own (docker-compose.yml).
RUN useradd --create-home --uid 10001 swarmd && mkdir -p /homes /join && chown swarmd /homes /join
COPY --from=build /opt/swarmd /opt/swarmd
# What was imported once has its bytecode already, and the rest is for a read-only file system to forget.
ENV PATH=/opt/swarmd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
USER swarmd
WORKDIR /home/swarmd
HEALTHCHECK --interval=10s --timeout=30s --start-period=600s --retries=6 CMD ["swarmd", "health"]
ENTRYPOINT ["swarmd"]
CMD ["join"]
