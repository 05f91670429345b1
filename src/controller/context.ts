import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../config.ts';
import type { GroupOrigin } from '../migration/group.ts';
import type { MigrationRecord } from '../migration/record.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CommandSender } from './command-sender.ts';
import type { ControllerMetrics } from './metrics.ts';
import type { PolicyFiles } from './policy-files.ts';

/** What every part of the controller works with. */
export interface ControllerContext {
  config: Config;
  redis: Redis;
  log: Logger;
  commands: CommandSender;
  migrations: Queue;
  policy: PolicyFiles;
  metrics: ControllerMetrics;
  /** Name of this controller process, holder of its leases. */
  instance: string;
  /** Aborts when the controller is told to stop. */
  stopping: AbortSignal;
  /** Begins to drive a migration here and now, where there is room; else, and elsewhere, the queue says when. */
  driveNow?: (record: MigrationRecord) => void;
  /** Looks at the states of the nodes at once, where these may start something. */
  lookAtNodes?: (origin: GroupOrigin) => Promise<void>;
}
