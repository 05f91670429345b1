import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { calls } from './worker.ts';

type Calls = typeof calls;
type Answer<N extends keyof Calls> = Awaited<ReturnType<Calls[N]>>;

/** A process in a network namespace of its own, or in that of a container. Everything it made ends with it. */
export class Scratch {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 1;
  /** Milliseconds that the last call took inside the process. */
  lastMs = 0;

  private constructor(command: string, args: string[]) {
    const worker = fileURLToPath(new URL('worker.ts', import.meta.url));
    this.#process = fork(worker, [], { execPath: command, execArgv: [...args, '--', process.execPath] });
    this.#process.on('message', (message: { id: number; value?: unknown; error?: string; ms?: number }) => {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      this.lastMs = message.ms ?? 0;
      if (message.error === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
    });
    this.#process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the scratch process ended'));
    });
  }

  async #ready(): Promise<this> {
    await new Promise((resolve, reject) => this.#waiting.set(0, { resolve, reject }));
    return this;
  }

  /** A node: own network and mount namespace, so that names of network namespaces on two nodes do not clash. */
  static async node(): Promise<Scratch> {
    const node = await new Scratch('unshare', ['--mount', '--net']).#ready();
    await node.call('command', 'mount', '-t', 'tmpfs', 'none', '/run/netns');
    await node.call('command', 'ip', 'link', 'set', 'lo', 'up');
    return node;
  }

  /** A process in a container's network namespace on this node. */
  async container(netns: string): Promise<Scratch> {
    return new Scratch('nsenter', [`--net=/proc/${this.pid}/root/run/netns/${netns}`]).#ready();
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  call<N extends keyof Calls>(name: N, ...args: Parameters<Calls[N]>): Promise<Answer<N>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#process.send({ id, name, args });
    });
  }

  end(): void {
    this.#process.kill('SIGKILL');
  }
}

/** Nodes on one wire, with addresses 192.0.2.1, 192.0.2.2, ... (RFC 5737). */
export async function wiredNodes(count: number): Promise<{ nodes: Scratch[]; wire: Scratch }> {
  const wire = await Scratch.node();
  await wire.call('command', 'ip', 'link', 'add', 'wire', 'type', 'bridge');
  await wire.call('command', 'ip', 'link', 'set', 'wire', 'up');
  const nodes = await Promise.all(Array.from({ length: count }, () => Scratch.node()));
  for (const [i, node] of nodes.entries()) {
    const pair = ['link', 'add', `n${i}`, 'type', 'veth', 'peer', 'name', 'under', 'netns', String(node.pid)];
    await wire.call('command', 'ip', ...pair);
    await wire.call('command', 'ip', 'link', 'set', `n${i}`, 'master', 'wire', 'up');
    await node.call('command', 'ip', 'addr', 'add', `${nodeAddress(i)}/24`, 'dev', 'under');
    await node.call('command', 'ip', 'link', 'set', 'under', 'up');
  }
  return { nodes, wire };
}

export const nodeAddress = (index: number) => `192.0.2.${index + 1}`;
