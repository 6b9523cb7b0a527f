-- What may be asked. GUARD, which guard.yaml writes, says it:
--   load_options  "refuse" or "ignore": what becomes of that which would load a model anew for everybody
--   context       tokens that models are loaded with
--   names         that the host answers to, {name = true}
--   blind         those of them that see no images, {name = true}
--   fill          by name, what is put into bodies that do not say it, {key = value as written}
--   lists         of whom lists of models are asked, as Envoy names it; empty where each host answers them itself

-- There is no tokenizer here. Gemma 3's gave 3.2 characters a token for code, 5.0 for German and Russian, and 7.2 for
-- English of long words: what is refused would leave hardly any room for an answer, if it fits at all.
local CHARACTERS_PER_TOKEN = 6
local BYTES_PER_TOKEN = 3 -- fewer than any of these texts had: by it budgets reckon where an answer does not say

-- api: the form of asking, as sealift/host/client_limits.py names it; names: the keys that say the model; each: whether
-- each text of `input` is a prompt of its own; free: uses no tokens
local NATIVE, OPENAI = { api = "native", names = { "model" } }, { api = "openai", names = { "model" } }
local EMBEDDING = { api = "embeddings", names = { "model" }, each = true }
local ROUTES = {
  ["/api/generate"] = NATIVE,
  ["/api/chat"] = NATIVE,
  ["/api/embed"] = EMBEDDING,
  ["/api/embeddings"] = { api = "embeddings", names = { "model" } },
  ["/api/show"] = { api = "native", names = { "model", "name" }, free = true },
  ["/v1/chat/completions"] = OPENAI,
  ["/v1/completions"] = OPENAI,
  ["/v1/embeddings"] = EMBEDDING,
  ["/v1/responses"] = OPENAI,
  ["/v1/messages"] = { api = "anthropic", names = { "model" } },
  ["/v1/images/generations"] = OPENAI,
  ["/v1/images/edits"] = OPENAI,
}

-- Where an image is not one to look at.
local DRAWS = set("/v1/images/generations", "/v1/images/edits")
-- Ollama takes 1 for what these do not say, whatever the model's parameters are (openai/openai.go, openai/responses.go).
local FILLED = set("/v1/chat/completions", "/v1/completions", "/v1/responses")

-- Of what the host answers to, what a client may ask for: in words.
local function choice(may)
  local names = {}
  for name in pairs(GUARD.names) do
    if may == "all" or may[name] then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return #names == 0 and "This host has nothing for it." or "Ask for one of: " .. table.concat(names, ", ") .. "."
end

-- The name of the role or model that a body asks for.
local function role_of(r, client, may, route)
  local role
  for _, name in ipairs(route.names) do
    local raw = r.values[name]
    if raw then
      role = raw:match('^"(.*)"$') or ""
      role = role:match("^(.*):latest$") or role
      if raw:sub(1, 1) ~= '"' or raw == '""' then
        refuse(400, "invalid_body", name, name .. ": is no name. " .. choice(may))
      elseif not GUARD.names[role] or not (may == "all" or may[role]) then
        local what = raw:match('^"([%w._:/-]+)"$') or "that"
        local message = "%s: %s is not for client %s. %s"
        refuse(403, "model_not_allowed", name, message:format(name, what, client, choice(may)))
      end
    end
  end
  if not role then
    refuse(400, "invalid_body", "model", "model: is missing. " .. choice(may))
  end
  return role
end

local function full_name(name)
  return LOAD[name] and "options." .. name or name
end

-- Whether the client may ask in this form, and so much at once.
local function check_call(path, body, client, limits, api)
  if limits.paths ~= "all" and not limits.paths[api] then
    local open = {}
    for name in pairs(limits.paths) do
      open[#open + 1] = name
    end
    table.sort(open)
    local message = "POST %s: is not open to client %s. It may ask in these forms: %s."
    refuse(403, "path_not_allowed", nil, message:format(path, client, table.concat(open, ", ")))
  elseif limits.body and #body > limits.body then
    local message = "request: too large, expected %d MiB at most of client %s. Send less."
    refuse(413, "request_too_large", nil, message:format(limits.body / 1048576, client))
  end
end

local function check_load(r, most)
  local context = GUARD.context
  local asked = r.values.num_ctx
  if asked and not asked:match("^[1-9]%d?%d?%d?%d?%d?%d?%d?%d?$") then
    refuse(400, "invalid_body", "num_ctx", "options.num_ctx: expected a whole number in digits alone. Leave it out.")
  elseif asked and tonumber(asked) > most then
    local message = "options.num_ctx: %s is more than the %d tokens of context that there are. Leave it out."
    refuse(400, "context_too_long", "num_ctx", message:format(asked, most))
  elseif GUARD.load_options == "ignore" then
    return
  end
  for _, name in ipairs(r.load) do
    if name ~= "num_ctx" or tonumber(asked) ~= context then
      local message = "%s: would load or unload the model for everybody. Leave it out."
      refuse(400, "load_option_refused", name, message:format(full_name(name)))
    end
  end
end

local function check_prompt(r, most)
  local tokens = math.ceil(math.max(r.characters, r.longest) / CHARACTERS_PER_TOKEN) + r.numbers
  if tokens > most then
    local message = "prompt: some %d tokens (one for %d characters), expected at most %d. Send a shorter one."
    refuse(400, "context_length_exceeded", nil, message:format(tokens, CHARACTERS_PER_TOKEN, most))
  end
end

local function check_image(r, role, path)
  if r.image and GUARD.blind[role] and not DRAWS[path] then
    local message = "images: %s does not see any. Leave them out, or ask a role whose model sees."
    refuse(400, "images_not_supported", nil, message:format(role))
  end
end

-- The body with what a role says and the body does not, or nil where that is nothing.
local function filled(body, r, role, path)
  local texts = {}
  for key, value in pairs(FILLED[path] and GUARD.fill[role] or {}) do
    texts[#texts + 1] = not r.seen[key] and ('"%s":%s,'):format(key, value) or nil
  end
  local opening = space(body, 1)
  return #texts > 0 and sub(body, 1, opening) .. table.concat(texts) .. sub(body, opening + 1) or nil
end

local function without(body, drops)
  local parts, at = {}, 1
  for _, drop in ipairs(drops) do
    parts[#parts + 1] = sub(body, at, drop.from - 1)
    at = drop.to + 1
  end
  parts[#parts + 1] = sub(body, at)
  return table.concat(parts)
end

-- Whether there are rules for a path.
function guard_knows(path)
  return ROUTES[path] ~= nil
end

-- Judge a body; raises a refusal.
--   path    one that is known
--   limits  the client's, as allowed.yaml notes them: may, the names that it may ask for, {name = true}, or "all"; paths,
--           the forms in which it may ask, {api = true}, or "all"; where it has such, context, in tokens, and body, in
--           bytes
-- Gives the name that it asks for; where the body is to be another, that, and what of it is ignored; and tokens that the
-- prompt has at most, for budgets.
function guard_judge(path, body, client, limits)
  local route, may = ROUTES[path], limits.may
  local most = math.min(limits.context or GUARD.context, GUARD.context)
  check_call(path, body or "", client, limits, route.api)
  if not body or body == "" then
    refuse(400, "invalid_body", nil, "body: is missing. Send a JSON object.")
  end
  local r = read(body, route.each)
  local role = role_of(r, client, may, route)
  check_load(r, most)
  check_prompt(r, most)
  check_image(r, role, path)
  local rest, ignored
  if #r.drops > 0 and GUARD.load_options == "ignore" then
    ignored = table.concat(r.load, ","):gsub("[^,]+", full_name)
    rest = without(body, r.drops)
  end
  local prompt = route.free and 0 or math.ceil(r.bytes / BYTES_PER_TOKEN) + r.numbers
  local writes = (route.free or route.api == "embeddings") and "nothing" or r.tools and "tools" or "text"
  return role, filled(rest or body, r, role, path) or rest, ignored, { prompt = prompt, writes = writes }
end
