--[[
  Writes or removes a field of a hash, where a lease is still the writer's.
  KEYS[1] lease key
  KEYS[2] hash
  ARGV[1] holder of the lease
  ARGV[2] field
  ARGV[3] text, empty to remove the field
  Output: 1 written, 0 the lease is not the writer's any more
]]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[2], ARGV[2])
else
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
end
return 1
