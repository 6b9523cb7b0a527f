-- Who may ask what. GUARD, which guard.yaml writes, says it:
--   load_options  "refuse" or "ignore": what becomes of that which would load a model anew for everybody
--   roles         by name: `context`, the tokens that it is loaded with; `prompt`, the longest prompt in tokens
--   clients       by name: the roles that it may ask for, {role = true}

local BYTES_PER_TOKEN = 4 -- of UTF-8; English has a little more, Chinese a little less

-- names: the keys that say the model; each: whether each text of `input` is a prompt of its own
local PLAIN, EMBEDDING = { names = { "model" } }, { names = { "model" }, each = true }
local ROUTES = {
  ["/api/generate"] = PLAIN,
  ["/api/chat"] = PLAIN,
  ["/api/embed"] = EMBEDDING,
  ["/api/embeddings"] = PLAIN,
  ["/api/show"] = { names = { "model", "name" } },
  ["/v1/chat/completions"] = PLAIN,
  ["/v1/completions"] = PLAIN,
  ["/v1/embeddings"] = EMBEDDING,
}

local function sorted(of)
  local names = {}
  for name in pairs(of) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, ", ")
end

-- The role that a body asks for.
local function role_of(r, client, route)
  local allowed, role = GUARD.clients[client] or {}, nil
  for _, name in ipairs(route.names) do
    local raw = r.values[name]
    if raw then
      role = raw:match('^"(.*)"$') or ""
      role = role:match("^(.*):latest$") or role
      if raw:sub(1, 1) ~= '"' or raw == '""' then
        refuse(400, "invalid_body", name, name .. ": is no name. Ask for one of: " .. sorted(allowed) .. ".")
      elseif not (allowed[role] and GUARD.roles[role]) then
        local what = raw:match('^"([%w._:/-]+)"$') or "that"
        local message = "%s: %s is not for client %s. Ask for one of: %s."
        refuse(403, "model_not_allowed", name, message:format(name, what, client, sorted(allowed)))
      end
    end
  end
  if not role then
    refuse(400, "invalid_body", "model", "model: is missing. Ask for one of: " .. sorted(allowed) .. ".")
  end
  return role
end

local function full_name(name)
  return LOAD[name] and "options." .. name or name
end

local function check_load(r, context)
  local asked = r.values.num_ctx
  if asked and not asked:match("^[1-9]%d?%d?%d?%d?%d?%d?%d?%d?$") then
    refuse(400, "invalid_body", "num_ctx", "options.num_ctx: expected a whole number in digits alone. Leave it out.")
  elseif asked and tonumber(asked) > context then
    local message = "options.num_ctx: %s is more than the %d tokens of context that there are. Leave it out."
    refuse(400, "context_too_long", "num_ctx", message:format(asked, context))
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

local function check_prompt(r, limit)
  local tokens = math.ceil(math.max(r.bytes, r.longest) / BYTES_PER_TOKEN) + r.numbers
  if tokens > limit then
    local message = "prompt: some %d tokens (one for %d bytes of text), expected at most %d. Send a shorter one."
    refuse(400, "context_length_exceeded", nil, message:format(tokens, BYTES_PER_TOKEN, limit))
  end
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

-- Judge a body; raises a refusal. Gives the role, and where something is to be ignored, the body without it and what.
function guard_judge(client, path, body)
  local route = ROUTES[path]
  if not route then
    refuse(404, "not_found", nil, "path: nothing answers here. See GET /api/tags, /v1/models for what there is.")
  elseif not body or body == "" then
    refuse(400, "invalid_body", nil, "body: is missing. Send a JSON object.")
  end
  local r = read(body, route.each)
  local role = role_of(r, client, route)
  check_load(r, GUARD.roles[role].context)
  check_prompt(r, GUARD.roles[role].prompt)
  if #r.drops > 0 and GUARD.load_options == "ignore" then
    local ignored = table.concat(r.load, ","):gsub("[^,]+", full_name)
    return role, without(body, r.drops), ignored
  end
  return role
end
