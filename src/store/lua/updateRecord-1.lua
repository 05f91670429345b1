--[[
  Compare-and-set of a JSON record by its revision.
  KEYS[1] record (string)
  ARGV[1] revision that must be stored now ('' : the record must not exist)
  ARGV[2] new JSON text, whose revision is the caller's business
  Output: 1 written, 0 somebody was faster
]]
local now = redis.call('GET', KEYS[1])
if ARGV[1] == '' then
  if now then return 0 end
else
  if not now then return 0 end
  -- The first members of every record; to decode all of it would cost more than all the rest.
  local revision = string.match(now, '^{"version":%d+,"revision":(%d+)') or tostring(cjson.decode(now).revision)
  if revision ~= ARGV[1] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
