import { lookup } from 'node:dns/promises';
import { type Check, type DoctorContext, type Finding, missing, ok } from '../finding.ts';

/** Names that this node has to resolve; peers reach an agent under the address that its own name has here. */
export const names: Check = {
  name: 'names',
  roles: ['controller', 'agent', 'login'],
  examine: async (context) => {
    const { config, role } = context;
    const hosts = new Set(role === 'login' ? [config.controllerHost] : [config.controllerHost, config.redisHost]);
    const findings = await Promise.all([...hosts].map((host) => resolves(host, config.file)));
    return role === 'agent' ? [...findings, await ownAddress(context)] : findings;
  },
};

async function resolves(host: string, file: string): Promise<Finding> {
  try {
    return ok(`name ${host}`, (await lookup(host, 4)).address);
  } catch {
    const remedy = `Add ${host} to /etc/hosts or DNS, or correct ControllerHost and RedisHost in ${file}.`;
    return missing(`name ${host}`, 'does not resolve', remedy);
  }
}

async function ownAddress({ config, node }: DoctorContext): Promise<Finding> {
  if (config.nodeAddress !== '') return ok('own address', `${config.nodeAddress} (NodeAddress)`);
  const remedy = `Set NodeAddress in ${config.file} to the address that the other nodes reach, or correct /etc/hosts.`;
  try {
    const { address } = await lookup(node, 4);
    if (!address.startsWith('127.')) return ok('own address', `${address} (${node})`);
    // Debian's installer writes 127.0.1.1 into /etc/hosts.
    return missing('own address', `${node} resolves to ${address} here, which no other node reaches`, remedy);
  } catch {
    return missing('own address', `${node} does not resolve`, remedy);
  }
}
