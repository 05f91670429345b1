import type { RunResult } from '../../src/process/run.ts';
import type { Testbed } from '../../src/testbed/index.ts';
import { nodesAnswer, parseAnswer } from './answers.ts';
import { until } from './until.ts';

export interface NodeExecOptions {
  /** @defaultValue root */
  user?: string;
  /** @defaultValue 60000 */
  timeoutMs?: number;
  input?: string;
}

/** The testbed of a test file, with the ways in which people use it. */
export class Cluster {
  readonly testbed: Testbed;
  /** Leftovers that the tests do not answer for: there before the first one, or told of already. */
  readonly known = new Set<string>();

  /** Deadlines are multiplied by it: emulated machines take so much longer, and more on a machine that does other things. */
  readonly patience: number;

  constructor(testbed: Testbed) {
    this.testbed = testbed;
    this.patience = testbed.state.nodes.some(({ kind }) => kind === 'machine') ? 5 : 1;
  }

  get nodes(): string[] {
    return this.testbed.computeNodes;
  }

  /** Runs a command in a node; any exit code is fine. */
  async exec(node: string, argv: readonly string[], options: NodeExecOptions = {}): Promise<RunResult> {
    return await this.testbed.exec(node, argv, { allow: 'any', ...this.#patiently(options) });
  }

  /** Runs a command in a node that has to succeed; its output without the final newline. */
  async output(node: string, argv: readonly string[], options: NodeExecOptions = {}): Promise<string> {
    const result = await this.testbed.exec(node, argv, this.#patiently(options));
    return result.stdout.trimEnd();
  }

  /** The command line as a user types it on the login node. */
  async rankshift(argv: readonly string[], options: NodeExecOptions = {}): Promise<RunResult> {
    return await this.exec('login', ['rankshift', ...argv], { user: 'alice', timeoutMs: 120_000, ...options });
  }

  /** Until the controller and all agents answer and CRIU passed its self-test everywhere. */
  async untilReady(timeoutMs = 60_000 * this.patience): Promise<void> {
    await until(
      'controller and all agents answer',
      async () => {
        const { nodes } = parseAnswer(nodesAnswer, await this.rankshift(['nodes', '--json'], { user: 'root' }));
        const ready = nodes.filter(({ agentAlive, criuOk }) => agentAlive && criuOk).map(({ name }) => name);
        return this.nodes.every((name) => ready.includes(name));
      },
      { timeoutMs, pollMs: 250 },
    );
  }

  #patiently(options: NodeExecOptions): NodeExecOptions {
    return { ...options, timeoutMs: (options.timeoutMs ?? 60_000) * this.patience };
  }
}
