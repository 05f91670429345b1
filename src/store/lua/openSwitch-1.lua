--[[
  Allows one migration to commit a switch of a container.
  KEYS[1] container hash
  ARGV[1] migration id
  ARGV[2] node that must own the container
  ARGV[3] epoch that the container must have
  Output: 'open', or 'missing' (no such container), 'stale' (other owner or epoch), 'busy' (another migration may commit),
  'closed' (the migration was called off already)
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local mark = 'closed:' .. ARGV[1]
local owner, epoch, switch, closed = unpack(redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'switch', mark))
if owner ~= ARGV[2] or epoch ~= ARGV[3] then return 'stale' end
if closed then return 'closed' end
if switch ~= '' and switch ~= ARGV[1] then return 'busy' end
redis.call('HSET', KEYS[1], 'switch', ARGV[1])
return 'open'
