--[[
  Renews a lease that has been held without a break; one that ran out is not taken anew, since others may have had it.
  KEYS[1] lease key
  ARGV[1] holder
  ARGV[2] milliseconds
  Output: 1 still held by ARGV[1], 0 not any more
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
