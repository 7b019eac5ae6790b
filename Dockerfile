# The image of every Tidegate container: operator, guard, streams and the Python strategy runtime.
# e2e/cluster reads USER, ENV, WORKDIR and ENTRYPOINT of the last stage from here when it builds
# the same image without Docker.
FROM python:3.11-slim-bookworm AS packages
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /src
COPY pyproject.toml uv.lock ./
# The lock's hashes are checked: the image holds exactly what the tests ran with.
RUN uv export --frozen --no-dev --no-emit-project --no-header --output-file requirements.txt \
 && uv pip install --python python3.11 --require-hashes --no-deps --only-binary :all: \
      --target /opt/app -r requirements.txt
COPY operator/tidegate /opt/app/tidegate
# Pods have a read-only root filesystem: what is not compiled here is compiled at every start.
RUN python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/app

FROM python:3.11-slim-bookworm
COPY --from=packages /opt/app /opt/app
ENV PYTHONPATH=/opt/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["python3.11", "-m", "tidegate"]
