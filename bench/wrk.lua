-- Send the body of a case, or request one of its files at random; print the measurements as JSON.

function init(args)
    if args[1] == "--files" then
        request = function() return wrk.format(nil, wrk.path .. math.random(tonumber(args[2]))) end
    elseif args[1] then
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
