--[[
  The records of many containers in one text: a client takes far longer for the fields one by one.
  ARGV    container hashes
  Output: JSON list of objects, field -> text, of those that there are; an empty one is {}, as cjson writes it
]]
local records = {}
for _, key in ipairs(ARGV) do
  local fields = redis.call('HGETALL', key)
  if #fields > 0 then
    local record = {}
    for i = 1, #fields, 2 do
      -- What was closed is for the scripts of the switch, and may be much.
      if string.sub(fields[i], 1, 7) ~= 'closed:' then record[fields[i]] = fields[i + 1] end
    end
    records[#records + 1] = record
  end
end
return cjson.encode(records)
