-- Sends the body that a case has, and prints what was measured as JSON.

function init(args)
    if args[1] then
        wrk.method = "POST"
        wrk.headers["Content-Type"] = "application/json"
        wrk.body = io.open(args[1]):read("*a")
    end
end

function done(summary, latency)
    local failed = summary.errors
    io.write(string.format(
        '\n{"requests": %d, "seconds": %f, "bytes": %d, "errors": %d, "p50": %f, "p99": %f, "p99.9": %f}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        failed.connect + failed.read + failed.write + failed.status + failed.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
