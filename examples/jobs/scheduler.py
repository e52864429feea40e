"""A job that runs each second, with APScheduler. In the web app it would run once in each process of uWSGI."""

import os
import signal

from apscheduler.schedulers.blocking import BlockingScheduler
from redis import Redis

redis = Redis.from_url(os.environ["REDIS_URL"])
scheduler = BlockingScheduler(timezone="UTC")


@scheduler.scheduled_job("interval", seconds=1)
def count():
    """Count the runs, which the page shows."""
    redis.incr("runs")


# A stop lets a running job finish.
signal.signal(signal.SIGTERM, lambda *_: scheduler.shutdown())
scheduler.start()
