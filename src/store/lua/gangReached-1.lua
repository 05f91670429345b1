--[[
  Says how far a member of a gang is in its freeze.
  KEYS[1] hash of gangReady
  ARGV[1] migration id
  ARGV[2] 'armed': it freezes as soon as the others can; 'drained': it is frozen and its send queues are empty, so that it is
    held next; 'standing': it belongs to its target, and runs there as soon as it may; 'released': its port is open
  Output: how many are waited for: at 'armed' and 'drained' those that freeze with it and have not come so far, at 'standing'
    those that are held, and do not stand yet, at 'released' those that stand, and are held still
]]
local steps = { go = 1, armed = 2, drained = 3, standing = 4, released = 5 }
-- From where on one is waited for: who is not held yet may be far from standing, or never come.
local from = { armed = 1, drained = 1, standing = 3, released = 4 }
local mine = redis.call('HGET', KEYS[1], ARGV[1])
-- Nobody comes back who has left, and a late word takes nothing back.
if mine and (steps[mine] or 0) < steps[ARGV[2]] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
local left = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 2, #all, 2 do
  local step = steps[all[i]]
  if step and step >= from[ARGV[2]] and step < steps[ARGV[2]] then left = left + 1 end
end
return left
