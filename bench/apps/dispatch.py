"""Flask without a server.

`dispatch.py` reads the cases from standard input and prints the SHA-256 of the right response body of each as JSON.
`dispatch.py N` prints the CPU microseconds of a request for /hello, the mean of N requests.
"""

import hashlib
import json
import sys
import time

from werkzeug.test import create_environ

from routes import app

if len(sys.argv) > 1:
    count = int(sys.argv[1])
    environs = [create_environ("/hello") for _ in range(count)]
    began = time.process_time()
    for environ in environs:
        b"".join(app(environ, lambda *_: None))
    print((time.process_time() - began) / count * 1e6)
else:
    client = app.test_client()
    bodies = {}
    for name, path, body in json.load(sys.stdin):
        response = client.get(path) if body is None else client.post(path, data=body, content_type="application/json")
        assert response.status_code == 200, (path, response.status)
        bodies[name] = hashlib.sha256(response.data).hexdigest()
    print(json.dumps(bodies))
