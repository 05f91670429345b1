--[[
  Whether anybody is there.
  KEYS[1] sorted set: who is there, and until when, in milliseconds
  Output: how many
]]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
return redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
