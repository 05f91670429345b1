--[[
  Takes or renews a lease; only its holder may renew it.
  KEYS[1] lease key
  ARGV[1] holder
  ARGV[2] milliseconds
  Output: 1 held by ARGV[1] now, 0 held by somebody else
]]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
