-- What an answer cost, out of the answer as it passes: tokens in and out, and in Ollama's own form how long loading and
-- answering took. Nothing is held back; only the end of an answer is kept, where all forms have these numbers.
-- Sources: `Metrics` in api/types.go, `Usage` in openai/openai.go and anthropic/anthropic.go of github.com/ollama/ollama.

local KEPT = 2048 -- bytes
local NAMESPACE = "sealift.usage" -- of dynamic metadata, for access logs

local function number(text, key)
  return tonumber(text:match('"' .. key .. '":%s*(%d+)'))
end

local function milliseconds(text, key)
  return math.floor((number(text, key) or 0) / 1e6)
end

-- The numbers at the end of an answer, or nil where it has none: it was cut, is a stream of the OpenAI API that was not
-- asked for them, or has more behind them than was kept. Nor does an answer have them that says them twice: a model may
-- write such keys into the call of a tool, which /api/generate puts behind the numbers, and /api/chat before them.
function usage_of(tail)
  local own, twice = tail:match('("total_duration":.*)$'), tail:match('"total_duration":.*"total_duration":')
  local usage = tail:match('.*"usage":%s*({.*)$')
  if twice then
    return nil
  elseif own then -- Ollama leaves out what is 0
    return {
      tokens_in = number(own, "prompt_eval_count") or 0,
      tokens_out = number(own, "eval_count") or 0,
      load_ms = milliseconds(own, "load_duration"),
      out_ms = milliseconds(own, "eval_duration"),
    }
  elseif usage then
    local tokens_in = number(usage, "prompt_tokens") or number(usage, "input_tokens")
    local tokens_out = number(usage, "completion_tokens") or number(usage, "output_tokens")
    return tokens_in and { tokens_in = tokens_in, tokens_out = tokens_out or 0 }
  elseif tail:match('"done_reason":"load"[^{}]*}%s*$') then -- nothing was asked but that the model be loaded
    return { tokens_in = 0, tokens_out = 0 }
  end
end

function envoy_on_response(handle)
  local guarded = handle:streamInfo():dynamicMetadata():get("sealift.guard")
  if not (guarded and guarded.role) or handle:headers():get(":status") ~= "200" then
    return
  end
  local parts, first, last, kept = {}, 1, 0, 0
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local size = math.min(length, KEPT)
      last, kept = last + 1, kept + size
      parts[last] = chunk:getBytes(length - size, size)
      while kept - #parts[first] >= KEPT do
        kept = kept - #parts[first]
        parts[first], first = nil, first + 1
      end
    end
  end
  local tail = table.concat(parts, "", first, last)
  local noted = handle:streamInfo():dynamicMetadata()
  for key, value in pairs(usage_of(tail) or {}) do
    noted:set(NAMESPACE, key, ("%d"):format(value)) -- of a number Envoy would write 100000 as 1e+05
  end
end
