# Debian's own Python; both stages have the same one.
ARG PYTHON=3.13

# --- Build: compilers stay here, /venv and /app go on ---
FROM debian:trixie-slim AS build
ARG PYTHON
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP="pip --no-cache-dir"

RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        brotli ca-certificates gcc libc6-dev libnginx-mod-http-brotli-static libpcre2-dev nginx python3-pip python3-venv "python${PYTHON}-dev" \
 && rm -rf /var/lib/apt/lists/*

# Debian's libpython.so is built without the optimizations of its python3, so uWSGI takes in the archive, which has them
# (but not what its _sha2 module needs: OpenSSL's stands in). Called python3 this binary is Python: a second copy would be 8 MB.
COPY runtime/uwsgi.c /tmp/python/
RUN python3 -m venv --without-pip /venv \
 && python3 -m venv --without-pip /opt/wsgi/venv \
 && cp "/usr/lib/python${PYTHON}/config-${PYTHON}-"*"/libpython${PYTHON}.a" /tmp/python/ \
 && ar d "/tmp/python/libpython${PYTHON}.a" sha2module.o \
 && gcc -O2 "-I/usr/include/python${PYTHON}" -c /tmp/python/uwsgi.c -o /tmp/python/uwsgi.o

# The container's own packages live in /opt/wsgi/venv, the app's in /venv: neither sees the other's.
# A proxy that inspects TLS needs its certificate here: docker build --secret id=ca,src=BUNDLE
COPY runtime/requirements.lock /tmp/runtime/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && export LDFLAGS="-no-pie -Wl,--wrap=end_me /tmp/python/uwsgi.o -L/tmp/python -Wl,--whole-archive,-lpython${PYTHON},--no-whole-archive -lexpat -lz -lm" \
 && $PIP --python /opt/wsgi/venv/bin/python3 install --require-hashes -r /tmp/runtime/requirements.lock \
 && mv /opt/wsgi/venv/bin/uwsgi /usr/local/bin/python3 \
 && strip /usr/local/bin/python3 \
 && ln -sf /usr/local/bin/python3 /venv/bin/python3 \
 && ln -sf /usr/local/bin/python3 /opt/wsgi/venv/bin/python3 \
 && mkdir /opt/wsgi/uwsgi \
 && mv /opt/wsgi/venv/lib/python*/site-packages/uwsgidecorators.py /opt/wsgi/uwsgi/ \
 && rm -r /opt/wsgi/venv/lib/python*/site-packages/supervisor/tests \
 && echo /opt/wsgi/runtime > "/opt/wsgi/venv/lib/python${PYTHON}/site-packages/wsgi_runtime.pth" \
 && find /opt/wsgi/venv -name '*.so' -exec strip {} +

# The folder of the app, for example: docker build --build-arg SRC=examples/books
ARG SRC=src
# The app's packages: its own lock if it has one, otherwise its plain requirements, otherwise none.
COPY ${SRC}/requirements* /app/
RUN --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && export PIP="$PIP --python /venv/bin/python3" \
 && if [ -e /app/requirements.lock ]; then \
        $PIP install --require-hashes -r /app/requirements.lock \
     && { $PIP install --no-index -r /app/requirements.txt || { echo "requirements.lock is out of date: run make lock"; exit 1; }; } \
    elif [ -e /app/requirements.txt ]; then $PIP install -r /app/requirements.txt; fi \
 && $PIP check \
 && find /venv -name '*.so' -exec strip {} +

COPY ${SRC} /app
COPY nginx.conf uwsgi.ini supervisord.ini /opt/wsgi/
COPY nginx /opt/wsgi/nginx
COPY profiles /opt/wsgi/profiles
COPY errors /opt/wsgi/errors
COPY runtime /opt/wsgi/runtime
RUN chmod -R a+rX /app /opt/wsgi \
 && python3 -m compileall -q /opt/wsgi \
 && { python3 -m compileall -qq /app || true; }

# What browsers fetch gets names with a hash of the content, and is compressed once for all.
RUN if [ -d /app/static ]; then \
        /opt/wsgi/venv/bin/python3 -I -m wsgi_runtime.fingerprints /app/static \
     && find /app/static -type f -size +1000c -regextype egrep \
            -regex '.*\.(css|csv|eot|html?|ico|js|json|map|md|mjs|otf|svg|ttf|txt|wasm|webmanifest|xml)' \
            -exec gzip -9fkn {} + -exec brotli -fk {} +; \
    fi

# --- Run: nothing but what runs ---
FROM debian:trixie-slim
ARG PYTHON

# /tmp and /run are all that a read-only container can write to: nginx's temporary files go there, and its log where all logs go.
COPY --from=build /usr/local/bin/python3 /usr/local/bin/
RUN apt-get update \
 && apt-get install -y --no-install-recommends libexpat1 "libpython${PYTHON}-stdlib" \
 && rm -r /usr/lib/python${PYTHON}/test /usr/lib/python${PYTHON}/pydoc_data \
 && python3 -m compileall -q /usr/lib/python${PYTHON} \
 && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/* \
 && chmod 1777 /run \
 && ln -s /tmp /var/lib/nginx \
 && mkdir /var/log/nginx \
 && ln -s /dev/stdout /var/log/nginx/access.log \
 && useradd --uid 10001 --gid 0 --no-create-home --home-dir /tmp wsgi

# nginx's package wants iproute2 and 20 more for its init script, 9 MB that no container runs.
COPY --from=build /usr/sbin/nginx /usr/sbin/
COPY --from=build /usr/lib/nginx/modules/ngx_http_brotli_static_module.so /usr/lib/nginx/modules/
COPY --from=build /etc/nginx/mime.types /etc/nginx/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/

COPY --from=build /venv /venv
COPY --from=build /opt/wsgi /opt/wsgi
RUN ln -s /opt/wsgi/supervisord.ini /etc/supervisord.conf \
 && ln -s python3 /usr/local/bin/uwsgi \
 && ln -s /opt/wsgi/venv/bin/supervisorctl /opt/wsgi/runtime/bin/* /usr/local/bin/
COPY --from=build /app /app

ENV PATH=/venv/bin:$PATH \
    HOME=/tmp \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# What the status page and the metrics call the app's version: docker build --build-arg APP_VERSION=...
ARG APP_VERSION=unknown
ENV APP_VERSION=$APP_VERSION
LABEL org.opencontainers.image.title="wsgi" \
      org.opencontainers.image.description="A WSGI app behind Nginx and uWSGI in one container" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
EXPOSE 80
USER 10001:0
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["healthcheck"]
# -I: the app's own modules must not stand in for Python's or ours while the container starts, PYTHONPATH=/app or not.
# The kernel drops signals that PID 1 has no handler for: a stop that comes early has to wait until it has one.
ENTRYPOINT ["env", "--block-signal=HUP,INT,QUIT,TERM", "/opt/wsgi/venv/bin/python3", "-I", "-m", "wsgi_runtime"]
