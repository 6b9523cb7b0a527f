-- Judges bodies without Envoy: `luajit judge.lua GUARD CLIENT CONTEXT ROLE...`, the text of the filter, and who may ask for
-- what; 0 is no context of its own.
--
-- Reads "PATH LENGTH\n" and so many bytes, again and again, and writes for each
-- "pass ROLE IGNORED LENGTH\n" and the body as it goes on, or "refuse STATUS CODE MESSAGE\n".

dofile(arg[1])
local may = {}
for at = 4, #arg do
  may[arg[at]] = true
end
local context = tonumber(arg[3])
local limits = { may = may, paths = "all", context = context > 0 and context or nil }
for line in io.lines() do
  local path, length = line:match("^(%S+) (%d+)$")
  local body = tonumber(length) > 0 and io.read(tonumber(length)) or ""
  local good, role, rest, ignored = pcall(guard_judge, path, body, arg[2], limits)
  if good then
    rest = rest or body
    io.write(("pass %s %s %d\n"):format(role, ignored or "-", #rest), rest)
  elseif type(role) == "table" then
    io.write(("refuse %d %s %s\n"):format(role.status, role.code, role.message))
  else
    error(role)
  end
end
