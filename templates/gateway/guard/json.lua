-- Pieces of JSON, read strictly: what Go's encoding/json takes, in UTF-8 and nothing else. Each function is given a place
-- in the body and gives the place behind what it read. LuaJIT compiles these loops, and no text is copied.

local byte, sub = string.byte, string.sub

local LONGEST_KEY = 32 -- bytes; `keep_alive` with each letter in its longest form has fewer

-- A refusal, caught where the body is judged.
--   param  the key that it is about, or nil
local function refuse(status, code, param, message)
  error({ status = status, code = code, param = param, message = message }, 0)
end

local function malformed(at, message)
  refuse(400, "invalid_body", nil, "body, byte " .. at .. ": " .. message)
end

-- The first byte from `at` on that is not white space.
local function space(body, at)
  local c = byte(body, at)
  while c == 32 or c == 10 or c == 13 or c == 9 do
    at = at + 1
    c = byte(body, at)
  end
  return at
end

-- Behind a character that is not ASCII.
local function rune(body, at)
  local c, d = byte(body, at), byte(body, at + 1) or 0
  local low, high, more = 0x80, 0xBF, 0
  if c >= 0xE0 and c <= 0xEF then
    more = 1
    low = c == 0xE0 and 0xA0 or low
    high = c == 0xED and 0x9F or high
  elseif c >= 0xF0 and c <= 0xF4 then
    more = 2
    low = c == 0xF0 and 0x90 or low
    high = c == 0xF4 and 0x8F or high
  elseif c < 0xC2 or c > 0xDF then
    high = 0
  end
  local good = d >= low and d <= high
  for further = at + 2, at + 1 + more do
    local e = byte(body, further) or 0
    good = good and e >= 0x80 and e <= 0xBF
  end
  if not good then
    malformed(at, "is not UTF-8. Encode the body as UTF-8.")
  end
  return at + 2 + more
end

local ESCAPES, HEX = {}, {}
for c in ('"\\/bfnrt'):gmatch(".") do
  ESCAPES[byte(c)] = true
end
for digit = 0, 15 do
  HEX[byte(("%x"):format(digit))] = true
  HEX[byte(("%X"):format(digit))] = true
end

-- Behind an escape.
local function escape(body, at)
  local c = byte(body, at + 1)
  if ESCAPES[c] then
    return at + 2
  end
  local first, second = HEX[byte(body, at + 2)], HEX[byte(body, at + 3)]
  if c ~= 117 or not (first and second and HEX[byte(body, at + 4)] and HEX[byte(body, at + 5)]) then
    malformed(at, "is no escape of JSON. Write it as JSON has it.")
  end
  return at + 6
end

-- The closing quote of a text whose content begins at `at`, its characters, and whether it has escapes.
local function text(body, at)
  local from, more, escaped = at, 0, false -- more: bytes beyond one for each character
  while true do
    local c = byte(body, at)
    if not c then
      malformed(at, "ends within a text. Send the whole of it.")
    elseif c == 34 then
      return at, at - from - more, escaped
    elseif c == 92 then
      local to = escape(body, at)
      at, more, escaped = to, more + to - at - 1, true
    elseif c < 32 then
      malformed(at, "is a control character in a text. Escape it.")
    elseif c < 128 then
      at = at + 1
    else
      local to = rune(body, at)
      at, more = to, more + to - at - 1
    end
  end
end

local function digits(body, at)
  local from, c = at, byte(body, at)
  while c and c >= 48 and c <= 57 do
    at = at + 1
    c = byte(body, at)
  end
  if at == from then
    malformed(at, "expected a digit. Write numbers as JSON has them.")
  end
  return at
end

local function number(body, at)
  at = byte(body, at) == 45 and at + 1 or at
  at = byte(body, at) == 48 and at + 1 or digits(body, at)
  if byte(body, at) == 46 then
    at = digits(body, at + 1)
  end
  local c = byte(body, at)
  if c == 101 or c == 69 then
    c = byte(body, at + 1)
    at = digits(body, (c == 43 or c == 45) and at + 2 or at + 1)
  end
  return at
end

-- Behind a number, true, false or null.
local function scalar(body, at)
  local c = byte(body, at)
  if c == 45 or (c and c >= 48 and c <= 57) then
    return number(body, at)
  end
  local word = sub(body, at, at + 3)
  if word == "true" or word == "null" then
    return at + 4
  elseif word == "fals" and byte(body, at + 4) == 101 then
    return at + 5
  end
  malformed(at, "expected a value of JSON. Send one JSON object.")
end

-- As Go's encoding/json folds keys. Two letters have relatives outside of ASCII: the Kelvin sign and the long s.
local function folded(key)
  return (key:lower():gsub("\226\132\170", "k"):gsub("\197\191", "s"))
end

-- A key of an object with guarded keys; refused where Ollama could take it for another than a plain reader does.
--   from, to  where it lies
--   names     the guarded keys
--   seen      those that the object had before
-- Gives the guarded key that it is, or nil, and the key, or nil where it is a long one.
local function guarded(body, from, to, escaped, names, seen)
  if escaped then
    malformed(from, "an escape in a key. Write keys of the body and of options without.")
  elseif to - from >= LONGEST_KEY then
    return nil, nil
  end
  local key = sub(body, from, to)
  local name = names[key] and key or folded(key)
  if not names[name] then
    return nil, key
  elseif name ~= key then
    malformed(from, "is a key that Ollama takes for " .. name .. ". Write it as " .. name .. ", or leave it out.")
  elseif seen[name] then
    malformed(from, "has " .. name .. " a second time. Send it once.")
  end
  seen[name] = true
  return name, key
end
