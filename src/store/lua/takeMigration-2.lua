--[[
  Takes a migration for one controller, unless another one has it and is alive, and writes its driver into the record.
  KEYS[1] who has it
  KEYS[2] record of the migration (JSON)
  ARGV[1] the controller that asks
  ARGV[2] what comes before a controller's name in the key that it keeps there while it is alive
  ARGV[3] milliseconds after which it is nobody's, whatever happens
  ARGV[4] revision of the record as the controller knows it
  ARGV[5] that record with the driver, JSON; '' where nothing is to be written
  Output: 2 taken, and written where something was to be; 1 nothing was done, for the record has changed; 0 another one has it
]]
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('EXISTS', ARGV[2] .. holder) == 1 then return 0 end
local now = redis.call('GET', KEYS[2])
if not now then return 1 end
-- The first members of every record; to decode all of it would cost more than all the rest.
local revision = string.match(now, '^{"version":%d+,"revision":(%d+)') or tostring(cjson.decode(now).revision)
if revision ~= ARGV[4] then return 1 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[5]) end
return 2
