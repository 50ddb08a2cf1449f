-- Sends Eventos of 100 bytes, each with an id of its own: one in JSON, or several in NDJSON.
--
-- Usage: wrk -s load.lua URL -- EVENTOS_IN_A_REQUEST

local in_a_request = 1
local count = 0
local line = '{"id":"%08d","tipo":"sismo","place":"' .. string.rep("-", 57) .. '"}'

function init(arguments)
  in_a_request = tonumber(arguments[1])
  wrk.method = "POST"
  if in_a_request == 1 then
    wrk.headers["Content-Type"] = "application/json"
  else
    wrk.headers["Content-Type"] = "application/x-ndjson"
  end
end

function request()
  local lines = {}
  for i = 1, in_a_request do
    count = count + 1
    lines[i] = string.format(line, count % 100000000)
  end
  return wrk.format(nil, nil, nil, table.concat(lines, "\n"))
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    "figures %d %d %d %d %d\n",
    summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
