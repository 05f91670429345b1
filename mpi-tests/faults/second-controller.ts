import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Cluster } from '../support/cluster.ts';
import { until } from '../support/until.ts';

const configFile = '/etc/rankshift/rankshift.conf';
const secondFile = '/run/rankshift/second.conf';

/** A second controller beside the first, with the same records and queues, on a port of its own. */
export async function startSecondController(cluster: Cluster): Promise<{ end: () => Promise<void> }> {
  const text = readFileSync(cluster.testbed.path('ctl', configFile), 'utf8');
  writeFileSync(
    cluster.testbed.path('ctl', secondFile),
    `${text.replace(/^#?ControllerPort=.*$/m, '')}\nControllerPort=7470\n`,
  );
  const argv = ['env', `RANKSHIFT_CONF=${secondFile}`, 'rankshift', 'controller'];
  const child = cluster.testbed.spawn('ctl', argv);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += String(chunk)));
  await until('the second controller is ready', () => said.includes('controller ready'), { timeoutMs: 60_000 });
  const end = async () => {
    // nsenter(1) stops with the command that it runs, and nothing but SIGKILL reaches it then.
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return { end };
}

/** Sets a key of a node's configuration; takes effect with the next start of its services. */
export function configure(cluster: Cluster, key: string, value: string | null, node = 'ctl'): void {
  const file = cluster.testbed.path(node, configFile);
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith(`${key}=`));
  writeFileSync(file, `${lines.join('\n')}${value === null ? '' : `${key}=${value}\n`}`);
}
