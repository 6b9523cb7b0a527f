-- Reads what an answer cost without Envoy: `luajit usage.lua FILTER` takes the end of an answer on standard input, and
-- writes KEY=VALUE lines, or nothing.

dofile(arg[1])
for key, value in pairs(usage_of(io.read("*a")) or {}) do
  print(("%s=%d"):format(key, value))
end
