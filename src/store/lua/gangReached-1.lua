--[[
  Says how far a member of a gang is in its freeze.
  KEYS[1] hash of gangReady
  ARGV[1] migration id
  ARGV[2] 'armed': it freezes as soon as the others can; 'drained': it is frozen and its send queues are empty
  Output: how many that freeze with it have not come so far
]]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local left = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 2, #all, 2 do
  if all[i] == 'go' or (all[i] == 'armed' and ARGV[2] == 'drained') then left = left + 1 end
end
return left
