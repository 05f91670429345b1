--[[
  Takes a migration that has ended out of those under way, unless its record was written since.
  KEYS[1] record (JSON)
  KEYS[2] set of those under way
  KEYS[3] set of those under way of its container
  ARGV[1] migration id
  ARGV[2] revision at which it was cleared up
  Output: 1 taken out, 0 written since
]]
local now = redis.call('GET', KEYS[1])
if now then
  -- The first members of every record; to decode all of it would cost more than all the rest.
  local revision = string.match(now, '^{"version":%d+,"revision":(%d+)') or tostring(cjson.decode(now).revision)
  if revision ~= ARGV[2] then return 0 end
end
redis.call('SREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
return 1
