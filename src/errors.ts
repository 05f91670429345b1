/**
 * The one error class and its catalogue. Every failure that reaches a person has a stable code, says in which phase
 * it happened, where the container is now, and what to do. Exit codes are those of docs/architecture.md, "Errors".
 */

/** Process exit codes of the CLI. */
export const exitCode = {
  done: 0,
  failure: 1,
  usage: 2,
  refused: 3,
  rolledBack: 4,
  needsOperator: 5,
  notPermitted: 6,
  unreachable: 7,
} as const;

export type ExitName = keyof typeof exitCode;

/** code -> [exit, what to do]. The code is stable: scripts may match it. */
const catalogue = {
  E_USAGE: ['usage', "See the command's --help."],
  E_CONFIG: ['usage', 'Correct the named line of the configuration file.'],
  E_BAD_INPUT: ['usage', 'Correct the named value and try again.'],
  E_UNKNOWN_JOB: ['refused', 'List the jobs that have rank containers with: rankshift ps'],
  E_UNKNOWN_CONTAINER: ['refused', 'List the rank containers with: rankshift ps'],
  E_UNKNOWN_NODE: ['refused', 'List the nodes with: rankshift nodes'],
  E_UNKNOWN_MIGRATION: ['refused', 'List the migrations with: rankshift show'],
  E_UNKNOWN_GROUP: ['refused', 'List the evacuations and returns with: rankshift show --groups'],
  E_UNKNOWN_IMAGE: ['refused', 'List the images with: rankshift image ls'],
  E_IMAGE: ['refused', 'Check the image source; see docs/images.md.'],
  E_REFUSED: ['refused', 'Remove the named causes, or name another target with --to.'],
  E_ALLOCATION: [
    'refused',
    'Name another target with --to, or try again when Slurm has room there; docs/slurm.md, "The allocation".',
  ],
  E_BUSY: ['refused', 'Wait until the running operation ends: rankshift ps shows it.'],
  E_CANCELLED: ['rolledBack', 'The container runs on its source.'],
  E_JOB_ENDED: ['rolledBack', 'Nothing: the job ended while the move was under way.'],
  E_CRIU: ['rolledBack', 'Read the quoted CRIU lines; rankshift doctor checks the node.'],
  E_VERIFY: [
    'rolledBack',
    'This is a fault of Rankshift, or of CRIU on this kernel: keep the quoted lines and report it.',
  ],
  E_COMMAND: ['failure', 'Read the quoted output; rankshift doctor checks the node.'],
  E_TARGET_FULL: ['rolledBack', 'Free memory or space on the target, or choose another with --to.'],
  E_LINK: ['rolledBack', 'Check the network between the two nodes, then try again.'],
  E_AGENT: ['rolledBack', 'Check the agent on the named node: systemctl status rankshift-agent'],
  E_TIMEOUT: ['rolledBack', 'Try again; if it repeats, rankshift doctor on both nodes.'],
  E_LOST: ['needsOperator', 'Start the job again, from its own checkpoint if it has one.'],
  E_NEEDS_OPERATOR: ['needsOperator', 'Follow the command given with the error.'],
  E_NOT_PERMITTED: ['notPermitted', 'Ask the owner of the job or an administrator.'],
  E_BAD_CREDENTIAL: ['notPermitted', 'Check that munged runs here and that the clocks agree: rankshift doctor'],
  E_SERVICE: ['unreachable', 'Check that the controller runs: systemctl status rankshift-controller'],
  E_REDIS: ['unreachable', 'Check that Redis runs on the management node: systemctl status redis-server'],
  E_SLURM: ['unreachable', 'Check Slurm: scontrol ping'],
  E_STALE: ['failure', 'Nothing: a newer epoch of the container exists; the command was dropped.'],
  E_MISSING: ['failure', 'Install what is named; rankshift doctor lists all that is missing.'],
  E_INTERNAL: ['failure', 'This is a fault of Rankshift: keep the log and report it.'],
} as const satisfies Record<string, readonly [ExitName, string]>;

export type ErrorCode = keyof typeof catalogue;

export interface ErrorDetails {
  /** Phase of a migration in which it happened. */
  phase?: string;
  /** True where trying the same again may succeed. */
  retryable?: boolean;
  /** Where the container is now. */
  container?: 'running on source' | 'stopped' | 'running on target';
  /** What to do, where it is more exact than the catalogue's sentence. */
  action?: string;
  /** Last error lines of CRIU or another tool. */
  lines?: string[];
  cause?: unknown;
}

/** The error that everything throws on purpose. Anything else that is thrown is a fault of ours. */
export class RankshiftError extends Error {
  override name = 'RankshiftError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.details = details;
  }

  get action(): string {
    return this.details.action ?? catalogue[this.code][1];
  }

  get exitCode(): number {
    return exitCode[catalogue[this.code][0]];
  }

  /** The shape that crosses processes (API, queue, channel). */
  toJSON(): SerializedError {
    const { phase, retryable, container, lines } = this.details;
    return {
      code: this.code,
      message: this.message,
      action: this.action,
      ...(phase === undefined ? {} : { phase }),
      ...(retryable === undefined ? {} : { retryable }),
      ...(container === undefined ? {} : { container }),
      ...(lines === undefined ? {} : { lines }),
    };
  }

  /** Rebuilds an error that crossed a process border; unknown codes become E_INTERNAL. */
  static from(value: unknown): RankshiftError {
    if (value instanceof RankshiftError) return value;
    if (isSerialized(value)) {
      return new RankshiftError(
        value.code in catalogue ? (value.code as ErrorCode) : 'E_INTERNAL',
        value.message,
        details(value),
      );
    }
    const message = value instanceof Error ? value.message : String(value);
    if (/^(WRONGPASS|NOAUTH)\b/.test(message)) {
      return new RankshiftError('E_REDIS', `Redis refuses the password: ${message}`, {
        action: 'Make redis.password here the same as requirepass in redis.conf: rankshift doctor',
        cause: value,
      });
    }
    if (/^(EACCES|EPERM): /.test(message)) {
      return new RankshiftError('E_NOT_PERMITTED', message, { action: 'Run it as root.', cause: value });
    }
    return new RankshiftError('E_INTERNAL', message, { cause: value });
  }
}

export interface SerializedError {
  code: string;
  message: string;
  action?: string | undefined;
  phase?: string | undefined;
  retryable?: boolean | undefined;
  container?: 'running on source' | 'stopped' | 'running on target' | undefined;
  lines?: string[] | undefined;
}

function isSerialized(value: unknown): value is SerializedError {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}

function details({ action, phase, retryable, container, lines }: SerializedError): ErrorDetails {
  return {
    ...(action === undefined ? {} : { action }),
    ...(phase === undefined ? {} : { phase }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(container === undefined ? {} : { container }),
    ...(lines === undefined ? {} : { lines }),
  };
}
