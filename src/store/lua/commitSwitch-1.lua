--[[
  The commit: the container now belongs to the target, under a new epoch. Idempotent: a repeat of the same commit says so.
  KEYS[1] container hash
  ARGV[1] migration id
  ARGV[2] source node
  ARGV[3] epoch before the switch
  ARGV[4] target node
  Output: 'committed', 'aborted' (the switch was closed: this migration will never commit), 'missing'
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local owner, epoch, switch, last = unpack(redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'switch', 'committed'))
if last == ARGV[1] and owner == ARGV[4] and tonumber(epoch) == tonumber(ARGV[3]) + 1 then
  redis.call('HSET', KEYS[1], 'committed', ARGV[1])
  return 'committed'
end
if switch ~= ARGV[1] or owner ~= ARGV[2] or epoch ~= ARGV[3] then return 'aborted' end
redis.call('HSET', KEYS[1], 'owner', ARGV[4], 'epoch', tostring(tonumber(ARGV[3]) + 1), 'switch', '', 'committed', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'moves', 1)
return 'committed'
