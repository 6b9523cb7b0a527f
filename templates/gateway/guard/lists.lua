-- Lists of models, which the guard asks Ollama for and answers itself: a client sees what it may ask for, nothing else.
-- A list that cannot be read from end to end is not shown.

local LIST_BYTES = 1048576 -- at most
local FOLDED = 16 -- objects and arrays in each other

-- key: of the list; names: the keys of an entry that say the name, the first in every entry; form: of the answer
local NATIVE = { key = "models", names = set("name", "model"), name = "name", form = '{"models":[%s]}' }
local LISTS = {
  ["/api/tags"] = NATIVE,
  ["/api/ps"] = NATIVE,
  ["/v1/models"] = { key = "data", names = set("id"), name = "id", form = '{"object":"list","data":[%s]}' },
}

-- The name by which the host knows what a client may see; nil where that is nothing.
local function visible(name, may)
  local role = name:match("^(.*):latest$") or name
  return GUARD.names[role] and (may == "all" or may[role]) and role or nil
end

-- Go through an object or array: `each` is told where a value begins, and of an object its key as `text` gives it, and
-- gives the place behind the value. Gives the place behind it all.
local function through(body, at, each)
  local object = byte(body, at) == 123
  local closing = object and 125 or 93
  at = space(body, at + 1)
  while byte(body, at) ~= closing do
    local from, to, escaped
    if object then
      if byte(body, at) ~= 34 then
        malformed(at, "expected a key.")
      end
      from = at + 1
      to, _, escaped = text(body, from)
      at = space(body, to + 1)
      if byte(body, at) ~= 58 then
        malformed(at, "expected a colon.")
      end
      at = space(body, at + 1)
    end
    at = space(body, each(at, from, to and to - 1, escaped))
    if byte(body, at) == 44 then
      at = space(body, at + 1)
      if byte(body, at) == closing then
        malformed(at, "expected a value.")
      end
    elseif byte(body, at) ~= closing then
      malformed(at, "expected a comma or the end.")
    end
  end
  return at + 1
end

-- Behind a value.
local function behind(body, at, folded)
  local first = byte(body, at)
  if first == 34 then
    return text(body, at + 1) + 1
  elseif first ~= 123 and first ~= 91 then
    return scalar(body, at)
  elseif folded == 0 then
    malformed(at, "too many objects and arrays in each other.")
  end
  return through(body, at, function(value)
    return behind(body, value, folded - 1)
  end)
end

-- Whether an entry is shown, and the place behind it.
local function entry(body, at, of, may)
  local seen, shown = {}, true
  if byte(body, at) ~= 123 then
    malformed(at, "expected an object.")
  end
  at = through(body, at, function(value, from, to, escaped)
    local after = behind(body, value, FOLDED)
    if guarded(body, from, to, escaped, of.names, seen) then
      local name = sub(body, value, after - 1):match('^"([^"\\]+)"$')
      shown = shown and name and visible(name, may)
    end
    return after
  end)
  return shown and seen[of.name], at
end

-- Whether a path is that of a list.
function guard_lists(path)
  return LISTS[path] ~= nil
end

-- What of a list a client sees; raises a refusal.
--   path  of a list
--   body  that Ollama answers
function guard_listed(path, body, may)
  local of, seen, entries = LISTS[path], {}, {}
  local names = { [of.key] = true }
  if #body > LIST_BYTES or byte(body, space(body, 1)) ~= 123 then
    malformed(1, "expected an object that is not too long.")
  end
  local at = through(body, space(body, 1), function(value, from, to, escaped)
    if not guarded(body, from, to, escaped, names, seen) then
      return behind(body, value, FOLDED)
    elseif sub(body, value, value + 3) == "null" then -- of no models
      return value + 4
    elseif byte(body, value) ~= 91 then
      malformed(value, "expected an array.")
    end
    return through(body, value, function(first)
      local shown, after = entry(body, first, of, may)
      entries[#entries + 1] = shown and sub(body, first, after - 1) or nil
      return after
    end)
  end)
  if not seen[of.key] or space(body, at) <= #body then
    malformed(at, "expected a list, and nothing behind it.")
  end
  return (of.form:gsub("%%s", function()
    return table.concat(entries, ",")
  end))
end

-- What a model's name stands for; refused where the client may not ask for it, as OpenAI's API does what is not there.
function guard_named(name, client, may)
  local role = visible(name, may)
  if not role then
    local message = "model: %s is not for client %s. %s"
    refuse(404, "model_not_found", "model", message:format(name, client, choice(may)))
  end
  return role
end
