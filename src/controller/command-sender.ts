import { type KeyObject, randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { signedText } from '../channel/envelope.ts';
import { RankshiftError } from '../errors.ts';
import type { CommandName, CommandPayload } from '../migration/commands.ts';
import { serializedErrorSchema } from '../migration/record.ts';
import { addCommand } from '../store/commands.ts';
import { connectRedis, type RedisAddress } from '../store/connection.ts';
import { agentLately } from '../store/nodes-lately.ts';
import { connectImpatiently } from '../store/queues.ts';
import { parseAnnounced, readResult, resultChannel } from '../store/results.ts';
import type { Logger } from '../telemetry/logger.ts';

const answerSchema = z.union([
  z.object({ dropped: z.literal(true) }),
  z.object({ ok: z.literal(true), value: z.unknown() }),
  z.object({ ok: z.literal(false), error: serializedErrorSchema }),
]);

/** How often a waiting command looks whether its agent is still the one that got it. */
const livenessMs = 500;
/** How often it looks for the answer itself, which it should have been told. */
const readMs = 5000;
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
  readonly #key: KeyObject;
  readonly #log: Logger;
  readonly #impatient: Redis;
  readonly #waiting = new Map<string, (result: unknown) => void>();
  readonly #subscriber: Redis;
  /** Changes when answers may have been told to nobody. */
  #subscription = 0;
  readonly instance = randomUUID();

  constructor(redis: Redis, address: RedisAddress, key: KeyObject, log: Logger) {
    this.#redis = redis;
    this.#key = key;
    this.#log = log;
    this.#subscriber = connectRedis(address, log);
    this.#impatient = connectImpatiently(address, log);
    this.#subscriber.on('message', (_channel: string, message: string) => {
      const { id, result } = parseAnnounced(message);
      if (result !== undefined) this.#waiting.get(id)?.(result);
    });
    this.#subscriber.on('close', () => this.#subscription++);
    this.#subscriber.on('ready', () => this.#subscription++);
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
    for (let maxAgeMs: number | undefined; ; maxAgeMs = 0) {
      // One that was seen a moment ago, and restarted since, drops it and says so.
      const before = await agentLately(this.#redis, node, maxAgeMs);
      if (before === null)
        throw new RankshiftError('E_AGENT', `the agent on ${node} does not answer`, { retryable: true });
      const id = randomUUID();
      const envelope = signedText(this.#key, {
        ...{ id, node, instance: before.instance, command, payload, replyTo: this.instance, expiresAt: deadline },
        ...(container === undefined ? {} : { container }),
        ...(epoch === undefined ? {} : { epoch }),
        ...(migration === undefined ? {} : { migration }),
      });
      const told = new Promise<unknown>((resolve) => this.#waiting.set(id, resolve));
      let answer: z.infer<typeof answerSchema>;
      try {
        await this.#enqueue(node, command, envelope, Math.min(deadline, Date.now() + queueMs));
        this.#log.debug({ node, command, id }, 'command sent');
        answer = answerSchema.parse(await this.#answer(told, id, node, command, before.instance, deadline));
      } finally {
        this.#waiting.delete(id);
      }
      if ('dropped' in answer) {
        // Its new heartbeat comes within a second.
        await new Promise((resolve) => setTimeout(resolve, resendMs));
        continue;
      }
      if (answer.ok) return answer.value;
      throw RankshiftError.from(answer.error);
    }
  }

  /** Redis may be restarting. An agent that gets a command twice carries it out once, by its id. */
  async #enqueue(node: string, command: string, envelope: string, deadline: number): Promise<void> {
    for (;;) {
      try {
        await addCommand(this.#impatient, node, envelope);
        return;
      } catch (cause) {
        const { message } = cause as Error;
        if (Date.now() > deadline)
          throw new RankshiftError('E_REDIS', `cannot queue ${command} for ${node}: ${message}`, { cause });
        await new Promise((resolve) => setTimeout(resolve, requeueMs));
      }
    }
  }

  async #answer(
    told: Promise<unknown>,
    id: string,
    node: string,
    command: string,
    instance: string,
    deadline: number,
  ): Promise<unknown> {
    let restartedAt: number | null = null;
    let read = { at: Date.now(), subscription: this.#subscription };
    for (;;) {
      const answer = await within(told, Math.min(livenessMs, Math.max(1, deadline - Date.now())));
      if (answer !== silent) return answer;
      const over = Date.now() > deadline;
      const unsure = over || restartedAt !== null || read.subscription !== this.#subscription;
      if (unsure || Date.now() - read.at > readMs) {
        read = { at: Date.now(), subscription: this.#subscription };
        const result = await readResult(this.#redis, id);
        if (result !== undefined) return result;
      }
      if (over) {
        throw new RankshiftError('E_TIMEOUT', `the agent on ${node} did not answer ${command} in time`, {
          retryable: true,
        });
      }
      if (restartedAt !== null && Date.now() - restartedAt > dropMs) {
        throw new RankshiftError('E_AGENT', `the agent on ${node} was restarted while it carried out ${command}`, {
          retryable: true,
        });
      }
      const now = await agentLately(this.#redis, node);
      // What the earlier start had not taken, the new one drops, and says so.
      if (now !== null && now.instance !== instance) restartedAt ??= Date.now();
    }
  }

  async close(): Promise<void> {
    this.#subscriber.disconnect();
    this.#impatient.disconnect();
  }
}

const silent = Symbol('nothing was heard');

/** What comes before the time is over, or `silent`. */
async function within(wanted: Promise<unknown>, ms: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof silent>((resolve) => {
    timer = setTimeout(() => resolve(silent), ms);
  });
  return await Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}
