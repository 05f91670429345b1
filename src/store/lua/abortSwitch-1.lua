--[[
  The opposite of the commit: closes the switch, so that this migration can never commit. Says what was decided.
  KEYS[1] container hash
  ARGV[1] migration id
  ARGV[2] epoch before the switch
  Output: 'aborted' (now or before), 'committed' (too late: the target owns the container), 'missing'
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local epoch, switch, last = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'switch', 'committed'))
if last == ARGV[1] and tonumber(epoch) > tonumber(ARGV[2]) then
  -- Written again so that the caller's WAITAOF covers the commit that it read.
  redis.call('HSET', KEYS[1], 'committed', ARGV[1])
  return 'committed'
end
if switch == ARGV[1] then switch = '' end
redis.call('HSET', KEYS[1], 'switch', switch)
return 'aborted'
