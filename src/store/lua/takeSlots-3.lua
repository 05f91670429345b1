--[[
  Gives moves their places, one after another, each unless a limit is reached. What it held before is replaced.
  KEYS[1] hash: migration id -> 'STAGE SOURCE TARGET', STAGE one of ahead, copy, restore; TARGET '-' where it is not known
  KEYS[2] set of the migrations that are under way; what others held is void
  KEYS[3] hash of those that wait: who gets a place is taken out
  ARGV[1..4] most moves: out of a node, into a node, on a link, in all. Of those ahead the first and the last count.
  ARGV[5] '1': nothing is given where somebody waits already
  ARGV[6..] for each move: migration id, stage (ahead or copy), source node, target node or '-'
  Output: ids of those that got a place, with spaces between
]]
if ARGV[5] == '1' and redis.call('HLEN', KEYS[3]) > 0 then
  -- One whose migration has ended waits no more.
  for _, id in ipairs(redis.call('HKEYS', KEYS[3])) do
    if redis.call('SISMEMBER', KEYS[2], id) == 1 then return '' end
    redis.call('HDEL', KEYS[3], id)
  end
end
local used = {}
local function count(key) return used[key] or 0 end
local function add(stage, source, target, by)
  local class = stage == 'ahead' and 'ahead' or 'copy'
  local keys = { class, class .. ' in ' .. target }
  if stage ~= 'restore' then
    keys[3] = class .. ' out ' .. source
    keys[4] = class .. ' link ' .. source .. ' ' .. target
  end
  for _, key in ipairs(keys) do used[key] = count(key) + by end
end

local held = {}
local all = redis.call('HGETALL', KEYS[1])
-- Asked a thousand at a time: one question for each would be most of what this script costs.
for first = 1, #all, 2000 do
  local ids = {}
  for i = first, math.min(first + 1999, #all), 2 do ids[#ids + 1] = all[i] end
  for at, active in ipairs(redis.call('SMISMEMBER', KEYS[2], unpack(ids))) do
    local i = first + 2 * (at - 1)
    if active == 0 then
      redis.call('HDEL', KEYS[1], all[i])
    else
      local stage, source, target = string.match(all[i + 1], '^(%S+) (%S+) (%S+)$')
      held[all[i]] = { stage, source, target }
      add(stage, source, target, 1)
    end
  end
end

local out, into, link, cluster = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local taken = {}
for i = 6, #ARGV, 4 do
  local id, stage, source, target = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local own = held[id]
  if own then add(own[1], own[2], own[3], -1) end
  local room = count(stage) < cluster and count(stage .. ' out ' .. source) < out
  if stage == 'copy' then
    room = room and count('copy in ' .. target) < into and count('copy link ' .. source .. ' ' .. target) < link
  end
  if room then
    own = { stage, source, target }
    held[id] = own
    redis.call('HSET', KEYS[1], id, stage .. ' ' .. source .. ' ' .. target)
    redis.call('HDEL', KEYS[3], id)
    taken[#taken + 1] = id
  end
  if own then add(own[1], own[2], own[3], 1) end
end
return table.concat(taken, ' ')
