-- Reads a request's body once, from end to end: what guarded keys say, where what is to be ignored lies, and how much
-- text there is.
--
-- Ollama reads a body as Go's encoding/json does: keys match in any case, the last one wins, `mod\u0065l` is `model`, and
-- what follows the first value is not read. A body that another reader could take otherwise is refused, so that what
-- is read here is what Ollama reads (github.com/ollama/ollama/api/types.go).

local DEPTH = 64 -- of objects and arrays in each other
local KEYS = 200 -- of the body and of its options together
local VALUES = 1000000 -- millions of tiny ones would take a worker too long
local SHORT = 1024 -- characters; a text that is shorter counts as prompt, wherever it stands

local function set(...)
  local of = {}
  for _, name in ipairs({ ... }) do
    of[name] = true
  end
  return of
end

local TOP = set("model", "name", "options", "keep_alive", "context", "temperature", "top_p")
-- Ollama loads a model anew where one of these differs from what it was loaded with (server/sched.go, needsReload); the
-- second half is of earlier versions.
local LOAD = set(
  "num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread",
  "numa", "low_vram", "f16_kv", "logits_all", "vocab_only", "use_mlock"
)
local NOT_PROMPT = set("format", "response_format")
local TOOLS = set("tools", "functions")
-- Where images lie: keys by \1, # for the items of an array.
local IMAGES = set(
  "image",
  "images\1#",
  "messages\1#\1images\1#",
  "messages\1#\1content\1#\1image_url",
  "messages\1#\1content\1#\1image_url\1url",
  "messages\1#\1content\1#\1source\1data",
  "messages\1#\1content\1#\1content\1#\1source\1data", -- of a tool's result
  "input\1#\1content\1#\1image_url",
  "input\1#\1output\1#\1image_url"
)
local DEEPEST = 8 -- of those
local LOOKS = 10000 -- at short texts, for there may be a million
local FIRST = { [100] = true, [105] = true, [117] = true } -- letters of the last keys of those: most texts are of others

local function is_image(r)
  local last = r.objects[r.depth] and r.depth or r.depth - 1
  if r.depth > DEEPEST or not FIRST[byte(r.body, r.froms[last])] then
    return false
  end
  r.looks = r.looks + 1
  local path = {}
  for level = 1, r.depth do
    path[level] = r.objects[level] and sub(r.body, r.froms[level], r.tos[level]) or "#"
  end
  return IMAGES[table.concat(path, "\1")]
end

-- Count what may become a part of the prompt.
local function count(r, characters, bytes)
  local image = (characters >= SHORT or r.looks < LOOKS) and is_image(r)
  r.image = r.image or (image and characters > 0)
  if r.each and r.top == "input" and r.depth <= 2 then
    r.longest, r.bytes = math.max(r.longest, characters), r.bytes + bytes
  elseif not NOT_PROMPT[r.top] and not (image and characters >= SHORT) then
    r.characters, r.bytes = r.characters + characters, r.bytes + bytes
  end
end

-- A key, up to its value.
local function key(r, at)
  if byte(r.body, at) ~= 34 then
    malformed(at, "expected a key in quotes. Send one JSON object.")
  end
  local to, characters, escaped = text(r.body, at + 1)
  local depth, name, found = r.depth, nil, nil
  r.froms[depth], r.tos[depth] = at + 1, to - 1
  local names = depth == 1 and TOP or (depth == 2 and r.top == "options" and LOAD)
  if names then
    r.keys = r.keys + 1
    if r.keys > KEYS then
      malformed(at, "more than " .. KEYS .. " keys. Send fewer.")
    end
    name, found = guarded(r.body, at + 1, to - 1, escaped, names, r.seen)
  end
  if depth == 1 then
    r.top = found
    r.tools = r.tools or (found and TOOLS[folded(found)])
  end
  r.name = name
  r.kept[depth] = r.kept[depth] or not (name == "keep_alive" or LOAD[name])
  if not NOT_PROMPT[r.top] then
    r.characters, r.bytes = r.characters + characters, r.bytes + characters
  end
  at = space(r.body, to + 1)
  if byte(r.body, at) ~= 58 then
    malformed(at, "expected a colon behind a key. Send one JSON object.")
  end
  return space(r.body, at + 1)
end

-- Note the value of a guarded key. What is to be ignored is taken out with the comma before it or, where nothing that
-- stays comes before it, with the one behind it.
local function value(r, from, to)
  local name = r.name
  local loads = name == "keep_alive" or LOAD[name]
  local raw = sub(r.body, from, math.min(to, from + 200))
  if loads and raw == "null" then
    r.kept[r.depth] = true
  elseif loads then
    r.load[#r.load + 1] = name
    r.values[name] = raw
    local drop = { from = r.kept[r.depth] and r.comma or r.froms[r.depth] - 1, to = to }
    r.pending = not r.kept[r.depth] and drop or nil
    r.drops[#r.drops + 1] = drop
  else
    r.values[name] = raw
  end
end

-- An object or array begins: up to its first key or value, or its end.
local function enter(r, at)
  if r.name and r.name ~= "options" and r.name ~= "context" then
    refuse(400, "invalid_body", r.name, r.name .. ": is an object or array, expected a single value. Send one.")
  elseif r.depth == DEPTH then
    malformed(at, "more than " .. DEPTH .. " objects and arrays in each other. Send fewer.")
  end
  local depth = r.depth + 1
  r.depth, r.name = depth, nil
  r.objects[depth], r.kept[depth] = byte(r.body, at) == 123, false
  return space(r.body, at + 1)
end

-- A value has ended: up to the next one or, where it was the last, the end of the body.
local function leave(r, at)
  at = space(r.body, at)
  while r.depth > 0 and byte(r.body, at) == (r.objects[r.depth] and 125 or 93) do
    r.depth, r.pending = r.depth - 1, nil
    at = space(r.body, at + 1)
  end
  if r.depth == 0 then
    if at <= #r.body then
      malformed(at, "something follows the object. Send one JSON object, and nothing behind it.")
    end
    return at
  elseif byte(r.body, at) ~= 44 then
    malformed(at, "expected a comma or the end of an object or array. Send one whole JSON object.")
  end
  if r.pending then
    r.pending.to, r.pending = at, nil
  end
  r.comma = at
  return space(r.body, at + 1)
end

-- Read a body.
--   each  whether each text of `input` is a prompt of its own
-- Gives: values, as written, of guarded keys; load, those keys among them that load a model anew, in order; drops, where
-- they lie; characters, of text; numbers, of tokens that are given as numbers; longest, characters of the longest text
-- of `input`; seen, the guarded keys; image, whether there is one; tools, the same; bytes, of all text.
local function read(body, each)
  local r = {
    body = body, each = each, depth = 0, keys = 0, characters = 0, numbers = 0, longest = 0,
    looks = 0, bytes = 0, objects = {}, froms = {}, tos = {}, kept = {},
    seen = {}, values = {}, load = {}, drops = {},
  }
  local at = space(body, 1)
  if byte(body, at) ~= 123 then
    malformed(at, "expected an object. Send one JSON object in UTF-8, without a byte order mark.")
  end
  local values = 0
  repeat
    values = values + 1
    if values > VALUES then
      malformed(at, "more than a million values. Send fewer.")
    end
    local from, first = at, byte(body, at)
    local closing = (first == 123 or first == 91) and first + 2
    if closing then
      at = enter(r, at)
    elseif first == 34 then
      local to, characters = text(body, at + 1)
      count(r, characters, to - at - 1)
      at = to + 1
    else
      at = scalar(body, at)
      r.numbers = r.numbers + (r.top == "context" and 1 or 0)
    end
    if r.name and not closing then
      value(r, from, at - 1)
    end
    if not closing or byte(body, at) == closing then
      at = leave(r, at)
    end
    if r.objects[r.depth] then
      at = key(r, at)
    end
  until r.depth == 0
  return r
end
