import { type KeyObject, randomUUID } from 'node:crypto';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type Envelope, signEnvelope } from '../channel/envelope.ts';
import { RankshiftError } from '../errors.ts';
import type { CommandName, CommandPayload } from '../migration/commands.ts';
import { serializedErrorSchema } from '../migration/record.ts';
import { connectRedis, type RedisAddress } from '../store/connection.ts';
import { type Agent, readAgent } from '../store/nodes.ts';
import { connectQueues, nodeQueue, openQueue, readResult, resultChannel } from '../store/queues.ts';
import type { Logger } from '../telemetry/logger.ts';

const answerSchema = z.union([
  z.object({ dropped: z.literal(true) }),
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: serializedErrorSchema }),
]);

/** How often a waiting command looks whether its agent is still the one that got it. */
const livenessMs = 500;
/** How long a restarted agent gets to say that it dropped a command of before. */
const dropMs = 500;
const resendMs = 200;
/** How long a command waits for Redis to take it, and how often it tries. */
const queueMs = 15_000;
const requeueMs = 200;

export interface CommandOptions {
  /** Milliseconds until E_TIMEOUT. @defaultValue 30000 */
  timeoutMs?: number;
  container?: string;
  epoch?: number;
  migration?: string;
}

/** Sends signed commands to agents through their queues and waits for the answers. */
export class CommandSender {
  readonly #redis: Redis;
  readonly #address: RedisAddress;
  readonly #key: KeyObject;
  readonly #log: Logger;
  readonly #queues = new Map<string, Queue>();
  /** One for the queues of all nodes, of which there may be thousands. */
  readonly #queueConnection: Redis;
  readonly #waiting = new Map<string, () => void>();
  readonly #agents = new Map<string, { agent: Promise<Agent | null>; at: number }>();
  readonly #subscriber: Redis;
  readonly instance = randomUUID();

  constructor(redis: Redis, address: RedisAddress, key: KeyObject, log: Logger) {
    this.#redis = redis;
    this.#address = address;
    this.#key = key;
    this.#log = log;
    this.#subscriber = connectRedis(address, log);
    this.#queueConnection = connectQueues(address, log);
    this.#subscriber.on('message', (_channel: string, id: string) => this.#waiting.get(id)?.());
    void this.#subscriber.subscribe(resultChannel(this.instance));
  }

  /**
   * Sends one command and waits for its answer. A command that reaches another start of the agent than the one that was
   * seen is dropped there, and sent again to that start.
   * @throws RankshiftError what the agent answered; E_AGENT where the agent is away or was restarted before it answered;
   * E_REDIS where it could not be queued; E_TIMEOUT at the deadline. After all but the first the command may or may not
   * have been carried out.
   */
  async send<N extends CommandName>(
    node: string,
    command: N,
    payload: CommandPayload<N>,
    options: CommandOptions = {},
  ): Promise<unknown> {
    const { timeoutMs = 30_000, container, epoch, migration } = options;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const before = await readAgent(this.#redis, node);
      if (before === null)
        throw new RankshiftError('E_AGENT', `the agent on ${node} does not answer`, { retryable: true });
      const id = randomUUID();
      const envelope = signEnvelope(this.#key, {
        ...{ id, node, instance: before.instance, command, payload, replyTo: this.instance, expiresAt: deadline },
        ...(container === undefined ? {} : { container }),
        ...(epoch === undefined ? {} : { epoch }),
        ...(migration === undefined ? {} : { migration }),
      });
      await this.#enqueue(node, envelope, Math.min(deadline, Date.now() + queueMs));
      this.#log.debug({ node, command, id }, 'command sent');
      const answer = answerSchema.parse(await this.#answer(id, node, command, before.instance, deadline));
      if ('dropped' in answer) {
        // Its new heartbeat comes within a second.
        await new Promise((resolve) => setTimeout(resolve, resendMs));
        continue;
      }
      if (answer.ok) return answer.value;
      throw RankshiftError.from(answer.error);
    }
  }

  /** Redis may be restarting. Added again under its id, a command that is in the queue already stays as it is. */
  async #enqueue(node: string, envelope: Envelope, deadline: number): Promise<void> {
    const { command, id } = envelope;
    for (;;) {
      try {
        await this.#queue(node).add(command, envelope, { jobId: id });
        return;
      } catch (cause) {
        const { message } = cause as Error;
        if (Date.now() > deadline)
          throw new RankshiftError('E_REDIS', `cannot queue ${command} for ${node}: ${message}`, { cause });
        await new Promise((resolve) => setTimeout(resolve, requeueMs));
      }
    }
  }

  async #answer(id: string, node: string, command: string, instance: string, deadline: number): Promise<unknown> {
    let restartedAt: number | null = null;
    try {
      for (;;) {
        const announced = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
        const answer = await this.#read(id);
        if (answer !== undefined) return answer;
        if (Date.now() > deadline) {
          throw new RankshiftError('E_TIMEOUT', `the agent on ${node} did not answer ${command} in time`, {
            retryable: true,
          });
        }
        if (restartedAt !== null && Date.now() - restartedAt > dropMs) {
          throw new RankshiftError('E_AGENT', `the agent on ${node} was restarted while it carried out ${command}`, {
            retryable: true,
          });
        }
        if (await within(announced, livenessMs)) continue;
        const now = await this.#agentOf(node);
        // What the earlier start had not taken from the queue, the new one drops, and says so.
        if (now !== null && now.instance !== instance) restartedAt ??= Date.now();
      }
    } finally {
      this.#waiting.delete(id);
    }
  }

  /** Which start of an agent reports, read once for all commands that wait for its answers. */
  #agentOf(node: string): Promise<Agent | null> {
    const last = this.#agents.get(node);
    if (last !== undefined && performance.now() - last.at < livenessMs / 2) return last.agent;
    const agent = readAgent(this.#redis, node);
    this.#agents.set(node, { agent, at: performance.now() });
    return agent;
  }

  async #read(id: string): Promise<unknown> {
    return readResult(this.#redis, id);
  }

  #queue(node: string): Queue {
    const known = this.#queues.get(node);
    if (known !== undefined) return known;
    const queue = openQueue(nodeQueue(node), this.#address, this.#log, this.#queueConnection);
    this.#queues.set(node, queue);
    return queue;
  }

  async close(): Promise<void> {
    this.#subscriber.disconnect();
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()));
    this.#queueConnection.disconnect();
  }
}

/** True where it comes before the time is over. */
async function within(wanted: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  return await Promise.race([wanted.then(() => true), late]).finally(() => clearTimeout(timer));
}
