import type { Config } from '../config.ts';
import { type NodeFacts, nodeFacts, runningJobs } from '../slurm/facts.ts';

const nodesMs = 30_000;
const jobsMs = 300_000;
/** One that is not among the jobs of a while ago may be new. */
const missMs = 5000;

/** What Slurm said a short while ago: who looks every few seconds asks it less often, and about all at once. */
export class SlurmLately {
  readonly #config: Config;
  #nodes: { at: number; known: Map<string, NodeFacts> } | null = null;
  #jobs: { at: number; endTimes: Map<number, number | undefined> } | null = null;

  constructor(config: Config) {
    this.#config = config;
  }

  /** @throws RankshiftError E_SLURM */
  async nodes(now: number): Promise<ReadonlyMap<string, NodeFacts>> {
    if (this.#nodes === null || now - this.#nodes.at > nodesMs) {
      const facts = await nodeFacts(this.#config);
      this.#nodes = { at: now, known: new Map(facts.map((node) => [node.name, node])) };
    }
    return this.#nodes.known;
  }

  /**
   * When the time of each of these jobs is over, Unix ms; undefined where there is no limit. Jobs that do not run are missing.
   * @throws RankshiftError E_SLURM
   */
  async endTimes(jobs: Iterable<number>, now: number): Promise<ReadonlyMap<number, number | undefined>> {
    const known = this.#jobs;
    const patience = [...jobs].every((job) => known?.endTimes.has(job)) ? jobsMs : missMs;
    if (known !== null && now - known.at <= patience) return known.endTimes;
    const facts = await runningJobs(this.#config);
    const ends = facts.map(
      ({ job, timeLimit, endTime }) => [job, timeLimit === undefined ? undefined : endTime] as const,
    );
    this.#jobs = { at: now, endTimes: new Map(ends) };
    return this.#jobs.endTimes;
  }
}
