--[[
  Gives a lease back, if it is still the caller's.
  KEYS[1] lease key
  ARGV[1] holder
  Output: 1 dropped, 0 it was not the caller's
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
