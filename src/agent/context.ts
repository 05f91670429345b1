import type { KeyObject } from 'node:crypto';
import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LimitFunction } from 'p-limit';
import type { Credentials } from '../channel/credentials.ts';
import type { Config } from '../config.ts';
import type { LinkFacts } from '../migration/record.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { AgentMetrics } from './metrics.ts';
import type { OpenShells } from './shells.ts';

/** What every part of the agent works with. */
export interface AgentContext {
  config: Config;
  /** This node's name and its address for peers. */
  node: string;
  address: string;
  /** A new one with each start of this agent: commands for an earlier start are not carried out. */
  instance: string;
  redis: Redis;
  log: Logger;
  credentials: Credentials;
  /** Verifies the controller's commands. */
  commandKey: KeyObject;
  /** Root of the launcher's secrets. */
  launchKey: string;
  reports: Queue;
  metrics: AgentMetrics;
  /** Switches that this process conducts now, by migration: what is in here is not for recovery to touch. */
  operations: Map<string, Promise<unknown>>;
  /** Places of those whose memory leaves this node now (bulk-turn.ts). */
  copies: LimitFunction;
  /** What was last measured to other agents, by address (link.ts). */
  links: Map<string, { facts: LinkFacts; at: number }>;
  /** Shells that are open in containers here. */
  shells: OpenShells;
  /** Aborts when the agent is told to stop. */
  stopping: AbortSignal;
}
