# docker build -t wsgi .
# docker run -p 80:80 wsgi
#
# `--build-arg SRC=examples/books` takes the app of that folder instead of src/.
#
# The stages `build`, `run` and `full` contain no app, so that another Dockerfile can start from them. Their longer steps
# are scripts in runtime/build/.

# --- build: compilers, uWSGI, and both virtual environments ---
FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        brotli ca-certificates gcc libc6-dev libnginx-mod-http-brotli-static libpcre2-dev nginx python3-dev python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/usr/local/build:/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_PYTHON=/venv/bin/python3

# uWSGI takes a minute to compile: only these files cause it to be compiled again.
COPY runtime/build/certificates runtime/build/install-runtime runtime/build/uwsgi.c runtime/requirements.lock /usr/local/build/
RUN --mount=type=secret,id=ca install-runtime
COPY runtime/build /usr/local/build
WORKDIR /app

# --- run: only what runs ---
FROM debian:trixie-slim AS run
COPY --from=build /usr/local/bin/python3 /usr/local/bin/
RUN --mount=type=bind,source=runtime/build/prepare-run,target=/mnt/prepare-run /mnt/prepare-run

# Debian's nginx package depends on 20 packages of its init script (9 MB), so its files are copied.
COPY --from=build /usr/sbin/nginx /usr/sbin/
COPY --from=build /usr/lib/nginx/modules /usr/lib/nginx/modules
COPY --from=build /etc/nginx/mime.types /etc/nginx/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
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
COPY ${SRC}/packages*.txt ${SRC}/requirements* ${SRC}/constraints* ${SRC}/pyproject.toml* ${SRC}/uv.lock* /app/
# `make dev DEBUGPY=5678` installs debugpy. No other image contains it.
ARG DEBUGPY=
RUN --mount=type=secret,id=ca install-app
COPY ${SRC} /app
RUN --mount=type=secret,id=ca prepare-app

FROM run
# The version of the app in the status page and the metrics: docker build --build-arg APP_VERSION=...
ARG APP_VERSION=unknown
ENV APP_VERSION=$APP_VERSION
USER 0
ARG SRC=src
COPY ${SRC}/packages.txt* /opt/wsgi/
RUN install-packages /opt/wsgi/packages.txt
USER 10001:0
COPY --from=app /venv /venv
COPY --from=app /app /app
