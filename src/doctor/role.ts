import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Role } from './finding.ts';

/** This node's name, as agent and controller take it. */
export function nodeName(config: Pick<Config, 'nodeName'>): string {
  return config.nodeName === '' ? (hostname().split('.')[0] ?? 'localhost') : config.nodeName;
}

/**
 * What this node is meant to be: the controller has the key that signs commands (or is ControllerHost), an agent has
 * the keys of an agent or runs slurmd, anything else is a login node.
 */
export function guessRole(config: Pick<Config, 'keyDir' | 'controllerHost' | 'nodeName'>): Role {
  const key = (name: string) => existsSync(join(config.keyDir, name));
  if (key('command.key') || nodeName(config) === config.controllerHost) return 'controller';
  return key('launch.key') || runs('slurmd') ? 'agent' : 'login';
}

/** True where a process of that name runs. */
function runs(name: string): boolean {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .some((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === name;
      } catch {
        return false;
      }
    });
}
