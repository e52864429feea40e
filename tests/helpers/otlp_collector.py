"""Collector of OpenTelemetry on port 4318: it receives traces by OTLP/HTTP and prints each span as a line of JSON.

It runs in a container of an app that has the package opentelemetry-proto.
"""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(BaseHTTPRequestHandler):
    """Handler of one connection."""

    def do_POST(self) -> None:
        """Print the spans of a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    found = {"trace": span.trace_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name}
                    for attribute in (*resource.resource.attributes, *span.attributes):
                        values = attribute.value.array_value.values or [attribute.value]
                        found[attribute.key] = values[0].string_value
                    print(json.dumps(found), flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing else."""


HTTPServer(("", 4318), Collector).serve_forever()
