--[[
  Removes a run where it is still this one.
  KEYS[1] hash of all runs, by job
  ARGV[1] job
  ARGV[2] run ('' : whatever run)
  Output: 1 removed, or there was none; 0 the job has another run by now
]]
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text and ARGV[2] ~= '' and cjson.decode(text).run ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
