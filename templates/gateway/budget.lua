-- Refuses clients whose budget of tokens is used up, by what the keeper of budgets says (templates/budgets/keeper.sh).
-- That is a file, read anew for each such request: it is small, and always in memory. What budgets there are stands in
-- BUDGETS, by client: {minute = TOKENS, day = TOKENS, month = TOKENS}, of which some may be missing.

-- Of dynamic metadata: limited, for the keeper's log; refused, for answers, where a minute is soon over and the rest is not
local NAMESPACE, OF_MINUTE = "sealift.budget", "sealift.minute"
local AGAIN_S = 5 -- until the keeper may be back
local PERIODS = { "month", "day", "minute" } -- the one that lasts longer first

local function read_all(path)
  local file = io.open(path)
  local said = file and file:read("*a")
  if file then
    file:close()
  end
  return said or ""
end

-- What a client used and until when that counts, by period; nil where nobody counts now.
--   said  the keeper's file
local function used_by(client, said, now)
  local counted, minute_ends, day_ends, month_ends, clients =
    said:match("^now (%d+)\nminute (%d+)\nday %S+ (%d+)\nmonth %S+ (%d+)()\n")
  if not counted or math.abs(now - counted) > STALE_S or not said:match("\nend\n$") then
    return nil
  end
  local minute, day, month = "0", "0", "0" -- where the client is not there
  local _, at = said:find("\n" .. client .. " ", clients, true)
  if at then
    minute, day, month = said:match("^(%d+) (%d+) (%d+)\n", at + 1)
  end
  return minute and {
    minute = { tokens = tonumber(minute), ends = tonumber(minute_ends) },
    day = { tokens = tonumber(day), ends = tonumber(day_ends) },
    month = { tokens = tonumber(month), ends = tonumber(month_ends) },
  }
end

-- Why a client is refused: the status, when to ask again in seconds, a sentence, and where it is noted; nil where it is
-- not. Raises an error where nobody counts.
local function refusal(client, said, now)
  local used = used_by(client, said, now)
  if not used then
    error("nobody counts")
  end
  for _, period in ipairs(PERIODS) do
    local budget, of = BUDGETS[client][period], used[period]
    if budget and of.tokens >= budget then
      local message = "tokens: client %s has used %d of its %d a %s on this host. Ask again from %s UTC on."
      local from = os.date("!%Y-%m-%d %H:%M", of.ends)
      local sentence = message:format(client, of.tokens, budget, period, from)
      return "429", math.max(of.ends - now, 1), sentence, period == "minute" and OF_MINUTE or NAMESPACE
    end
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local client = headers:get(HEADER)
  if not BUDGETS[client] or headers:get(":method") ~= "POST" then
    return
  end
  local noted = handle:streamInfo():dynamicMetadata()
  noted:set(NAMESPACE, "limited", true)
  local counts, status, wait_s, message, namespace = pcall(refusal, client, read_all(USED), os.time())
  if not counts then -- Envoy would let a request pass whose script breaks
    message = "tokens: cannot be counted now, and client %s has a budget. Ask again later, or tell the operator."
    status, wait_s, message = "503", AGAIN_S, message:format(client)
  end
  if status then
    noted:set(namespace or NAMESPACE, "refused", message)
    local headers = { [":status"] = status, ["retry-after"] = tostring(wait_s) }
    if status == "503" then -- a front door asks another host, and does not take this one for a bad one
      headers[UNSENT] = "1"
    end
    handle:respond(headers, "")
  end
end
