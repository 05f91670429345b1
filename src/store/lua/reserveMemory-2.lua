--[[
  Promises memory of a node to a migration, unless what is promised already leaves too little.
  KEYS[1] hash of the node: migration id -> bytes
  KEYS[2] set of the migrations that are under way; what others were promised is void
  ARGV[1] migration id
  ARGV[2] bytes
  ARGV[3] bytes that the node has available
  Output: 'ok', or the number of bytes that others were promised
]]
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if redis.call('SISMEMBER', KEYS[2], all[i]) == 0 then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others = others + tonumber(all[i + 1])
  end
end
if others + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return tostring(others) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'ok'
