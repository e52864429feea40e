"""Loads the app. uWSGI runs this file in each worker, and serves with its `app`.

While nobody in this uWSGI instance has loaded the app, a failure ends the instance with LOAD_FAILED. Later, a worker
that fails tries again after a pause, while the others serve.
"""

import os
import sys

import uwsgi  # type: ignore[import-untyped]

LOAD_FAILED = 22
MAX_EARLY_DEATHS = 3
"""A first worker that dies so often before it has loaded the app is not started again."""
EARLY_SECONDS = 10
"""A worker that dies sooner after it has loaded the app, without having completed a request, died early."""
MAX_PAUSE_SECONDS = 30


def import_ours():  # type: ignore[no-untyped-def]
    """Import our modules, and nothing of the app's that has the name of what these need; return the modules."""
    before, path, app = set(sys.modules), sys.path[:], os.getcwd()  # noqa: PTH109
    sys.path[:] = ["/opt/wsgi/runtime", *(folder for folder in path if os.path.abspath(folder) != app)]  # noqa: PTH100
    from wsgi_runtime import fingerprints, scoreboard, values
    from wsgi_runtime.worker import hooks, logging, serve

    sys.path[:] = path
    # The app gets its own, whatever they are called.
    names = {file.partition(".")[0] for file in os.listdir(app)}  # noqa: PTH208
    for imported in set(sys.modules) - before:
        if imported.partition(".")[0] in names:
            del sys.modules[imported]
    return fingerprints, scoreboard, values, hooks, logging, serve


def load():  # type: ignore[no-untyped-def]
    """Return the WSGI callable for uWSGI; does not return if the app can't be loaded."""
    import time

    for name in "UWSGI_ORIGINAL_PROC_NAME", "UWSGI_RELOADS":  # uWSGI sets these for itself
        os.environ.pop(name, None)
    fingerprints, scoreboard, values, hooks, logging, serve = import_ours()  # type: ignore[no-untyped-call]
    settings = values.read()
    logging.set_up(settings["LOG_LEVEL"])
    board = scoreboard.Scoreboard()
    os.set_inheritable(scoreboard.SCOREBOARD_FD, False)
    while not (bank := board.of_master(uwsgi.masterpid())):
        time.sleep(0.01)
    worker = bank.workers[uwsgi.worker_id() - 1]
    died_early = worker.state == scoreboard.LOADING or (
        worker.state == scoreboard.SERVING
        and worker.requests == worker.served
        and time.monotonic() - worker.loaded_at < EARLY_SECONDS
    )
    worker.early_deaths = worker.early_deaths + 1 if died_early else 0
    worker.pid, worker.state, worker.outgrown = os.getpid(), scoreboard.LOADING, 0
    worker.starts += 1
    for slot in worker.slots:
        slot.since = 0
    if worker.early_deaths >= MAX_EARLY_DEATHS and not bank.has_served():
        sys.stderr.write(f"a worker has died {worker.early_deaths} times while it loaded the app\n")
        os._exit(LOAD_FAILED)
    if worker.early_deaths > 1:
        pause = min(2 ** (worker.early_deaths - 2), MAX_PAUSE_SECONDS)
        sys.stderr.write(f"worker {uwsgi.worker_id()} has died early {worker.early_deaths} times: waiting {pause} s\n")
        time.sleep(pause)

    hooks.install(lambda: f"{bank.index}-{uwsgi.worker_id()}")
    try:
        from routes import app  # type: ignore[import-not-found]

        if not callable(app):
            raise TypeError(f"app in routes.py must be a WSGI callable, not {type(app).__name__}")
        hooks.record_endpoints(app)
        if hasattr(app, "url_defaults") and settings["DEBUG"] == "0":
            fingerprints.use_fingerprints(app)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        # Others may have loaded it: what is imported may be half of a change, which is whole at the next try.
        os._exit(1 if bank.has_served() else LOAD_FAILED)
    growth = int(settings["WORKER_MEMORY"]) << 20
    server = serve.Server(app, worker, growth, settings["DEBUG"] == "1")
    worker.loaded_at, worker.served = time.monotonic(), worker.requests
    worker.loads += 1
    worker.state = scoreboard.SERVING
    return server


app = load()  # type: ignore[no-untyped-call]
