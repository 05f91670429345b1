import type { Redis } from 'ioredis';
import { LuaFactory } from 'wasmoon';

/** As much of Redis as the scripts of groups use, in the same Lua that runs them. */
const prelude = `
local keys = {}
local function of(key) keys[key] = keys[key] or {}; return keys[key] end
local texts, ends, clock = {}, {}, 0
local function text(key)
  if ends[key] and ends[key] <= clock then texts[key], ends[key] = nil, nil end
  return texts[key]
end
function pass(ms) clock = clock + ms end
local commands = {
  HSET = function(key, ...)
    local rest = { ... }
    for i = 1, #rest, 2 do of(key)[rest[i]] = rest[i + 1] end
    return #rest / 2
  end,
  GET = function(key) return text(key) or false end,
  SET = function(key, value, how, ms)
    if how == 'NX' and text(key) then return false end
    texts[key] = value
    ends[key] = ms and clock + ms
    return 1
  end,
  DEL = function(key) local was = text(key); texts[key], ends[key], keys[key] = nil, nil, nil; return was and 1 or 0 end,
  PEXPIRE = function(key, ms) if not text(key) then return 0 end; ends[key] = clock + ms; return 1 end,
  TIME = function() return { tostring(clock // 1000), tostring(clock % 1000 * 1000) } end,
  ZADD = function(key, score, member) of(key)[member] = tonumber(score); return 1 end,
  ZREM = function(key, member) of(key)[member] = nil; return 1 end,
  ZCOUNT = function(key, min)
    local n, least = 0, tonumber(string.sub(min, 2))
    for _, score in pairs(of(key)) do if score > least then n = n + 1 end end
    return n
  end,
  ZREMRANGEBYSCORE = function(key, _, most)
    for member, score in pairs(of(key)) do if score <= tonumber(most) then of(key)[member] = nil end end
    return 1
  end,
  EXISTS = function(key) return (text(key) or (keys[key] and next(keys[key]))) and 1 or 0 end,
  HGET = function(key, field) return of(key)[field] or false end,
  HMGET = function(key, ...)
    local values = {}
    for i, field in ipairs({ ... }) do values[i] = of(key)[field] or false end
    return values
  end,
  HDEL = function(key, field) of(key)[field] = nil; return 1 end,
  SADD = function(key, member) of(key)[member] = true; return 1 end,
  SREM = function(key, member) of(key)[member] = nil; return 1 end,
  SISMEMBER = function(key, member) return of(key)[member] and 1 or 0 end,
  SMISMEMBER = function(key, ...)
    local answers = {}
    for i, member in ipairs({ ... }) do answers[i] = of(key)[member] and 1 or 0 end
    return answers
  end,
  INCR = function(key) texts[key] = tostring((tonumber(texts[key] or 0)) + 1); return tonumber(texts[key]) end,
  EXPIRE = function() return 1 end,
  HKEYS = function(key) local all = {}; for field in pairs(of(key)) do all[#all + 1] = field end; return all end,
  HLEN = function(key) local n = 0; for _ in pairs(of(key)) do n = n + 1 end; return n end,
  HGETALL = function(key)
    local all = {}
    for field, value in pairs(of(key)) do all[#all + 1] = field; all[#all + 1] = value end
    return all
  end,
}
-- Of the Lua that Redis has.
unpack = table.unpack
redis = { call = function(name, ...) return commands[name](...) end }
function list(key)
  local lines = {}
  for field, value in pairs(of(key)) do lines[#lines + 1] = field .. '\\t' .. tostring(value) end
  return table.concat(lines, '\\n')
end
function run(text, count, ...)
  local all = { ... }
  KEYS, ARGV = {}, {}
  for i, one in ipairs(all) do
    if i <= count then KEYS[#KEYS + 1] = one else ARGV[#ARGV + 1] = one end
  end
  return assert(load(text))()
end
`;

const factory = new LuaFactory();

/**
 * A Redis of its own for a test of Lua scripts: hashes and sets, nothing that blocks; what has a lifetime ends when the
 * test lets time pass.
 */
export async function luaRedis(): Promise<Redis & { pass: (ms: number) => void }> {
  const lua = await factory.createEngine();
  await lua.doString(prelude);
  const of = (name: string): ((...args: unknown[]) => unknown) => lua.global.get(name);
  const [run, list] = [of('run'), of('list')];
  const call = async (name: string, ...args: unknown[]) =>
    run(`return redis.call('${name}', table.unpack(ARGV))`, 0, ...args);
  const entries = (key: string) =>
    String(list(key))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('\t') as [string, string]);
  const client = {
    evalsha: () => Promise.reject(new Error('NOSCRIPT')),
    eval: async (text: string, count: number, ...args: string[]) => run(text, count, ...args),
    pass: (ms: number) => void of('pass')(ms),
    get: (key: string) => call('GET', key).then((text) => (typeof text === 'string' ? text : null)),
    mget: (keys: string[]) => Promise.all(keys.map((key) => client.get(key))),
    set: (...args: (string | number)[]) => call('SET', ...args),
    del: (key: string) => call('DEL', key),
    zrem: (...args: string[]) => call('ZREM', ...args),
    hget: (...args: string[]) => call('HGET', ...args).then((text) => (typeof text === 'string' ? text : null)),
    hset: (...args: string[]) => call('HSET', ...args),
    hdel: (...args: string[]) => call('HDEL', ...args),
    sadd: (...args: string[]) => call('SADD', ...args),
    srem: (...args: string[]) => call('SREM', ...args),
    expire: () => call('EXPIRE'),
    hlen: (key: string) => call('HLEN', key),
    hgetall: async (key: string) => Object.fromEntries(entries(key)),
    smismember: async (key: string, members: string[]) => {
      const there = new Set(entries(key).map(([member]) => member));
      return members.map((member) => (there.has(member) ? 1 : 0));
    },
    smembers: async (key: string) => entries(key).map(([member]) => member),
    multi() {
      return Object.assign(Object.create(client), {
        ...Object.fromEntries(
          (['hset', 'hdel', 'sadd', 'expire'] as const).map((name) => [
            name,
            function (this: unknown, ...args: string[]) {
              void client[name](...(args as [string]));
              return this;
            },
          ]),
        ),
        exec: async () => [],
      });
    },
  };
  return client as unknown as Redis & { pass: (ms: number) => void };
}
