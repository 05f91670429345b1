/**
 * What somebody with the password of Redis can do to the commands of an agent, and who can read Redis's file finds there.
 * Runs on the management node; reads `{"node", "data"}` to add a command and wait until the agent has taken it, or
 * `{"node", "recorded": NAME}` to print the last command of that name that went to the agent.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { loadConfig } from '../../src/config.ts';
import { addCommand, commandsKey } from '../../src/store/commands.ts';
import { connectRedis, redisAddress } from '../../src/store/connection.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

interface Request {
  node: string;
  data?: unknown;
  recorded?: string;
}

const directory = '/var/lib/redis/appendonlydir';
const { node, data, recorded } = JSON.parse(await text(process.stdin)) as Request;
if (recorded !== undefined) {
  const files = readdirSync(directory).filter((name) => name.endsWith('.incr.aof'));
  const lines = files.flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\r\n'));
  const envelopes = lines.flatMap((line, at) => {
    const added = line.startsWith('{') && lines.slice(Math.max(0, at - 20), at).includes(commandsKey(node));
    return added ? [JSON.parse(line) as { command?: string }] : [];
  });
  console.log(JSON.stringify(envelopes.findLast(({ command }) => command === recorded) ?? null));
} else {
  const redis = connectRedis(redisAddress(loadConfig()), createLogger('attack', 'error'));
  await addCommand(redis, node, JSON.stringify(data));
  const deadline = Date.now() + 10_000;
  const left = () => redis.xlen(commandsKey(node));
  while ((await left()) > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log(JSON.stringify({ taken: (await left()) === 0 }));
  redis.disconnect();
}
