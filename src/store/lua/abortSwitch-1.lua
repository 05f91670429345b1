--[[
  The opposite of the commit: closes the switch for good, so that this migration can never commit, and never open a switch
  (again): a late command of a dead controller does nothing then. Says what was decided.
  KEYS[1] container hash
  ARGV[1] migration id
  ARGV[2] epoch before the switch
  ARGV[3] run of the job that the container is of; empty: not known
  Output: 'aborted' (now or before), 'committed' (too late: the target owns the container), 'superseded' (it was aborted,
  and the container has moved on since: the caller must not touch it), 'missing' (no such container any more, or
  only one of the job's next run)
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= '' and ARGV[3] and ARGV[3] ~= '' and run ~= ARGV[3] then return 'missing' end
local epoch, switch, last = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'switch', 'committed'))
if last == ARGV[1] and tonumber(epoch) > tonumber(ARGV[2]) then
  -- Written again so that the caller's WAITAOF covers the commit that it read.
  redis.call('HSET', KEYS[1], 'committed', ARGV[1])
  return 'committed'
end
if tonumber(epoch) > tonumber(ARGV[2]) then return 'superseded' end
if switch == ARGV[1] then switch = '' end
-- Each by itself: one that waits for its window may go after others that were asked for later.
redis.call('HSET', KEYS[1], 'switch', switch, 'closed:' .. ARGV[1], '1')
if switch ~= '' then return 'superseded' end
return 'aborted'
