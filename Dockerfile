# The testnet's image: swarmd from wheels made on the host (docs/testnet.md), so that the host decides
# which build of torch goes in; the testnet wants the CPU one. Nothing is downloaded while building.
FROM python:3.11-slim AS build
COPY wheels /wheels
RUN python3 -m venv /opt/swarmd \
 && /opt/swarmd/bin/pip install --no-cache-dir --no-index --find-links /wheels swarmd

FROM python:3.11-slim
# util-linux gives flock, with which each replica takes a home of its own (docker-compose.yml).
RUN useradd --create-home --uid 10001 swarmd && mkdir -p /homes /join && chown swarmd /homes /join
COPY --from=build /opt/swarmd /opt/swarmd
ENV PATH=/opt/swarmd/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
USER swarmd
WORKDIR /home/swarmd
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=6 CMD ["swarmd", "health"]
ENTRYPOINT ["swarmd"]
CMD ["join"]
