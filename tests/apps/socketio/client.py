"""Connect some clients, let one say a word, and wait until all have heard it: client.py COUNT URL."""

import sys
import threading

import socketio

count, url = int(sys.argv[1]), sys.argv[2]
clients = [socketio.Client(reconnection=False) for _ in range(count)]
heard = [threading.Event() for _ in range(count)]
for client, event in zip(clients, heard, strict=True):
    client.on("heard", lambda word, event=event: event.set())
    client.connect(url, transports=["polling"], wait_timeout=10)
clients[0].emit("say", "hello")
missing = [number for number, event in enumerate(heard) if not event.wait(20)]
assert not missing, f"clients have not heard the word: {missing}"
for client in clients:
    client.disconnect()
print("all have heard it")
