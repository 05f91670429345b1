import { type KeyObject, randomUUID } from 'node:crypto';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { signEnvelope } from '../channel/envelope.ts';
import { RankshiftError } from '../errors.ts';
import type { CommandName, CommandPayload } from '../migration/commands.ts';
import { serializedErrorSchema } from '../migration/record.ts';
import { connectRedis, type RedisAddress } from '../store/connection.ts';
import { readHeartbeat } from '../store/nodes.ts';
import { nodeQueue, openQueue, readResult, resultChannel } from '../store/queues.ts';
import type { Logger } from '../telemetry/logger.ts';

const answerSchema = z.union([
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: serializedErrorSchema }),
]);

/** How often a waiting command looks whether its agent is still the one that got it. */
const livenessMs = 500;

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
  readonly #waiting = new Map<string, () => void>();
  readonly #subscriber: Redis;
  readonly instance = randomUUID();

  constructor(redis: Redis, address: RedisAddress, key: KeyObject, log: Logger) {
    this.#redis = redis;
    this.#address = address;
    this.#key = key;
    this.#log = log;
    this.#subscriber = connectRedis(address, log);
    this.#subscriber.on('message', (_channel: string, id: string) => this.#waiting.get(id)?.());
    void this.#subscriber.subscribe(resultChannel(this.instance));
  }

  /**
   * Sends one command and waits for its answer.
   * @throws RankshiftError what the agent answered; E_AGENT where the agent is away or was restarted before it answered;
   * E_TIMEOUT at the deadline. After E_AGENT and E_TIMEOUT the command may or may not have been carried out.
   */
  async send<N extends CommandName>(
    node: string,
    command: N,
    payload: CommandPayload<N>,
    options: CommandOptions = {},
  ): Promise<unknown> {
    const { timeoutMs = 30_000, container, epoch, migration } = options;
    const before = await readHeartbeat(this.#redis, node);
    if (before === null)
      throw new RankshiftError('E_AGENT', `the agent on ${node} does not answer`, { retryable: true });
    const id = randomUUID();
    const deadline = Date.now() + timeoutMs;
    const envelope = signEnvelope(this.#key, {
      id,
      node,
      command,
      payload,
      replyTo: this.instance,
      expiresAt: deadline,
      ...(container === undefined ? {} : { container }),
      ...(epoch === undefined ? {} : { epoch }),
      ...(migration === undefined ? {} : { migration }),
    });
    try {
      await this.#queue(node).add(command, envelope, { jobId: id });
    } catch (cause) {
      throw new RankshiftError('E_REDIS', `cannot queue ${command} for ${node}: ${(cause as Error).message}`, {
        cause,
      });
    }
    this.#log.debug({ node, command, id }, 'command sent');
    return this.#answer(id, node, command, before.instance, deadline);
  }

  async #answer(id: string, node: string, command: string, instance: string, deadline: number): Promise<unknown> {
    try {
      for (;;) {
        const announced = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
        const answer = await this.#read(id);
        if (answer !== undefined) return unwrap(answer);
        if (Date.now() > deadline) {
          throw new RankshiftError('E_TIMEOUT', `the agent on ${node} did not answer ${command} in time`, {
            retryable: true,
          });
        }
        await Promise.race([announced, new Promise<void>((resolve) => setTimeout(resolve, livenessMs))]);
        const now = await readHeartbeat(this.#redis, node);
        if (now !== null && now.instance !== instance) {
          const last = await this.#read(id);
          if (last !== undefined) return unwrap(last);
          throw new RankshiftError('E_AGENT', `the agent on ${node} was restarted while it carried out ${command}`, {
            retryable: true,
          });
        }
      }
    } finally {
      this.#waiting.delete(id);
    }
  }

  async #read(id: string): Promise<unknown> {
    return readResult(this.#redis, id);
  }

  #queue(node: string): Queue {
    const known = this.#queues.get(node);
    if (known !== undefined) return known;
    const queue = openQueue(nodeQueue(node), this.#address, this.#log);
    this.#queues.set(node, queue);
    return queue;
  }

  async close(): Promise<void> {
    this.#subscriber.disconnect();
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()));
  }
}

function unwrap(answer: unknown): unknown {
  const parsed = answerSchema.parse(answer);
  if (parsed.ok) return parsed.value;
  throw RankshiftError.from(parsed.error);
}
