# docker build -t wsgi .
# docker run -p 80:80 wsgi
#
# `--build-arg SRC=examples/books` takes the app of that folder instead of src/.
#
# The stages `build`, `run` and `full` contain no app, so that another Dockerfile can start from them. Their longer steps
# are scripts in runtime/build/.

# `--build-arg BASE_IMAGE=debian:trixie-slim@sha256:...` fixes the base image by its digest.
ARG BASE_IMAGE=debian:trixie-slim
ARG BUILD_PACKAGES="brotli ca-certificates gcc libc6-dev libpcre2-dev python3-dev python3-pip python3-venv"
ARG RUN_PACKAGES="libexpat1 libnginx-mod-http-brotli-static libpython3-stdlib nginx tini"

# --- packages: the versions that Debian's archive has now. `make image` asks for them once a day, by PACKAGES_DATE. The other
# stages are built again only if a version has changed ---
FROM ${BASE_IMAGE} AS packages
COPY runtime/build/list-packages /usr/local/bin/
ARG BUILD_PACKAGES
ARG RUN_PACKAGES
ARG PACKAGES_DATE=
RUN list-packages $BUILD_PACKAGES $RUN_PACKAGES > /packages

# --- app-packages: the same for the packages.txt of the app. install-packages reports what cannot be installed ---
FROM packages AS app-packages
WORKDIR /app
ARG SRC=src
# podman refuses a COPY that matches no file: another file comes with it.
COPY runtime/build/list-packages ${SRC}/packages.txt* ./
# hadolint ignore=SC2046
RUN [ ! -e packages.txt ] || list-packages $(sed 's/[#\r].*//' packages.txt) > versions || true

# --- build: compilers, uWSGI, and both virtual environments ---
FROM ${BASE_IMAGE} AS build
COPY --from=packages /packages /usr/local/prepare/
ARG BUILD_PACKAGES
RUN apt-get update \
 && apt-get install -y --no-install-recommends $BUILD_PACKAGES \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/local/build:/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_PYTHON=/venv/bin/python3

# uWSGI takes a minute to compile: only these files cause it to be compiled again.
COPY runtime/requirements.lock /usr/local/
COPY runtime/build/certificates runtime/build/install-runtime runtime/build/uwsgi.c runtime/build/requirements.lock /usr/local/build/
RUN --mount=type=secret,id=ca install-runtime
COPY runtime/build/prepare-run /usr/local/prepare/
COPY runtime/build /usr/local/build
WORKDIR /app

# --- run: only what runs ---
FROM ${BASE_IMAGE} AS run
ARG RUN_PACKAGES
RUN --mount=type=bind,from=build,source=/usr/local/prepare,target=/mnt /mnt/prepare-run $RUN_PACKAGES
COPY --from=build /venv /venv

COPY nginx.conf uwsgi.ini supervisord.ini /opt/wsgi/
COPY nginx /opt/wsgi/nginx
COPY profiles /opt/wsgi/profiles
COPY runtime/bin /opt/wsgi/runtime/bin
COPY runtime/wsgi_runtime /opt/wsgi/runtime/wsgi_runtime
COPY runtime/build/install-packages /usr/local/bin/
RUN chmod -R a+rX /opt/wsgi \
 && python3 -m compileall -q /opt/wsgi/runtime \
 && ln -s /opt/wsgi/supervisord.ini /etc/supervisord.conf \
 && ln -s python3 /usr/local/bin/uwsgi \
 && ln -s /opt/wsgi/venv/bin/supervisorctl /opt/wsgi/runtime/bin/* /usr/local/bin/
COPY --from=build /opt/wsgi /opt/wsgi

ENV PATH=/venv/bin:$PATH HOME=/tmp SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="wsgi" \
      org.opencontainers.image.description="A WSGI app behind Nginx and uWSGI in one container" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
EXPOSE 80
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 CMD ["healthcheck"]
# The kernel drops signals that PID 1 has no handler for: they are blocked until it has one. -I: modules of the app never
# replace those of Python or of the container.
ENTRYPOINT ["env", "--block-signal=HUP,INT,QUIT,TERM", "/opt/wsgi/venv/bin/python3", "-I", "-m", "wsgi_runtime"]

# --- full: `run` with pip, for Dockerfiles of one stage, as those from tiangolo's images have (docs/migrating.md) ---
FROM run AS full
# Steps of the other Dockerfile need root. A container that is started as root changes to user 10001.
# hadolint ignore=DL3002
USER 0
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-pip \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_PYTHON=/venv/bin/python3

# --- app: src/ and its packages. The files that name packages come first: an edit of code installs nothing again ---
FROM build AS app
ARG SRC=src
# install-app is copied with them because podman refuses a COPY that matches no file.
COPY runtime/build/install-app ${SRC}/packages*.txt ${SRC}/requirements* ${SRC}/constraints* ${SRC}/pyproject.toml* ${SRC}/uv.lock* /app/
# `make dev DEBUGPY=5678` installs debugpy. No other image contains it.
ARG DEBUGPY=
RUN --mount=type=secret,id=ca ./install-app && rm install-app
COPY ${SRC} /app
RUN --mount=type=secret,id=ca prepare-app

FROM run
# The version of the app in the status page and the metrics: docker build --build-arg APP_VERSION=...
ARG APP_VERSION=unknown
ENV APP_VERSION=$APP_VERSION
USER 0
RUN --mount=type=bind,from=app-packages,source=/app,target=/mnt install-packages /mnt/packages.txt
USER 10001:0
COPY --from=app /venv /venv
COPY --from=app /app /app
