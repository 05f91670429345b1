import type { ChildProcess } from 'node:child_process';
import { RankshiftError } from '../errors.ts';
import type { RunResult } from '../process/run.ts';
import { type ExecOptions, execInNode, spawnInNode } from './exec.ts';
import { type TestbedPaths, testbedPaths } from './paths.ts';
import { type NodeState, nodeOf, readState, type TestbedState } from './state.ts';
import { takeDown } from './take-down.ts';

/** A running testbed, as tests and benchmarks use it. */
export class Testbed {
  readonly name: string;
  readonly state: TestbedState;
  readonly paths: TestbedPaths;

  constructor(state: TestbedState) {
    this.name = state.name;
    this.state = state;
    this.paths = testbedPaths(state.name);
  }

  /** A testbed that was brought up by another process. @throws RankshiftError E_BAD_INPUT where there is none. */
  static open(name = 'default'): Testbed {
    return new Testbed(readState(name));
  }

  get computeNodes(): string[] {
    return this.state.nodes.filter(({ role }) => role === 'compute').map(({ name }) => name);
  }

  node(name: string): NodeState {
    return nodeOf(this.state, name);
  }

  /** A file of a node as a path of this machine; it holds while the node runs. */
  path(node: string, path: string): string {
    if (this.node(node).kind === 'machine') {
      throw new RankshiftError('E_BAD_INPUT', `${node} is a virtual machine: its files are its own`);
    }
    return `/proc/${this.node(node).init?.pid ?? 0}/root${path}`;
  }

  /** Runs a command in a node. @throws RankshiftError as process/run. */
  async exec(node: string, argv: readonly string[], options: ExecOptions = {}): Promise<RunResult> {
    return await execInNode(this.state, node, argv, options);
  }

  /** Starts a command in a node; its streams are pipes; it dies when killed. */
  spawn(node: string, argv: readonly string[], options: { user?: string } = {}): ChildProcess {
    return spawnInNode(this.state, node, argv, options);
  }

  async down(): Promise<void> {
    await takeDown(this.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
