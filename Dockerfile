# The images of Scrivano. Targets: cpu (amd64, arm64) and cuda (amd64).
#
#   docker build --target cpu  --tag scrivano:cpu  .
#   docker build --target cuda --tag scrivano:cuda .
#
# Both with Ray, for the nodes and dispatchers of a cluster (180 MB more):
#
#   docker build --target cpu  --build-arg PACKAGES=requirements/image-ray.txt --tag scrivano:ray-cpu  .
#   docker build --target cuda --build-arg PACKAGES=requirements/image-ray.txt --tag scrivano:ray-cuda .
#
# `make pin-images` adds the digest of the base image to the next line; a release is built with it.
ARG BASE_IMAGE=docker.io/library/debian:trixie-slim

# Python, for both the build and the image that runs.
FROM ${BASE_IMAGE} AS python
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt \
    /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /usr/lib/*/gconv /usr/lib/python3*/test \
    /usr/lib/python3*/pydoc_data

# The locked packages and Scrivano itself, in an environment of their own. What only builds need is left out of it.
FROM python AS build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils python3-venv
WORKDIR /source
ARG PACKAGES=requirements/image.txt
COPY requirements/image.txt requirements/image-ray.txt requirements/cuda.txt requirements/
RUN python3 -m venv /opt/scrivano \
 && /opt/scrivano/bin/pip install --no-cache-dir --no-compile --require-hashes --requirement "${PACKAGES}"
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY tools/release/readme.py tools/release/readme.py
RUN /opt/scrivano/bin/pip install --no-cache-dir --no-compile --no-build-isolation --no-deps . \
 && /opt/scrivano/bin/pip uninstall --yes --quiet hatchling editables hf-xet pip \
 && cd /opt/scrivano/lib/python3*/site-packages \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' -o -name '*.c' \) -delete \
 # A wheel has no links, so it has some libraries several times.
 && for name in libggml*.so libggml*.so.? libwhisper*.so libwhisper*.so.?; do \
      if cmp -s "$name" "$(ls "$name".* | tail -1)"; then ln -sf "$(ls "$name".* | tail -1)" "$name"; fi; done \
 # The Python binding of onnxruntime contains the library, which is there once more for programs in other languages.
 && rm -rf onnxruntime/capi/libonnxruntime.so* onnxruntime/transformers onnxruntime/tools onnxruntime/quantization \
    sqlalchemy/testing sqlalchemy/dialects/mysql sqlalchemy/dialects/mssql sqlalchemy/dialects/oracle numpy/f2py \
 # Ray without its part for Java and without its dashboard, which is not started.
 && rm -rf ray/jars ray/dashboard/client \
 && find . -type f -name '*.so*' -exec strip --strip-unneeded {} +
# The demo shows that all of it works, and compiles what a server uses: the image's file system is read-only when it runs.
RUN /opt/scrivano/bin/scrivano demo > /dev/null && /opt/scrivano/bin/scrivano models > /dev/null \
 && if [ -x /opt/scrivano/bin/ray ]; then /opt/scrivano/bin/python -m compileall -q /opt/scrivano/lib/python3*/site-packages/ray; fi

FROM build AS build-cuda
RUN python3 -m venv /tmp/pip \
 && /tmp/pip/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes \
    --target /opt/cuda --requirement requirements/cuda.txt \
 && rm -rf /opt/cuda/nvidia/cublas/include

# The bills of materials are made where there is what the images have, and nothing else.
FROM python AS bom
COPY --from=build /opt/scrivano /opt/scrivano
COPY tools/release/sbom.py /tmp/sbom.py
RUN /opt/scrivano/bin/python /tmp/sbom.py > /sbom.cdx.json

FROM bom AS bom-cuda
COPY --from=build-cuda /opt/cuda /opt/cuda
RUN /opt/scrivano/bin/python /tmp/sbom.py --path /opt/cuda > /sbom.cdx.json

FROM python AS cpu
COPY --from=build /opt/scrivano /opt/scrivano
COPY --from=bom /sbom.cdx.json /opt/scrivano/sbom.cdx.json
COPY deploy/docker/entrypoint.sh /usr/local/bin/scrivano-entrypoint
# Any user may run the image, also one without a name (OpenShift): both folders are writable for all inside of it, and
# the server makes its own files private.
RUN mkdir -m 0777 /data /models && chmod 0777 /data /models && chmod 0755 /usr/local/bin/scrivano-entrypoint
ENV PATH=/opt/scrivano/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    SCRIVANO_HOST=:: \
    DATA_DIR=/data \
    HF_HOME=/models/huggingface
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Scrivano" \
      org.opencontainers.image.description="A self-hosted speech-transcription server: durable jobs, live progress" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
VOLUME ["/data", "/models"]
EXPOSE 8080 10300
USER 10001:0
WORKDIR /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["scrivano-entrypoint", "health"]
# tini forwards signals and collects child processes whose parents have ended.
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/scrivano-entrypoint"]
CMD ["serve"]

FROM cpu AS cuda
COPY --from=build-cuda /opt/cuda /opt/cuda
COPY --from=bom-cuda /sbom.cdx.json /opt/scrivano/sbom.cdx.json
ENV LD_LIBRARY_PATH=/opt/cuda/nvidia/cublas/lib \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    CUDA_CACHE_PATH=/models/cuda-cache

# Without --target, the image for the processor is built.
FROM cpu
