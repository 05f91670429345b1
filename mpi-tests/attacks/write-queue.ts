/**
 * What somebody with the password of Redis can do to the queue of an agent. Runs on the management node; reads
 * `{"node", "data"}` to add a command and tell what became of it, or `{"node", "recorded": NAME}` to print the last
 * command of that name as it went through the queue.
 */
import { text } from 'node:stream/consumers';
import { loadConfig } from '../../src/config.ts';
import { redisAddress } from '../../src/store/connection.ts';
import { nodeQueue, openQueue } from '../../src/store/queues.ts';
import { createLogger } from '../../src/telemetry/logger.ts';

interface Request {
  node: string;
  data?: unknown;
  recorded?: string;
}

const { node, data, recorded } = JSON.parse(await text(process.stdin)) as Request;
const queue = openQueue(nodeQueue(node), redisAddress(loadConfig()), createLogger('attack', 'error'));
await queue.waitUntilReady();
if (recorded !== undefined) {
  const jobs = await queue.getJobs(['completed'], 0, 200);
  console.log(JSON.stringify(jobs.find(({ name }) => name === recorded)?.data ?? null));
} else {
  const job = await queue.add('forged', data);
  const deadline = Date.now() + 10_000;
  let state = 'waiting';
  while (!['completed', 'failed'].includes(state) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    state = await job.getState();
  }
  const { failedReason = '' } = (await queue.getJob(job.id ?? '')) ?? {};
  console.log(JSON.stringify({ state, failedReason }));
}
await queue.close();
