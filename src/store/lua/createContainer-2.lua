--[[
  Makes the record of a container, all of it or nothing.
  KEYS[1] container hash
  KEYS[2] set of all containers
  ARGV[1] id
  ARGV[2...] fields and values
  Output: 1 made, 0 there is one already
]]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('SADD', KEYS[2], ARGV[1])
return 1
