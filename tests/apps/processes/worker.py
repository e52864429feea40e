"""A worker with a job that never ends by itself: after SIGTERM it ends once the file /tmp/finish exists."""

import json
import os
import signal
import time
from pathlib import Path

from routes import VERSION

stopping = False


def stop(*_):
    """Finish the job."""
    global stopping
    stopping = True
    print("finishing the job", flush=True)


signal.signal(signal.SIGTERM, stop)
facts = {"version": VERSION, "user": os.getuid(), "folder": str(Path.cwd()), "secret": os.environ.get("SECRET")}
print(json.dumps(facts), flush=True)
while not (stopping and Path("/tmp/finish").exists()):
    time.sleep(0.05)
print("the job is done", flush=True)
