"""Who is measured, each as its own documentation has it for production, and with what."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Case:
    """What clients ask for, by HTTP/1.1 on connections that they keep."""

    path: str
    what: str
    connections: int = 32
    upload: bool = False
    """Whether it is a POST of upload.json."""
    seconds: int = 1
    """How long a round takes."""
    files: int = 0
    """Of how many files, whose names are the path and a number from 1, one is asked for at random; 0: of none."""


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
class Contestant:
    """A container, and why it is started as it is."""

    why: str
    command: str = ""
    """What runs in it; nothing: what its image starts."""
    image: str = "contestants"
    """`ours`, or bench/Dockerfile's `contestants`."""
    options: tuple[str, ...] = ()
    """Options of docker run."""
    cases: tuple[str, ...] = tuple(CASES)
    front: bool = False
    """Whether it has Nginx in front."""
    cores: int = 1


OURS = "this template"
RETURN_200, SENDFILE, FLASK = "floor: nginx return 200", "floor: nginx sendfile", "floor: Flask's dispatch"
GUNICORN = "gunicorn routes:app --workers 3"  # 2n+1 on one core, as its documentation has it
NGINX_ALONE = ("--tmpfs=/var/lib/nginx",)  # it makes its folders there at its start
IN_FRONT = "exec nginx -e /dev/stderr -c /servers/nginx-"

CONTESTANTS = {
    OURS: Contestant("at its defaults", image="ours", front=True),
    "this template, ACCESS_LOG=off": Contestant(
        "what the log costs", image="ours", options=("--env=ACCESS_LOG=off",), cases=("hello", "static-1k")
    ),
    "this template, ADMIN_PORT=0": Contestant(
        "what metrics cost", image="ours", options=("--env=ADMIN_PORT=0",), cases=("hello", "static-1k")
    ),
    "this template, no security headers": Contestant(
        "what they cost",
        image="ours",
        options=("--volume={bench}/servers/no-headers.conf:/opt/wsgi/nginx/http.d/headers.conf:ro",),
        cases=("hello", "static-1k"),
    ),
    "this template, ASYNC=1000": Contestant(
        "for an app that waits", image="ours", options=("--env=ASYNC=1000",), cases=("hello", "wait")
    ),
    "this template, a bare callable": Contestant(
        "what is left without Flask: Nginx, uWSGI and the WSGI protocol",
        image="ours",
        options=("--volume={bench}/apps/bare.py:/app/routes.py:ro",),
        cases=("hello",),
    ),
    "this template, two cores": Contestant("how it scales", image="ours", cases=("hello",), cores=2),
    "Nginx + uWSGI, tiangolo's": Contestant(
        "as the image tiangolo/uwsgi-nginx-flask has it: 2 to 16 processes, a line a request from both",
        "supervisord -c /servers/tiangolo-supervisord.ini",
        front=True,
    ),
    "Nginx + uWSGI, a tutorial's": Contestant(
        "uWSGI with no option but the socket and the app, Debian's nginx.conf",
        "sh -c 'uwsgi --socket /tmp/uwsgi.sock --chmod-socket=666 --module routes:app & "
        "exec nginx -c /servers/tutorial.conf'",
        front=True,
    ),
    "Nginx + gunicorn gthread": Contestant(
        "2n+1 workers of 4 threads, Nginx's site from its documentation",
        f"sh -c '{GUNICORN} --threads 4 --bind unix:/tmp/gunicorn.sock & {IN_FRONT}gunicorn.conf'",
        front=True,
    ),
    "Nginx + granian": Contestant(
        "a worker a core, Nginx keeps its connections to it",
        "sh -c 'granian --interface wsgi --host 127.0.0.1 --port 8000 --workers 1 routes:app & "
        f"{IN_FRONT}granian.conf'",
        front=True,
    ),
    "granian": Contestant(
        "a worker a core", "granian --interface wsgi --host 0.0.0.0 --port 80 --workers 1 routes:app"
    ),
    "gunicorn sync": Contestant("2n+1 workers, its default", f"{GUNICORN} --bind 0.0.0.0:80"),
    "gunicorn gthread": Contestant("2n+1 workers of 4 threads", f"{GUNICORN} --threads 4 --bind 0.0.0.0:80"),
    "gunicorn gevent": Contestant("2n+1 workers of greenlets", f"{GUNICORN} --worker-class gevent --bind 0.0.0.0:80"),
    "uWSGI's own HTTP": Contestant(
        "as its quickstart has it: 4 processes of 2 threads",
        "uwsgi --http :80 --http-keepalive --module routes:app --master --processes 4 --threads 2",
    ),
    "waitress": Contestant("its defaults: 4 threads", "waitress-serve --listen 0.0.0.0:80 routes:app"),
    "cheroot": Contestant("its defaults: 10 threads", "cheroot --bind 0.0.0.0:80 routes:app"),
    "Flask's development server": Contestant(
        "not for production, but it is used", "flask --app routes run --host 0.0.0.0 --port 80"
    ),
    RETURN_200: Contestant(
        "the same nginx, an answer from memory",
        "nginx -e stderr -c /servers/return-200.conf",
        "ours",
        NGINX_ALONE,
        ("hello",),
    ),
    SENDFILE: Contestant(
        "the same nginx, nothing but sendfile",
        "nginx -e stderr -c /servers/sendfile.conf",
        "ours",
        NGINX_ALONE,
        ("static-1k", "static-1m"),
    ),
    FLASK: Contestant("the same Python calls the app, no server", "sleep infinity", "ours", cases=("hello",)),
}


def ours(*options: str) -> Contestant:
    """The template with options of docker run."""
    return replace(CONTESTANTS[OURS], options=options)
