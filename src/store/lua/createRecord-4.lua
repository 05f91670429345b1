--[[
  Writes a new migration, and enters it where it is looked for.
  KEYS[1] record (string)
  KEYS[2] sorted set of all migrations, by time
  KEYS[3] set of those under way
  KEYS[4] set of those under way of its container
  ARGV[1] migration id
  ARGV[2] JSON text
  ARGV[3] when it was asked for, Unix time in milliseconds
  Output: 1 written, 0 there is one already
]]
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[1])
return 1
