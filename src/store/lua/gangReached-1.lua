--[[
  Says how far a member of a gang is in its freeze.
  KEYS[1] hash of gangReady
  ARGV[1] migration id
  ARGV[2] 'armed': it freezes as soon as the others can; 'drained': it is frozen and its send queues are empty;
    'released': on its target, stopped still, it takes what is sent to it
  Output: how many that freeze with it have not come so far
]]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local steps = { go = 1, armed = 2, drained = 3, released = 4 }
local left = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 2, #all, 2 do
  local step = steps[all[i]]
  if step and step < steps[ARGV[2]] then left = left + 1 end
end
return left
