import { type Logger, pino } from 'pino';

export type { Logger };

/** JSON lines to standard output, which journald (or the testbed) keeps. */
export function createLogger(process: string, level: string): Logger {
  return pino({ name: process, level, base: { name: process }, timestamp: pino.stdTimeFunctions.isoTime });
}
