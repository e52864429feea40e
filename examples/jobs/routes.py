"""A page that starts jobs and shows their results. The process type `worker` of the Procfile runs them."""

import os

from flask import Flask, abort, redirect, render_template, request, url_for
from redis import Redis, RedisError
from rq import Queue, Retry
from rq.job import Job

import tasks

MAX_SECONDS = 60
SHOWN_JOBS = 10

app = Flask(__name__)
redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("jobs", connection=redis)


@app.get("/")
def index():
    """Show the latest jobs. The browser asks again as long as one of them is not done."""
    ids = [job.decode() for job in redis.lrange("latest", 0, -1)]
    jobs = [job for job in Job.fetch_many(ids, connection=redis) if job]
    running = any(not (job.is_finished or job.is_failed) for job in jobs)
    return render_template("index.html", jobs=jobs, running=running, runs=int(redis.get("runs") or 0), max=MAX_SECONDS)


@app.post("/jobs")
def create():
    """Start a job. A job whose worker was killed is done again."""
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        abort(403, "This form was sent from another site.")
    seconds = request.form.get("seconds", type=int)
    if seconds is None or not 1 <= seconds <= MAX_SECONDS:
        abort(422, f"Enter a number from 1 to {MAX_SECONDS}.")
    job = queue.enqueue(tasks.work, seconds, retry=Retry(max=3))
    redis.lpush("latest", job.id)
    redis.ltrim("latest", 0, SHOWN_JOBS - 1)
    return redirect(url_for("index"))


@app.get("/health")
def health():
    """Answer the container's health check: the app serves, also without the queue."""
    return "ok\n"


@app.errorhandler(RedisError)
def no_queue(error):
    """Answer 503 while the queue is down."""
    app.logger.error("the queue is down: %s", error)
    return "The queue is down.\n", 503, {"Content-Type": "text/plain; charset=utf-8"}
