--[[
  Writes a run where it is still this one.
  KEYS[1] hash of all runs, by job
  ARGV[1] job
  ARGV[2] run
  ARGV[3] new JSON text
  Output: 1 written, 0 the job has none or another run by now
]]
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text or cjson.decode(text).run ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
