"""A chat room by Socket.IO, over HTTP long-polling."""

import os

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ.get("ASYNC_MODE"), transports=["polling"])


@socketio.on("say")
def say(text):
    """Send the text to all clients."""
    emit("heard", text, broadcast=True)


@app.get("/")
def index():
    """Return the mode that Socket.IO has chosen, to show that ordinary requests pass beside long polls."""
    return socketio.async_mode
