--[[
  Takes or frees the lock that keeps a container to one migration at a time.
  KEYS[1] container hash
  ARGV[1] migration id
  ARGV[2] 'lock' or 'unlock'
  ARGV[3] of a lock: node that is being made ready, or ''; it replaces what was there
  Output: 'ok', 'missing', or the id of the migration that holds the lock
]]
if redis.call('EXISTS', KEYS[1]) == 0 then return 'missing' end
local holder = redis.call('HGET', KEYS[1], 'migration')
if holder and holder ~= '' and holder ~= ARGV[1] then return holder end
redis.call('HSET', KEYS[1], 'migration', ARGV[2] == 'lock' and ARGV[1] or '', 'heading', ARGV[2] == 'lock' and ARGV[3] or '')
return 'ok'
