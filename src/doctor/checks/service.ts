import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { controllerName } from '../../channel/credentials.ts';
import { type Check, missing, ok } from '../finding.ts';

const deadlineMs = 5000;

/** The controller's API as the CLI reaches it: TLS with a certificate of the cluster's CA. */
export const service: Check = {
  name: 'controller',
  roles: ['login'],
  examine: async ({ config }) => {
    const { controllerHost: host, controllerPort: port, keyDir } = config;
    const authority = join(keyDir, 'ca.pem');
    // Its absence is a finding of its own.
    if (!existsSync(authority)) return [];
    const fault = await handshake(host, port, readFileSync(authority));
    if (fault === undefined) return [ok('controller', `answers on ${host}:${port}`)];
    const remedy = `On ${host}: systemctl enable --now rankshift-controller; open TCP port ${port} to this node`;
    return [missing('controller', `${host}:${port}: ${fault}`, remedy)];
  },
};

/** Undefined where the handshake succeeds, else what went wrong. */
function handshake(host: string, port: number, ca: Buffer): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ca, servername: controllerName, minVersion: 'TLSv1.3' });
    const end = (fault?: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(fault);
    };
    const timer = setTimeout(end, deadlineMs, `no answer within ${deadlineMs / 1000} s`);
    socket.once('secureConnect', () => end());
    socket.once('error', (error) => end(error.message));
  });
}
