--[[
  Writes a new migration under the next number, and enters it where it is looked for. A client whose connection breaks
  before the answer sends the same again on the next one: that finds what was written.
  KEYS[1] number of the last one
  KEYS[2] sorted set of all migrations, by time
  KEYS[3] set of those under way
  KEYS[4] set of those under way of its container
  KEYS[5] number that this request was given
  ARGV[1] what comes before the number in the key of a record
  ARGV[2] JSON text up to its number
  ARGV[3] JSON text after it
  ARGV[4] when it was asked for, Unix time in milliseconds
  ARGV[5] milliseconds for which the number that it was given is remembered
  Output: the number, or '' where there is one of that number already
]]
local given = redis.call('GET', KEYS[5])
if given then return given end
local id = tostring(redis.call('INCR', KEYS[1]))
local key = ARGV[1] .. id
if redis.call('EXISTS', key) == 1 then return '' end
redis.call('SET', key, ARGV[2] .. id .. ARGV[3])
redis.call('SET', KEYS[5], id, 'PX', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], id)
redis.call('SADD', KEYS[3], id)
redis.call('SADD', KEYS[4], id)
return id
