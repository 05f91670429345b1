--[[
  Removes the record of a container where it is still that of the run that has ended.
  KEYS[1] container hash
  KEYS[2] set of all containers
  ARGV[1] id
  ARGV[2] run ('' : of whatever run)
  Output: 1 removed, or there was none; 0 it belongs to another run
]]
local run = redis.call('HGET', KEYS[1], 'run')
if ARGV[2] ~= '' and run and run ~= '' and run ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SREM', KEYS[2], ARGV[1])
return 1
