import type { Channel } from '../channel/channel.ts';
import { paced } from '../channel/paced.ts';
import type { SwitchOrder } from '../migration/commands.ts';
import type { UpperResult } from '../migration/record.ts';
import type { Timeline } from '../telemetry/timeline.ts';
import { UpperSource } from '../upper/upper-source.ts';
import type { AgentContext } from './context.ts';
import { type LocalHandle, upperProgramOf } from './local-handle.ts';
import { appliedSchema } from './messages.ts';

/** Most passes before the memory; one that is longer than this asks for another. */
const mostPasses = 3;
const longMs = 500;
const applyMs = 12 * 3_600_000;

function least(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.min(a, b);
}

/** Takes a container's upper directory to its target: in passes while it runs, what is left in the freeze. */
export class UpperSync {
  readonly result: UpperResult = { passes: [], final: null };
  readonly #source: UpperSource;
  readonly #channel: Channel;
  readonly #sent: Promise<number>;
  readonly #context: AgentContext;
  readonly #timeline: Timeline;
  #bytesPerSecond: number | null;

  constructor(
    context: AgentContext,
    order: SwitchOrder,
    channel: Channel,
    handle: Pick<LocalHandle, 'upper' | 'cgroup'>,
    timeline: Timeline,
  ) {
    this.#context = context;
    this.#channel = channel;
    this.#timeline = timeline;
    this.#bytesPerSecond = least(order.bandwidth, context.config.nodeBandwidth);
    const program = upperProgramOf(context.config);
    this.#source = new UpperSource({ program, directory: handle.upper, cgroup: handle.cgroup });
    this.#sent = channel.pipeIn(paced(this.#source.stream, () => this.#bytesPerSecond));
    this.#sent.catch(() => undefined);
  }

  /** Before the memory: all of it, and while that took long, what was changed meanwhile. */
  async passes(): Promise<void> {
    if (!this.#context.config.upperSync) return;
    for (let count = 0; count < mostPasses; count++) if ((await this.pass()) < longMs) return;
  }

  /** While the ranks run. Resolves with its milliseconds when all of it lies on the target. */
  async pass(): Promise<number> {
    if (!this.#context.config.upperSync) return 0;
    const started = performance.now();
    const name = `upper pass ${this.result.passes.length + 1}`;
    const { bytes, changed } = await this.#timeline.span(name, () => Promise.race([this.#makePass(), this.#failed()]));
    const ms = performance.now() - started;
    this.result.passes.push({ bytes, changed, ms });
    return ms;
  }

  /** Of the frozen container: what has changed since. Resolves with the bytes of all passes when they are on their way. */
  async finish(): Promise<number> {
    if (!this.#context.config.freezeLimited) this.#bytesPerSecond = null;
    const [{ bytes, changed, ms }, sent] = await Promise.all([this.#source.final(), this.#sent]);
    this.result.final = { bytes, changed, ms };
    return sent;
  }

  end(): void {
    this.#source.end();
  }

  async #makePass() {
    const made = await this.#source.pass();
    await this.#channel.next(appliedSchema, { timeoutMs: applyMs });
    return made;
  }

  /** Rejects where the stream breaks; it does not end before `finish`. */
  async #failed(): Promise<never> {
    await this.#sent;
    return await new Promise<never>(() => undefined);
  }
}
