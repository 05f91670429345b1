import type { Config } from '../config.ts';
import type { Distribution } from './distribution.ts';

export type Role = 'controller' | 'agent' | 'login';

/** missing = Rankshift does not work on this node without it; warning = it works, but worse or at a risk. */
export type Status = 'ok' | 'warning' | 'missing';

/** One line of the doctor's table. */
export interface Finding {
  /** What was looked at, two or three words. */
  check: string;
  status: Status;
  /** What was found. */
  detail: string;
  /** What to do, exactly: a command, a line of a file. Present unless all is well. */
  remedy?: string;
}

export interface DoctorContext {
  config: Config;
  role: Role;
  /** This node's name, as the agent takes it. */
  node: string;
  root: boolean;
  distribution: Distribution;
}

/** A group of findings that belong together, and the roles of nodes that need them. */
export interface Check {
  name: string;
  roles: readonly Role[];
  /** What it does is bounded, changes nothing, and leaves nothing. */
  examine: (context: DoctorContext) => Promise<Finding[]>;
}

export const everyRole: readonly Role[] = ['controller', 'agent', 'login'];

export function ok(check: string, detail: string): Finding {
  return { check, status: 'ok', detail };
}

export function warning(check: string, detail: string, remedy: string): Finding {
  return { check, status: 'warning', detail, remedy };
}

export function missing(check: string, detail: string, remedy: string): Finding {
  return { check, status: 'missing', detail, remedy };
}
