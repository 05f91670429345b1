--[[
  Notes that somebody is there, until a time by the clock of Redis: those who ask do not share a clock.
  KEYS[1] sorted set: who is there, and until when, in milliseconds
  ARGV[1] who
  ARGV[2] for how long, milliseconds
  Output: 1
]]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
