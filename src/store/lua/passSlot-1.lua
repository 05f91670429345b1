--[[
  A move that copies has left its source's link: the next may begin there.
  KEYS[1] hash of takeSlot
  ARGV[1] migration id
  Output: 1 passed on, 0 it did not copy
]]
local held = redis.call('HGET', KEYS[1], ARGV[1])
local rest = held and string.match(held, '^copy (.*)$')
if not rest then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], 'restore ' .. rest)
return 1
