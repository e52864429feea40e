"""Load the app. uWSGI runs this file in each worker (lazy-apps), or once in its master (PRELOAD), and serves its `app`.

If no worker of this uWSGI instance can load the app, the instance ends with LOAD_FAILED. If one can, a worker that
fails is started again, with growing pauses, while the others serve.
"""

# mypy: disable-error-code="no-untyped-call, no-untyped-def"

import errno
import os
import sys

import uwsgi  # type: ignore[import-untyped]

LOAD_FAILED = 22
MAX_EARLY_DEATHS = 3
"""A uWSGI instance that has never served ends when one of its workers has died early this many times."""
EARLY_SECONDS = 10
"""A worker died early if it died while it loaded the app, or this soon afterwards without a completed request."""
MAX_PAUSE_SECONDS = 30


def import_ours():
    """Import the container's modules, and ignore modules of the app with the same names as those that these import."""
    before, path, app = set(sys.modules), sys.path[:], os.getcwd()  # noqa: PTH109
    sys.path[:] = ["/opt/wsgi/runtime", *(folder for folder in path if os.path.abspath(folder) != app)]  # noqa: PTH100
    import time

    from wsgi_runtime import APP, fingerprints, logs, scoreboard, values
    from wsgi_runtime.worker import debugger, find, hooks, logging, serve, unshareable

    sys.path[:] = path
    # Modules of the app with these names are imported when the app asks for them.
    names = {file.partition(".")[0] for file in os.listdir(app)}  # noqa: PTH208
    for imported in set(sys.modules) - before:
        if imported.partition(".")[0] in names:
            del sys.modules[imported]
    return time, APP, fingerprints, logs, scoreboard, values, debugger, find, hooks, logging, serve, unshareable


for variable in "UWSGI_ORIGINAL_PROC_NAME", "UWSGI_RELOADS":  # uWSGI sets these for itself
    os.environ.pop(variable, None)
time, APP, fingerprints, logs, scoreboard, values, debugger, find, hooks, logging, serve, unshareable = import_ours()
settings = values.read()
logging.set_up(settings["LOG_LEVEL"])
board = scoreboard.Scoreboard()
os.set_inheritable(scoreboard.SCOREBOARD_FD, False)
is_lazy = "lazy-apps" in uwsgi.opt


def load():
    """Load the app in this worker; return the callable for uWSGI."""
    bank, worker = claim_worker()
    hooks.install(lambda: name_of_worker(bank))
    try:
        app = import_app(announce=uwsgi.worker_id() == worker.starts == 1)
    except BaseException:
        report_failure()
        worker.state = scoreboard.FAILED
        # Of two workers that create the same tables at once, one may fail. It tries again if the other succeeds.
        while bank.is_loading():
            time.sleep(0.05)
        os._exit(1 if bank.has_served() else LOAD_FAILED)
    call_postfork_functions(getattr(uwsgi, "post_fork_hook", None))
    return serve_app(app, worker)


def preload():
    """Load the app in the master; return the callable for uWSGI. Each worker that is forked then begins to serve."""
    bank = server = None
    hooks.install(lambda: name_of_worker(bank))
    before = unshareable.found()
    try:
        app = import_app(announce=True)
    except BaseException:
        report_failure()
        os._exit(LOAD_FAILED)
    if opened := unshareable.found() - before:
        check_preload(", ".join(sorted(opened)))
    postfork_hook = getattr(uwsgi, "post_fork_hook", None)

    def begin_to_serve() -> None:
        nonlocal bank, server
        is_worker = uwsgi.worker_id() > 0  # otherwise a mule or the spooler
        if is_worker:
            bank, worker = claim_worker()
        call_postfork_functions(postfork_hook)
        if is_worker:
            server = serve_app(app, worker)

    uwsgi.post_fork_hook = begin_to_serve

    def app_of_worker(environ, start_response):
        return server(environ, start_response)  # type: ignore[misc]

    return app_of_worker


def check_preload(opened: str) -> None:
    """Log what the app has opened in the master. With PRELOAD=auto, start uWSGI again: its workers load the app."""
    if settings["PRELOAD"] != "auto":
        log(
            "warning",
            f"PRELOAD is on, and the app has opened this while it was imported: {opened}. Workers lack the threads and "
            "share the rest. Open it in a function of uwsgidecorators.postfork, or set PRELOAD=auto",
        )
        return
    log("info", f"each worker loads the app (PRELOAD=auto), which has opened this while it was imported: {opened}")
    os.set_inheritable(scoreboard.SCOREBOARD_FD, True)
    os.execv("/usr/local/bin/uwsgi", ["uwsgi", "--ini", "/run/uwsgi.ini", "--ini", "/run/uwsgi.ini:lazy"])


def claim_worker():
    """Return the bank of this instance and the record of this worker in it.

    Pauses, or ends the instance, if the processes of this worker keep dying early.
    """
    while not (bank := board.of_master(uwsgi.masterpid())):
        time.sleep(0.01)
    worker = bank.workers[uwsgi.worker_id() - 1]
    died_early = worker.state in (scoreboard.LOADING, scoreboard.FAILED) or (
        worker.state == scoreboard.SERVING
        and worker.requests == worker.served
        and time.monotonic() - worker.loaded_at < EARLY_SECONDS
    )
    worker.early_deaths = worker.early_deaths + 1 if died_early else 0
    worker.pid, worker.state, worker.outgrown = os.getpid(), scoreboard.LOADING, 0
    worker.starts += 1
    for slot in worker.slots:
        slot.since = 0
    if worker.early_deaths >= MAX_EARLY_DEATHS and not bank.has_served() and is_lazy:
        sys.stderr.write(f"a worker died {worker.early_deaths} times while it loaded the app\n")
        os._exit(LOAD_FAILED)
    if worker.early_deaths > 1:
        pause = min(2 ** (worker.early_deaths - 2), MAX_PAUSE_SECONDS)
        sys.stderr.write(f"worker {uwsgi.worker_id()} died early {worker.early_deaths} times: waiting {pause} s\n")
        time.sleep(pause)
    return bank, worker


def name_of_worker(bank) -> str:
    """Return the name under which metrics are counted for this worker."""
    return f"{bank.index if bank else 0}-{uwsgi.worker_id()}"


def import_app(announce: bool):
    """Return the app; log where it was found if `announce` is true."""
    app, name = find.find(settings["APP"], APP)
    hooks.record_endpoints(app)
    if hasattr(app, "url_defaults"):  # a Flask app
        if settings["DEBUG"] == "0":
            fingerprints.use_fingerprints(app)
        if settings["URL_PREFIX"] and app.config.get("APPLICATION_ROOT") == "/":
            app.config["APPLICATION_ROOT"] = settings["URL_PREFIX"]  # the path of its session cookie
    if announce:
        log("info", f"loaded the app {name}")
    return app


def call_postfork_functions(hook) -> None:
    """Call the functions that uwsgidecorators.postfork has registered, and log their exceptions, as uWSGI does.

    uWSGI itself calls the hook when it forks a worker, which is before load() imports the app.
    """
    try:
        if hook:
            hook()
    except BaseException:
        sys.excepthook(*sys.exc_info())


def serve_app(app, worker):
    """Return the app with what the container adds to each request, and report that this worker serves."""
    growth = int(settings["WORKER_MEMORY"]) << 20
    server = serve.Server(app, worker, growth, settings["DEBUG"] == "1")
    worker.loaded_at, worker.served = time.monotonic(), worker.requests
    worker.loads += 1
    worker.state = scoreboard.SERVING
    if settings["DEBUGPY"] != "0":
        debugger.start(int(settings["DEBUGPY"]))
    return server


def report_failure() -> None:
    """Log the exception that is being handled."""
    error = sys.exception()
    if isinstance(error, find.AppNotFound):
        log("critical", str(error))
    elif not isinstance(error, KeyboardInterrupt):  # the master ends this worker, because another one has failed
        sys.excepthook(*sys.exc_info())
    file = getattr(error, "filename", None)
    unreadable = file and os.path.exists(file) and not os.access(file, os.R_OK)  # noqa: PTH110
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS) and file and not unreadable:
        log(
            "critical",
            f"{file} is not writable: the app can write to /tmp, /data and other volumes. For a folder in "
            "/app, put `mkdir -p FOLDER && chmod g+w FOLDER` into prebuild.sh, and mount a volume there",
        )


def log(level: str, message: str) -> None:
    """Log a message in the name of uWSGI, unless it is less severe than LOG_LEVEL."""
    if logs.LEVELS.index(level) >= logs.LEVELS.index(settings["LOG_LEVEL"]):
        os.write(logging.STDOUT, logs.line(level, "uwsgi", message))


app = load() if is_lazy else preload()
