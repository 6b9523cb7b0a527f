-- The edge: Envoy's Lua filter behind api_key_auth, which names the client, allowed.yaml, which notes what it may ask for,
-- and buffer, which holds the whole body.

local NAMESPACE = "sealift.guard" -- of dynamic metadata: judged, named; for access logs role, prompt, refused,
-- ignored
local TYPES = { -- of errors, as sealift/host/refusals.py has them
  [403] = "permission_error", [404] = "not_found_error", [413] = "request_too_large",
  [500] = "api_error", [502] = "api_error",
}
local LIST_MS = 10000 -- Ollama may take for a list

local function quoted(of)
  return '"' .. of:gsub('[%c\\"\128-\255]', "?") .. '"'
end

-- A refusal in the form of the API that was asked.
local function answer(path, refusal, request_id)
  local message = quoted(refusal.message .. " Request " .. request_id .. ".")
  local type = TYPES[refusal.status] or "invalid_request_error"
  if path:sub(1, 4) ~= "/v1/" then
    return '{"error":' .. message .. "}\n"
  elseif path == "/v1/messages" then
    local form = '{"type":"error","error":{"type":"%s","message":%s},"request_id":%s}\n'
    return form:format(type, message, quoted(request_id))
  end
  local form = '{"error":{"message":%s,"type":"%s","param":%s,"code":"%s"}}\n'
  return form:format(message, type, refusal.param and quoted(refusal.param) or "null", refusal.code)
end

local function judge(handle, path)
  local content = handle:body() -- waits for all of it; what was taken from the handle before is void after it
  local headers = handle:headers()
  local encoding = headers:get("content-encoding")
  if encoding and encoding:lower() ~= "identity" then
    refuse(415, "encoding_refused", nil, "content-encoding: is not read here. Send the body as it is.")
  end
  local length = content and content:length() or 0
  local body = length > 0 and content:getBytes(0, length)
  local noted = handle:streamInfo():dynamicMetadata()
  local role, rest, ignored, cost = guard_judge(path, body, headers:get(GUARD.header), noted:get(NAMESPACE))
  if rest then
    content:setBytes(rest)
    if headers:get("content-length") then
      headers:replace("content-length", tostring(#rest))
    end
    if ignored then
      noted:set(NAMESPACE, "ignored", ignored)
    end
  end
  handle:clearRouteCache() -- the route was chosen before the key said whose way to Ollama it is
  noted:set(NAMESPACE, "prompt", ("%d"):format(cost.prompt)) -- of a number Envoy would write 100000 as 1e+05
  noted:set(NAMESPACE, "writes", cost.writes)
  noted:set(NAMESPACE, "role", role)
  noted:set(NAMESPACE, "judged", true)
end

-- What a client may see of models without naming one in a body. Gives the answer where it is given here.
local function look(handle, path)
  local head = handle:headers():get(":method") == "HEAD"
  local noted = handle:streamInfo():dynamicMetadata()
  local may = noted:get(NAMESPACE).may
  local name = path:match("^/v1/models/(.+)$")
  if name then
    noted:set(NAMESPACE, "named", guard_named(name, handle:headers():get(GUARD.header), may))
  elseif GUARD.lists ~= "" and guard_lists(path) and (not head or path == "/api/tags") then
    local asked = { [":method"] = "GET", [":path"] = path, [":authority"] = "localhost" }
    local headers, body = handle:httpCall(GUARD.lists, asked, "", LIST_MS)
    local status = headers[":status"]
    if status ~= "200" then
      return status:match("^[45]") and status or "502", "" -- said as where Envoy itself answers so
    end
    local readable, listed = pcall(guard_listed, path, body or "", may)
    if not readable then
      refuse(502, "list_unreadable", nil, "Ollama: its list of models cannot be read. Tell the operator.")
    end
    return "200", listed
  end
  noted:set(NAMESPACE, "judged", true)
end

-- Envoy lets a request pass whose script breaks: the RBAC filter behind this one asks for a note that it was judged.
function envoy_on_request(handle)
  local method = handle:headers():get(":method")
  local path = handle:headers():get(":path"):match("^[^?#]*")
  local looks = method == "GET" or method == "HEAD"
  if not looks and not guard_knows(path) then -- said as where no route is
    handle:respond({ [":status"] = "404" }, "")
    return
  end
  local passes, refusal, listed = pcall(looks and look or judge, handle, path)
  if passes then
    if listed then
      handle:respond({ [":status"] = refusal, ["content-type"] = "application/json" }, listed)
    end
    return
  elseif type(refusal) ~= "table" then
    handle:logErr("guard: " .. tostring(refusal))
    local message = "gateway: could not judge the body. Tell the operator."
    refusal = { status = 500, code = "internal_error", message = message }
  end
  handle:streamInfo():dynamicMetadata():set(NAMESPACE, "refused", refusal.code)
  local text = answer(path, refusal, handle:headers():get("x-request-id") or "unknown")
  handle:respond({ [":status"] = tostring(refusal.status), ["content-type"] = "application/json" }, text)
end

function envoy_on_response(handle)
  local noted = handle:streamInfo():dynamicMetadata():get(NAMESPACE)
  if noted and noted.ignored then
    handle:headers():add("x-sealift-ignored", noted.ignored)
  end
end
