import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { RankshiftError } from './errors.ts';
import { bytesPerSecondOf } from './migration/quantities.ts';
import { compressionSchema, streamsSchema } from './migration/wire.ts';

/** Where the configuration lies unless RANKSHIFT_CONF names another file. */
export const defaultConfigFile = '/etc/rankshift/rankshift.conf';

const port = z.coerce.number().int().min(1).max(65535);
const portRange = z
  .string()
  .regex(/^\d{1,5}-\d{1,5}$/, 'LOW-HIGH')
  .transform((text) => text.split('-').map(Number) as [number, number])
  .refine(([low, high]) => low >= 1 && low <= high && high <= 65535, 'LOW-HIGH');
const absolutePath = z.string().regex(/^\/[^\0]*$/, 'an absolute path');
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/, 'a host name');
const list = z.string().transform((text) => text.split(',').filter((part) => part.length > 0));
const yesNo = z.enum(['yes', 'no']).transform((text) => text === 'yes');
const rateOrNone = z
  .string()
  .transform((text) => (text === 'none' ? null : (bytesPerSecondOf(text) ?? Number.NaN)))
  .pipe(z.number().nullable());
const moves = z.coerce.number().int().min(1).max(10_000);
const milliseconds = z.coerce.number().int().min(0);

/** Every key of rankshift.conf with its default. The schema is the documentation: `allowed` says what a value may be. */
const keys = {
  ClusterName: { schema: name, fallback: 'cluster', allowed: 'a name', about: 'name of the cluster' },
  ControllerHost: { schema: name, fallback: 'controller', allowed: 'a host name', about: 'where the controller runs' },
  ControllerPort: { schema: port, fallback: '7460', allowed: '1-65535', about: 'HTTPS API of the controller' },
  AgentPort: { schema: port, fallback: '7461', allowed: '1-65535', about: 'TLS channel of each agent' },
  MetricsAddress: {
    schema: z.ipv4(),
    fallback: '0.0.0.0',
    allowed: 'an IPv4 address of this host',
    about: 'where metrics are served to Prometheus, as node_exporter serves its own; nothing secret is in them',
  },
  ControllerMetricsPort: {
    schema: port.or(z.literal('0').transform(Number)),
    fallback: '7462',
    allowed: '1-65535, or 0 for none',
    about: 'metrics of the controller, /metrics',
  },
  AgentMetricsPort: {
    schema: port.or(z.literal('0').transform(Number)),
    fallback: '7463',
    allowed: '1-65535, or 0 for none',
    about: 'metrics of each agent, /metrics',
  },
  NodeName: {
    schema: name.or(z.literal('')),
    fallback: '',
    allowed: 'a host name',
    about: 'this node (empty: its host name)',
  },
  NodeAddress: {
    schema: z.ipv4().or(z.literal('')),
    fallback: '',
    allowed: 'an IPv4 address',
    about: 'address of this node for peers (empty: what its name resolves to)',
  },
  RedisHost: { schema: name.or(z.ipv4()), fallback: 'controller', allowed: 'a host name', about: 'where Redis runs' },
  RedisPort: { schema: port, fallback: '6379', allowed: '1-65535', about: 'port of Redis' },
  RedisPasswordFile: {
    schema: absolutePath,
    fallback: '/etc/rankshift/keys/redis.password',
    allowed: 'an absolute path',
    about: 'file with the password of Redis, 0600 root',
  },
  KeyDir: {
    schema: absolutePath,
    fallback: '/etc/rankshift/keys',
    allowed: 'an absolute path',
    about: 'certificates and keys',
  },
  StateDir: {
    schema: absolutePath,
    fallback: '/var/lib/rankshift',
    allowed: 'an absolute path',
    about: 'containers, images, spool; not on overlayfs',
  },
  RunDir: { schema: absolutePath, fallback: '/run/rankshift', allowed: 'an absolute path', about: 'volatile files' },
  ImageStore: {
    schema: absolutePath,
    fallback: '/var/lib/rankshift/images',
    allowed: 'an absolute path',
    about: 'image store; may lie on a shared file system',
  },
  BinDir: {
    schema: absolutePath,
    fallback: '/usr/lib/rankshift',
    allowed: 'an absolute path',
    about: 'our static C programs',
  },
  DefaultImage: {
    schema: name.or(z.literal('')),
    fallback: '',
    allowed: 'an image name',
    about: 'image of rankshift run without --image',
  },
  SharedPaths: {
    schema: list,
    fallback: '/home',
    allowed: 'absolute paths, comma separated',
    about: 'shared file systems that every rank container sees',
  },
  SlurmUser: {
    schema: name,
    fallback: 'slurm',
    allowed: 'a user name',
    about: "Slurm's own user, whose programs may empty nodes",
  },
  EvacuateOnDrain: {
    schema: yesNo,
    fallback: 'no',
    allowed: 'yes or no',
    about: 'empty nodes that are drained, fail or are to reboot in Slurm; rankshift slurm install says yes',
  },
  ReturnOnResume: {
    schema: yesNo,
    fallback: 'no',
    allowed: 'yes or no',
    about: 'bring back what left a node when it was drained, once it is back in service',
  },
  HoldDownMs: {
    schema: milliseconds,
    fallback: '60000',
    allowed: 'milliseconds',
    about: 'least time between two evacuations or returns that the state of one node starts',
  },
  NodeWatchMs: {
    schema: milliseconds.refine((ms) => ms >= 500),
    fallback: '5000',
    allowed: 'milliseconds from 500',
    about: 'how often the controller looks at the states of the nodes, besides what triggers tell it',
  },
  Admins: {
    schema: list,
    fallback: 'root,slurm',
    allowed: 'user names, comma separated',
    about: 'who may see and move every job',
  },
  PolicyDir: {
    schema: absolutePath,
    fallback: '/etc/rankshift/policy.d',
    allowed: 'an absolute path',
    about: 'on the management node: *.conf files that say which jobs may be moved how, and when',
  },
  OverlaySubnet: {
    schema: z.string().regex(/^\d+\.\d+\.0\.0\/16$/, 'a /16 network'),
    fallback: '10.201.0.0/16',
    allowed: 'a /16 network',
    about: 'addresses inside the overlay of a job',
  },
  OverlayPort: { schema: port, fallback: '4789', allowed: '1-65535', about: 'UDP port of the VXLAN' },
  OverlayMtu: {
    schema: z.coerce.number().int().min(576).max(9000),
    fallback: '1450',
    allowed: '576-9000',
    about: 'MTU in the overlay',
  },
  PagesPorts: {
    schema: portRange,
    fallback: '7470-7499',
    allowed: 'LOW-HIGH, TCP ports',
    about: 'ports on which a target takes memory, one for each move',
  },
  RuncPath: { schema: z.string().min(1), fallback: 'runc', allowed: 'a program', about: 'the OCI runtime' },
  CriuPath: { schema: z.string().min(1), fallback: 'criu', allowed: 'a program', about: 'CRIU' },
  ScontrolPath: { schema: z.string().min(1), fallback: 'scontrol', allowed: 'a program', about: 'Slurm' },
  AllocationFollow: {
    schema: z.enum(['shadow', 'merge', 'none']),
    fallback: 'shadow',
    allowed: 'shadow, merge or none',
    about:
      "a job's resources in Slurm after a move: a second job holds the target; the target joins the job (only with permit_job_expansion); neither",
  },
  AllocationWaitMs: {
    schema: milliseconds,
    fallback: '30000',
    allowed: 'milliseconds',
    about: 'longest wait for Slurm to hold a target before a move is given up',
  },
  ClockPolicy: {
    schema: z.enum(['continuous', 'frozen']),
    fallback: 'continuous',
    allowed: 'continuous or frozen',
    about: 'MPI_Wtime across a move: runs on, or hides the downtime',
  },
  Quiesce: {
    schema: z.enum(['drain', 'mpi', 'none']),
    fallback: 'drain',
    allowed: 'drain, mpi or none',
    about: 'before the dump: send queues are let empty; mpi: the ranks park at an MPI call first; none: neither',
  },
  QuiesceMs: {
    schema: milliseconds,
    fallback: '2000',
    allowed: 'milliseconds',
    about: 'longest wait for ranks to park; then the move goes on without',
  },
  DrainMs: {
    schema: milliseconds,
    fallback: '50',
    allowed: 'milliseconds',
    about: 'longest wait for send queues to empty',
  },
  MovesAtOnce: {
    schema: z.coerce.number().int().min(1).max(10_000),
    fallback: '64',
    allowed: '1-10000',
    about: 'moves that one controller drives at a time; the others wait in the queue',
  },
  AgentPatienceMs: {
    schema: milliseconds,
    fallback: '600000',
    allowed: 'milliseconds',
    about: 'how long an interrupted migration waits for an agent before it needs an operator',
  },
  LazyMemory: {
    schema: yesNo,
    fallback: 'yes',
    allowed: 'yes or no',
    about: 'live pre-copy and lazy population, where the kernel allows',
  },
  Tracking: {
    schema: z.enum(['auto', 'wp-async', 'soft-dirty']),
    fallback: 'auto',
    allowed: 'auto, wp-async or soft-dirty',
    about:
      'how writes of a running rank are noted: by our tracker (wp-async), or by CRIU (soft-dirty); auto: by CRIU where our tracker does not work',
  },
  PostCopy: {
    schema: z.enum(['never', 'asked', 'auto']),
    fallback: 'asked',
    allowed: 'never, asked or auto',
    about:
      'memory that comes when the container runs on its target: a source that dies before it is there takes the job with it',
  },
  Compression: {
    schema: compressionSchema.or(z.literal('auto')),
    fallback: 'auto',
    allowed: 'auto, none, lz4 or zstd',
    about: 'memory on its way; auto: where it carries more pages than the link does without',
  },
  Streams: {
    schema: z.literal('auto').or(z.coerce.number().pipe(streamsSchema)),
    fallback: 'auto',
    allowed: 'auto or 1-16',
    about: 'connections of a move; auto: several where one does not fill the link',
  },
  MaxMoves: {
    schema: moves,
    fallback: '64',
    allowed: '1-10000',
    about: 'most moves of the cluster that copy or restore at a time; others wait, as many are made ready meanwhile',
  },
  MaxMovesOut: {
    schema: moves,
    fallback: '2',
    allowed: '1-10000',
    about: 'most moves that copy from one node at a time',
  },
  MaxMovesIn: {
    schema: moves,
    fallback: '2',
    allowed: '1-10000',
    about: 'most moves that copy to or restore on one node at a time',
  },
  MaxMovesPerLink: {
    schema: moves,
    fallback: '2',
    allowed: '1-10000',
    about: 'most moves that copy from one node to the same other one at a time',
  },
  GangMs: {
    schema: milliseconds,
    fallback: '300000',
    allowed: 'milliseconds',
    about:
      'how long a container that is ready waits, running, for others of its job that move with it; then it goes alone',
  },
  NodeBandwidth: {
    schema: rateOrNone,
    fallback: 'none',
    allowed: 'none or bytes per second such as 100M',
    about: 'most that all moves from one node take of its link together while the ranks run',
  },
  FreezeLimited: {
    schema: yesNo,
    fallback: 'no',
    allowed: 'yes or no',
    about: 'limits of bandwidth hold while the container is frozen too',
  },
  UpperSync: {
    schema: yesNo,
    fallback: 'yes',
    allowed: 'yes or no',
    about: 'send the upper directory while the ranks run, and in the freeze what was changed since',
  },
  BalanceMode: {
    schema: z.enum(['off', 'dry-run', 'on']),
    fallback: 'off',
    allowed: 'off, dry-run or on',
    about: 'move containers that are held up by what else runs on their node; dry-run: only say what would be done',
  },
  BalanceThreshold: {
    schema: z.coerce.number().min(0.05).max(0.95),
    fallback: '0.25',
    allowed: '0.05-0.95',
    about: 'share of the time for which a container must be held up',
  },
  BalanceHoldMs: {
    schema: milliseconds,
    fallback: '30000',
    allowed: 'milliseconds',
    about: 'for how long it must be held up before it is moved',
  },
  BalanceMargin: {
    schema: z.coerce.number().min(1.05).max(10),
    fallback: '1.2',
    allowed: '1.05-10',
    about: 'how many times as fast the job must be predicted to become',
  },
  BalanceCooldownMs: {
    schema: milliseconds,
    fallback: '600000',
    allowed: 'milliseconds',
    about: 'how long a container stays after a move, whoever asked for that',
  },
  BalanceMovesPerHour: {
    schema: z.coerce.number().int().min(0).max(10_000),
    fallback: '6',
    allowed: '0-10000',
    about: 'most moves of the balancer in an hour, on the whole cluster',
  },
  Shell: {
    schema: yesNo,
    fallback: 'yes',
    allowed: 'yes or no',
    about: 'rankshift shell: users may open shells in their rank containers',
  },
  ShellWaitMs: {
    schema: milliseconds,
    fallback: '600000',
    allowed: 'milliseconds',
    about: 'longest wait of a move for shells that were opened with --on-move wait; then it closes them',
  },
  Wake: {
    schema: yesNo,
    fallback: 'yes',
    allowed: 'yes or no',
    about: 'make peers retransmit at once after a restore',
  },
  LogLevel: {
    schema: z.enum(['debug', 'info', 'warn', 'error']),
    fallback: 'info',
    allowed: 'debug, info, warn or error',
    about: 'least level that is logged',
  },
  TestBreakpoints: {
    schema: yesNo,
    fallback: 'no',
    allowed: 'yes or no',
    about: 'honour breakpoints of the fault tests; never on a real cluster',
  },
} as const;

type Keys = typeof keys;
type KeyName = keyof Keys;
type FromKeys = { [K in KeyName as Uncapitalize<K>]: z.output<Keys[K]['schema']> };

/** The configuration: every key of the file in camel case. Durations are milliseconds, sizes bytes. */
export interface Config extends FromKeys {
  /** The file that it came from, for messages. */
  file: string;
}

/**
 * Parses a configuration text of `Key=Value` lines; `#` starts a comment.
 * @throws RankshiftError E_CONFIG naming file, line, key and what is allowed.
 */
export function parseConfig(text: string, file: string): Config {
  const values = new Map<string, { value: string; line: number }>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/(^|\s)#.*$/, '').trim();
    if (line === '') continue;
    const match = /^([A-Za-z]+)\s*=\s*(.*)$/.exec(line);
    const where = `${file}:${index + 1}`;
    if (match === null) throw new RankshiftError('E_CONFIG', `${where}: not a Key=Value line: ${line}`);
    const [, key = '', value = ''] = match;
    if (!(key in keys)) {
      throw new RankshiftError('E_CONFIG', `${where}: unknown key ${key}; allowed are ${Object.keys(keys).join(', ')}`);
    }
    const earlier = values.get(key);
    if (earlier !== undefined)
      throw new RankshiftError('E_CONFIG', `${where}: ${key} was set in line ${earlier.line} already`);
    values.set(key, { value, line: index + 1 });
  }
  const config: Record<string, unknown> = { file };
  for (const [key, { schema, fallback, allowed }] of Object.entries(keys)) {
    const given = values.get(key);
    const parsed = schema.safeParse(given?.value ?? fallback);
    if (!parsed.success) {
      throw new RankshiftError(
        'E_CONFIG',
        `${file}:${given?.line ?? 0}: ${key}=${given?.value}: allowed is ${allowed}`,
      );
    }
    config[`${key.charAt(0).toLowerCase()}${key.slice(1)}`] = parsed.data;
  }
  return config as unknown as Config;
}

/**
 * Reads the configuration file (RANKSHIFT_CONF or the default place).
 * @throws RankshiftError E_CONFIG where it is absent or malformed.
 */
export function loadConfig(file: string = process.env['RANKSHIFT_CONF'] ?? defaultConfigFile): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new RankshiftError('E_CONFIG', `cannot read ${file}: ${(cause as Error).message}`, {
      action: 'Write the file (rankshift init-cluster makes one), or name another with RANKSHIFT_CONF.',
      cause,
    });
  }
  return parseConfig(text, file);
}

/** The file with every default shown commented, as `rankshift init-cluster` writes it. */
export function defaultConfigText(set: Partial<Record<KeyName, string>> = {}): string {
  const lines = Object.entries(keys).map(([key, { fallback, about, allowed }]) => {
    const value = set[key as KeyName];
    return `# ${about} (${allowed})\n${value === undefined ? `#${key}=${fallback}` : `${key}=${value}`}`;
  });
  return `${lines.join('\n')}\n`;
}

/** The directory of one container on its node. */
export function containerDir(config: Config, container: string): string {
  return join(config.stateDir, 'containers', container);
}

/** The directory of one migration on a node. */
export function migrationDir(config: Config, migration: string): string {
  return join(config.stateDir, 'migrations', migration);
}
