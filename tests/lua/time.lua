-- Times the guard without Envoy: `luajit time.lua GUARD PATH BODY TIMES` writes a line of seconds for each time.

dofile(arg[1])
local body = assert(io.open(arg[3], "rb")):read("*a")
for _ = 1, tonumber(arg[4]) do
  local began = os.clock()
  local good, refusal = pcall(guard_judge, arg[2], body, "alice", { may = "all", paths = "all" })
  print(os.clock() - began)
  assert(good, type(refusal) == "table" and refusal.message or refusal)
end
