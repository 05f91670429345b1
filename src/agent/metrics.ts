import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Config } from '../config.ts';
import { type CommandName, commandSchemas } from '../migration/commands.ts';
import { switchResultSchema } from '../migration/record.ts';
import { buckets } from '../telemetry/buckets.ts';
import { listLocalContainers, listRoles } from './files.ts';
import { LeftoverCount, type Leftovers } from './leftovers.ts';

/** What an agent tells Prometheus of its node. */
export class AgentMetrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #commands = new Histogram({
    name: 'rankshift_agent_command_seconds',
    help: 'Commands of the controller, by outcome: ok, or the code of the error',
    labelNames: ['command', 'outcome'],
    buckets: buckets.life,
    registers: this.#registers,
  });
  readonly #sent = new Counter({
    name: 'rankshift_agent_sent_bytes_total',
    help: 'Sent to targets by moves that committed, by what it was; wire: what the pages took of the wire',
    labelNames: ['kind'],
    registers: this.#registers,
  });
  readonly #works = new Gauge({
    name: 'rankshift_agent_works',
    help: '1 where it works on this node: criu, by its self-test; pages: live pre-copy and lazy memory',
    labelNames: ['what'],
    registers: this.#registers,
  });

  constructor(config: Config) {
    const registers = this.#registers;
    const containers: Gauge = new Gauge({
      ...{ name: 'rankshift_agent_containers', help: 'Rank containers on this node', registers },
      collect: async () => containers.set((await listLocalContainers(config)).length),
    });
    const moves: Gauge<'role'> = new Gauge({
      ...{
        name: 'rankshift_agent_moves',
        help: 'Moves under way on this node, by its part',
        labelNames: ['role'],
        registers,
      },
      collect: async () => {
        const roles = await listRoles(config);
        for (const role of ['source', 'target']) moves.set({ role }, roles.filter((one) => one.role === role).length);
      },
    });
    const count = new LeftoverCount(config);
    const leftovers: Gauge<'kind'> = new Gauge({
      name: 'rankshift_agent_leftovers',
      help: 'What no container and no move of this node claims, half a minute apart',
      labelNames: ['kind'],
      registers,
      collect: async () => {
        const found: Leftovers = await count.count();
        for (const [kind, number] of Object.entries(found)) leftovers.set({ kind }, number);
      },
    });
  }

  /** Of each command that was carried out. `outcome`: ok, or the code of its error. */
  carriedOut(command: string, ms: number, outcome: string, value: unknown): void {
    const known: string = Object.hasOwn(commandSchemas, command) ? (command as CommandName) : 'unknown';
    this.#commands.observe({ command: known, outcome }, ms / 1000);
    if (command !== 'switch' || outcome !== 'ok') return;
    const { data } = switchResultSchema.pick({ bytes: true, outcome: true }).safeParse(value);
    if (data?.outcome !== 'committed' || data.bytes === null) return;
    for (const [kind, bytes] of Object.entries(data.bytes)) this.#sent.inc({ kind }, bytes ?? 0);
  }

  works(what: 'criu' | 'pages', does: boolean): void {
    this.#works.set({ what }, does ? 1 : 0);
  }
}
