"""GitHub's webhook: a push to the branch deploys its newest commit.

The signature proves that the sender knows the secret. The commit is not taken from the request but from the repository,
so a request that is sent a second time never deploys an old commit.
"""

import hashlib
import hmac
import os

from flask import Flask, abort, request
from werkzeug.exceptions import HTTPException

from deployment import BRANCH, Failed, Queued, deploy

SECRET = os.environ["WEBHOOK_SECRET"].encode()
STATUS = {"pull": 502, "tests": 422, "reload": 500}
"""Status of the response if a step fails."""

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 5_000_000


@app.post("/webhook")
def receive():
    """Deploy, and answer when the new code serves."""
    signature = "sha256=" + hmac.new(SECRET, request.get_data(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(request.headers.get("X-Hub-Signature-256", "").encode(), signature.encode()):
        abort(403, "X-Hub-Signature-256 is missing or wrong")
    event = request.headers.get("X-GitHub-Event")
    if event == "ping":
        return "pong\n"
    if event != "push":
        abort(400, f"the event is {event}, not push")
    payload = request.get_json()
    if not isinstance(payload, dict) or payload.get("ref") != f"refs/heads/{BRANCH}":
        return f"ignored: not a push to {BRANCH}\n"
    try:
        commit = deploy()
    except Queued:
        return "queued: the next deployment includes this push\n", 202
    except Failed as failure:
        abort(STATUS[failure.step], f"{failure.step} failed, the old code serves; the log has the reason")
    app.logger.info("deployed %s", commit)
    return f"deployed {commit}\n"


@app.errorhandler(HTTPException)
def answer(error):
    """Log a failure, and answer with its description as text."""
    app.logger.warning("webhook: %s", error.description)
    return f"{error.description}\n", error.code
