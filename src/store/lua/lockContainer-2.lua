--[[
  Takes the lock that keeps a container to one migration at a time, for the driver of that migration: one that was
  replaced and does not know it would take the lock of a migration that has ended, and nobody would free it.
  KEYS[1] container hash
  KEYS[2] record of the migration (JSON)
  ARGV[1] migration id
  ARGV[2] driver
  ARGV[3] node that is being made ready, or ''; it replaces what was there
  Output: fields and values of the container hash, now locked; or 'missing', 'stale' where somebody else drives the migration,
    or the id of the migration that holds the lock
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local holder = redis.call('HGET', KEYS[1], 'migration')
if holder and holder ~= '' and holder ~= ARGV[1] then return holder end
local record = redis.call('GET', KEYS[2])
if not record then return 'stale' end
-- Among the first members of every record; to decode all of it would cost more than all the rest.
local driver = string.match(record, '^{"version":%d+,"revision":%d+,"driver":"([^"\\]*)"') or cjson.decode(record).driver
if driver ~= ARGV[2] then return 'stale' end
redis.call('HSET', KEYS[1], 'migration', ARGV[1], 'heading', ARGV[3])
return redis.call('HGETALL', KEYS[1])
