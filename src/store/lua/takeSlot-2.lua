--[[
  Gives a move its place, unless a limit is reached. What it held before is replaced.
  KEYS[1] hash: migration id -> 'STAGE SOURCE TARGET', STAGE one of ahead, copy, restore; TARGET '-' where it is not known
  KEYS[2] set of the migrations that are under way; what others held is void
  ARGV[1] migration id
  ARGV[2] stage: ahead or copy
  ARGV[3] source node
  ARGV[4] target node or '-'
  ARGV[5..8] most moves: out of a node, into a node, on a link, in all. Of those ahead the first and the last count.
  Output: 1 taken, 0 no room
]]
local cluster, out, into, link = 0, 0, 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if redis.call('SISMEMBER', KEYS[2], all[i]) == 0 then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    local stage, source, target = string.match(all[i + 1], '^(%S+) (%S+) (%S+)$')
    local ahead = stage == 'ahead'
    if ahead == (ARGV[2] == 'ahead') then
      cluster = cluster + 1
      if stage ~= 'restore' and source == ARGV[3] then
        out = out + 1
        if target == ARGV[4] then link = link + 1 end
      end
      if target == ARGV[4] then into = into + 1 end
    end
  end
end
if cluster >= tonumber(ARGV[8]) or out >= tonumber(ARGV[5]) then return 0 end
if ARGV[2] == 'copy' and (into >= tonumber(ARGV[6]) or link >= tonumber(ARGV[7])) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return 1
