"""Demo app. Replace this folder with your app; uWSGI calls the `app` that this file defines."""

import os
import sys

from flask import Flask, jsonify, render_template

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY")


@app.get("/")
def index():
    """Show the path of this request through the container."""
    return render_template("index.html", pid=os.getpid())


@app.get("/hello")
@app.get("/hello/<name>")
def hello(name="username"):
    """Return a greeting as JSON."""
    return jsonify(message="hello", name=name)


@app.get("/health")
def health():
    """Answer the container's health check."""
    return jsonify(status="ok")


def main():
    """Serve the app without the container: SERVER is `development` or `waitress` (docs/servers.md)."""
    server, port = os.environ.get("SERVER", "development"), int(os.environ.get("PORT", "5000"))
    if server == "development":
        app.run(port=port)
    elif server == "waitress":
        try:
            from waitress import serve
        except ModuleNotFoundError:
            sys.exit("SERVER=waitress needs the package waitress: pip install waitress")
        serve(app, host="127.0.0.1", port=port)
    else:
        sys.exit(f"SERVER is {server!r}: must be development or waitress")


if __name__ == "__main__":
    main()
