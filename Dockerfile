# syntax=docker/dockerfile:1
# CPU:  docker build -t atelier --build-arg PIP_EXTRA_INDEX_URL=<index of PyTorch's CPU builds> .
# CUDA: docker build -t atelier:cuda --build-arg DEVICE=cuda .
ARG PYTHON=3.12
# "cuda" adds xformers and torchao; run the image with --gpus all.
ARG DEVICE=cpu

FROM node:24-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
RUN npm run build

FROM python:${PYTHON}-slim AS packages
ARG DEVICE
# For a CPU image that is smaller by several GB, give PyTorch's index of CPU builds here.
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
RUN python -m venv /opt/atelier
COPY pyproject.toml constraints.txt requirements.lock README.md LICENSE ./
COPY server server
COPY gpu gpu
# Installed for its dependencies only: the code itself is copied below, beside web/dist.
RUN extra=""; if [ "$DEVICE" = cuda ]; then extra="[xformers,torchao]"; fi; \
    /opt/atelier/bin/pip install --no-cache-dir -c constraints.txt -c requirements.lock ".$extra" \
    && /opt/atelier/bin/pip uninstall -y atelier

FROM python:${PYTHON}-slim
ENV PATH=/opt/atelier/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --create-home --uid 10001 atelier && install -d -o atelier -g atelier /data
COPY --from=packages /opt/atelier /opt/atelier
WORKDIR /atelier
COPY --from=web /web/dist web/dist
COPY gpu gpu
COPY server server
USER atelier
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "server", "--host", "0.0.0.0", "--port", "8000", "--data", "/data"]
