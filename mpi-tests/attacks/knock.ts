/**
 * Connects to an agent's channel without being of the cluster, and prints how much came back before the end:
 * knock.ts HOST PORT plain|anonymous|stranger
 */
import { mkdtempSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { createAuthority, issueCertificate } from '../../src/channel/authority.ts';
import { protocol } from '../../src/channel/tls-options.ts';

const [host = '', port = '', how = ''] = process.argv.slice(2);

/** A certificate with a node's name, from a CA of the attacker's own. */
async function stranger(): Promise<{ cert: string; key: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'stranger-'));
  await createAuthority(dir);
  await issueCertificate(dir, 'n1');
  return { cert: readFileSync(join(dir, 'n1.pem'), 'utf8'), key: readFileSync(join(dir, 'n1.key'), 'utf8') };
}

const where = { host, port: Number(port) };
const tls = { ...where, rejectUnauthorized: false, ALPNProtocols: [protocol], minVersion: 'TLSv1.3' as const };
const socket =
  how === 'plain' ? connect(where) : connectTls({ ...tls, ...(how === 'stranger' ? await stranger() : {}) });
let bytes = 0;
socket.on('data', (chunk: Buffer) => {
  bytes += chunk.length;
});
const ended = new Promise<string>((resolve) => {
  socket.once('close', () => resolve('closed'));
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
});
socket.write('{"op":"link"}\n');
// Longer than the agent waits for a certificate.
const late = new Promise<string>((resolve) => setTimeout(() => resolve('still open'), 15_000));
console.log(JSON.stringify({ end: await Promise.race([ended, late]), bytes }));
process.exit(0);
