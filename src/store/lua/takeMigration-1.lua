--[[
  Takes a migration for one controller, unless another one has it and is alive.
  KEYS[1] who has it
  ARGV[1] the controller that asks
  ARGV[2] what comes before a controller's name in the key that it keeps there while it is alive
  ARGV[3] milliseconds after which it is nobody's, whatever happens
  Output: 1 taken, or had already; 0 another one has it
]]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('EXISTS', ARGV[2] .. holder) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
