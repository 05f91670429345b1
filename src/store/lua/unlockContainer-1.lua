--[[
  Frees the lock of a container where that migration holds it.
  KEYS[1] container hash
  ARGV[1] migration id
  Output: 1 freed, 0 not its lock
]]
if redis.call('HGET', KEYS[1], 'migration') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'migration', '', 'heading', '')
return 1
