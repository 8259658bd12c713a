# For the CPU:   docker build -t twostream .
# With a GPU:    docker build -t twostream:cuda --build-arg CUDA=12 .
#                docker run --gpus all --shm-size 8g -v "$PWD:/work" twostream:cuda doctor
ARG PYTHON=3.12
FROM python:${PYTHON}-slim

# 0: PyTorch for the CPU. 12 or 13: PyTorch as the index gives it, and CuPy for that CUDA.
ARG CUDA=0
ARG CPU_WHEELS=https://download.pytorch.org/whl/cpu

RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/twostream
COPY pyproject.toml constraints.txt README.md LICENSE twostream.py ./
COPY flow flow
COPY fusion fusion
COPY scripts scripts
COPY storage storage
COPY streams streams
RUN if [ "$CUDA" = 0 ]; then \
        pip install --no-cache-dir -c constraints.txt --extra-index-url "$CPU_WHEELS" '.[dask]'; \
    else \
        pip install --no-cache-dir -c constraints.txt ".[dask,cuda$CUDA]"; \
    fi \
    && twostream --version

WORKDIR /work
ENTRYPOINT ["twostream"]
CMD ["--help"]
