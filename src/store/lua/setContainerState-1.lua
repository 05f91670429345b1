--[[
  Sets the state of a container that there is. One that has ended meanwhile must not come back as a record of nothing but
  its state, which no new container could take the place of.
  KEYS[1] container hash
  ARGV[1] state
  Output: 1 set, 0 there is none
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[1])
return 1
