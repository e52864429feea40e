"""The measured cases, and the servers compared: each is set up for production as its own documentation says."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """A request that clients repeat, by HTTP/1.1 on connections that they keep open."""

    path: str
    what: str
    connections: int = 32
    upload: bool = False
    """The request is a POST of upload.json."""
    seconds: int = 1
    """Duration of one measurement."""
    files: int = 0
    """Number of files, of which each request gets one at random: `path` and a number from 1. 0: no such files."""


CASES = {
    "hello": Case("/hello", "`GET /hello`, 39 bytes of JSON"),
    "static-1k": Case("/static/1k.txt", "a static file of 1 KB"),
    "static-1m": Case("/static/1m.bin", "a static file of 1 MB"),
    "upload": Case("/upload", "a POST of 64 KB of JSON", upload=True),
    "page": Case("/page", "a rendered page of 100 KB"),
    "cacheable": Case("/cacheable", "a response that a shared cache may keep"),
    "wait": Case("/wait", "a wait of 100 ms, 200 clients", connections=200, seconds=2),
}


@dataclass(frozen=True)
class Setup:
    """Start of one server's container, and the reason for it."""

    why: str
    command: str = ""
    """Command in the container; empty: the image's own."""
    image: str = "others"
    """`ours`, or the stage `others` of bench/Dockerfile."""
    options: tuple[str, ...] = ()
    """Options of docker run."""
    cases: tuple[str, ...] = tuple(CASES)
    behind_nginx: bool = False
    cores: int = 1


OURS = "this template"
RETURN_200, SENDFILE, FLASK = "floor: nginx return 200", "floor: nginx sendfile", "floor: Flask's dispatch"
BARE = "floor: bare Nginx + uWSGI"
GREENLETS, CACHE, PRELOAD = (f"{OURS}, {each}" for each in ("GREENLETS=1000", "CACHE=on", "PRELOAD=on"))
GUNICORN = "gunicorn routes:app --workers 3"  # 2n+1 on one core, as its documentation says
NGINX_ALONE = ("--tmpfs=/var/lib/nginx",)  # Nginx creates its folders there when it starts
BEHIND_NGINX = "exec nginx -e /dev/stderr -c /configs/nginx-"

SETUPS = {
    OURS: Setup("at its defaults", image="ours", behind_nginx=True),
    "this template, ACCESS_LOG=off": Setup(
        "the cost of the access log", image="ours", options=("--env=ACCESS_LOG=off",), cases=("hello", "static-1k")
    ),
    "this template, ADMIN_PORT=0": Setup(
        "the cost of metrics", image="ours", options=("--env=ADMIN_PORT=0",), cases=("hello", "static-1k")
    ),
    "this template, no security headers": Setup(
        "the cost of these headers",
        image="ours",
        options=("--volume={bench}/configs/no-headers.conf:/opt/wsgi/nginx/http.d/headers.conf:ro",),
        cases=("hello", "static-1k"),
    ),
    GREENLETS: Setup("for an app that waits", image="ours", options=("--env=GREENLETS=1000",), cases=("hello", "wait")),
    CACHE: Setup("a shared cache", image="ours", options=("--env=CACHE=on",), cases=("cacheable",)),
    PRELOAD: Setup("the app is loaded once", image="ours", options=("--env=PRELOAD=on",), cases=("hello",)),
    "this template, a bare callable": Setup(
        "the cost of Nginx, uWSGI and the WSGI protocol without Flask",
        image="ours",
        options=("--volume={bench}/apps/bare.py:/app/routes.py:ro",),
        cases=("hello",),
    ),
    "this template, two cores": Setup("scaling", image="ours", cases=("hello",), cores=2),
    "Nginx + uWSGI, tiangolo's": Setup(
        "as the image tiangolo/uwsgi-nginx-flask: 2 to 16 processes, an access line from both",
        "supervisord -c /configs/tiangolo-supervisord.ini",
        behind_nginx=True,
    ),
    "Nginx + uWSGI, a tutorial's": Setup(
        "uWSGI with no options but the socket and the app, Debian's nginx.conf",
        "sh -c 'uwsgi --socket /tmp/uwsgi.sock --chmod-socket=666 --module routes:app & "
        "exec nginx -c /configs/tutorial.conf'",
        behind_nginx=True,
    ),
    "Nginx + gunicorn gthread": Setup(
        "2n+1 workers of 4 threads, Nginx's site from gunicorn's documentation",
        f"sh -c '{GUNICORN} --threads 4 --bind unix:/tmp/gunicorn.sock & {BEHIND_NGINX}gunicorn.conf'",
        behind_nginx=True,
    ),
    "Nginx + granian": Setup(
        "one worker for each core, Nginx keeps its connections open",
        "sh -c 'granian --interface wsgi --host 127.0.0.1 --port 8000 --workers 1 routes:app & "
        f"{BEHIND_NGINX}granian.conf'",
        behind_nginx=True,
    ),
    "granian": Setup(
        "one worker for each core", "granian --interface wsgi --host 0.0.0.0 --port 80 --workers 1 routes:app"
    ),
    "gunicorn sync": Setup("2n+1 workers, its default", f"{GUNICORN} --bind 0.0.0.0:80"),
    "gunicorn gthread": Setup("2n+1 workers of 4 threads", f"{GUNICORN} --threads 4 --bind 0.0.0.0:80"),
    "gunicorn gevent": Setup("2n+1 workers of greenlets", f"{GUNICORN} --worker-class gevent --bind 0.0.0.0:80"),
    "uWSGI's own HTTP": Setup(
        "as its quickstart: 4 processes of 2 threads",
        "uwsgi --http :80 --http-keepalive --module routes:app --master --processes 4 --threads 2",
    ),
    "waitress": Setup("its defaults: 4 threads", "waitress-serve --listen 0.0.0.0:80 routes:app"),
    "cheroot": Setup("its defaults: 10 threads", "cheroot --bind 0.0.0.0:80 routes:app"),
    "Flask's development server": Setup(
        "not for production, but some use it there", "flask --app routes run --host 0.0.0.0 --port 80"
    ),
    BARE: Setup(
        "the same Nginx and uWSGI, one process of 8 threads: no log, metrics or headers, and only PEP 3333's variables",
        "sh -c 'uwsgi --socket /tmp/uwsgi.sock --listen 4096 --master --processes 1 --threads 8 --lazy-apps "
        "--disable-logging --virtualenv /venv --chdir /app --module routes:app & "
        "exec nginx -e stderr -c /configs/bare.conf'",
        "ours",
        ("--entrypoint=", *NGINX_ALONE),
        ("hello",),
    ),
    RETURN_200: Setup(
        "the same Nginx, a response from memory",
        "nginx -e stderr -c /configs/return-200.conf",
        "ours",
        NGINX_ALONE,
        ("hello",),
    ),
    SENDFILE: Setup(
        "the same Nginx, nothing but sendfile",
        "nginx -e stderr -c /configs/sendfile.conf",
        "ours",
        NGINX_ALONE,
        ("static-1k", "static-1m"),
    ),
    FLASK: Setup("the same Python calls the app without a server", "sleep infinity", "ours", cases=("hello",)),
}


def ours(*options: str) -> Setup:
    """Return the template's setup with these options of docker run."""
    return replace(SETUPS[OURS], options=options)
