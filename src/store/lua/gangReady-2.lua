--[[
  Says that a member of a gang is ready to freeze, and whether all are. Once they go, they go: whoever comes later freezes by
  itself.
  KEYS[1] hash of the gang: migration id -> coming, ready, go, armed, drained, standing, released
  KEYS[2] set of the migrations that are under way; others are waited for no more
  ARGV[1] migration id
  ARGV[2] '1': wait no longer, go with those that are ready
  Output: 'go', or 'wait'
]]
local mine = redis.call('HGET', KEYS[1], ARGV[1])
if mine and mine ~= 'coming' and mine ~= 'ready' then return 'go' end
redis.call('HSET', KEYS[1], ARGV[1], 'ready')
local ready = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if redis.call('SISMEMBER', KEYS[2], all[i]) == 1 then
    if all[i + 1] == 'ready' then
      ready[#ready + 1] = all[i]
    elseif all[i + 1] == 'coming' and ARGV[2] ~= '1' then
      return 'wait'
    end
  end
end
for _, id in ipairs(ready) do redis.call('HSET', KEYS[1], id, 'go') end
redis.call('HSET', KEYS[1], ARGV[1], 'go')
return 'go'
