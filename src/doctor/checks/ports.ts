import { readFileSync } from 'node:fs';
import { RankshiftError } from '../../errors.ts';
import { run } from '../../process/run.ts';
import { install } from '../distribution.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, warning } from '../finding.ts';

/** Who has a port, as `ss --listening --numeric --processes` says it. */
export interface Listener {
  port: number;
  command: string;
  /** 0 where ss does not tell: a socket of the kernel (VXLAN), or no root. */
  pid: number;
}

export const ports: Check = {
  name: 'ports',
  roles: ['controller', 'agent'],
  examine: async (context) => {
    if (!context.root) return [warning('ports', 'not tested without root', 'sudo rankshift doctor')];
    const { config, role, distribution } = context;
    let listeners: Record<'tcp' | 'udp', Listener[]>;
    try {
      listeners = { tcp: await listening('--tcp'), udp: await listening('--udp') };
    } catch (cause) {
      const get = install(distribution, { debian: 'iproute2', rhel: 'iproute' });
      return [warning('ports', RankshiftError.from(cause).message, get)];
    }
    if (role === 'controller')
      return [service('controller', config.controllerPort, 'ControllerPort', listeners.tcp, context)];
    return [
      service('agent', config.agentPort, 'AgentPort', listeners.tcp, context),
      overlay(config.overlayPort, listeners.udp, context),
    ];
  },
};

async function listening(protocol: '--tcp' | '--udp'): Promise<Listener[]> {
  const args = ['--listening', '--numeric', '--processes', '--no-header', protocol];
  return parseListeners((await run('ss', args, { timeoutMs: 10_000 })).stdout);
}

/** Reads lines such as `LISTEN 0 511 *:7461 *:* users:(("node",pid=31,fd=24))`. */
export function parseListeners(text: string): Listener[] {
  return text.split('\n').flatMap((line) => {
    const port = /^\S+\s+\d+\s+\d+\s+\S*:(\d+)\s/.exec(line)?.[1];
    if (port === undefined) return [];
    const user = /users:\(\("([^"]*)",pid=(\d+)/.exec(line);
    return [{ port: Number(port), command: user?.[1] ?? '', pid: Number(user?.[2] ?? '0') }];
  });
}

function service(
  name: 'controller' | 'agent',
  port: number,
  key: string,
  listeners: readonly Listener[],
  { config }: DoctorContext,
): Finding {
  const found = listeners.find((listener) => listener.port === port);
  if (found === undefined) {
    const start = `systemctl enable --now rankshift-${name}`;
    return warning(`${name} service`, `nothing listens on port ${port}; it is free`, start);
  }
  if (isOurs(found, name)) return ok(`${name} service`, `process ${found.pid} listens on port ${port}`);
  const who = found.pid === 0 ? 'somebody' : `${found.command} (process ${found.pid})`;
  const remedy = `Stop it, or set another ${key} in ${config.file} on all nodes.`;
  return missing(`${name} service`, `${who} has port ${port}`, remedy);
}

/** True for a process whose command line is `... rankshift agent` or `... main.js agent`. */
function isOurs({ pid }: Listener, name: string): boolean {
  if (pid === 0) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(name);
  } catch {
    return false;
  }
}

/** The kernel's own VXLAN socket may have the port: devices share it. */
function overlay(port: number, listeners: readonly Listener[], { config, root }: DoctorContext): Finding {
  const found = listeners.find((listener) => listener.port === port);
  if (found === undefined) return ok('overlay port', `UDP ${port} is free`);
  if (found.pid === 0 && root) return ok('overlay port', `UDP ${port} is a VXLAN device's`);
  const remedy = `Stop it, or set another OverlayPort in ${config.file} on all nodes.`;
  return missing('overlay port', `${found.command} (process ${found.pid}) has UDP port ${port}`, remedy);
}
