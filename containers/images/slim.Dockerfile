# What every image without torch begins with. It is built by the harness; a plugin's Dockerfile continues it:
#
#     ARG SLIM_IMAGE
#     FROM ${SLIM_IMAGE}
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

COPY sdk.lock /opt/
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: --no-deps -r /opt/sdk.lock

COPY sdk/ /opt/sdk/
COPY open_up.py /opt/
RUN python /opt/open_up.py 10001 10001

ENV PYTHONPATH=/opt/sdk:/opt/plugin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp

WORKDIR /opt/plugin
USER 10001:10001
ENTRYPOINT ["python", "-m", "groundbench_sdk"]
