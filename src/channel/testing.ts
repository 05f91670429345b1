import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type CertificateOptions, createAuthority, issueCertificate } from './authority.ts';
import type { Channel } from './channel.ts';
import { type Credentials, readCredentials } from './credentials.ts';
import type { LivenessOptions } from './liveness.ts';
import { openChannel } from './open-channel.ts';
import { serveChannel } from './serve-channel.ts';

export const silentLog = pino({ level: 'silent' });

/** A cluster CA in a temporary directory, for tests. */
export async function testCluster(): Promise<{
  dir: string;
  issue(name: string, options?: CertificateOptions): Promise<Credentials>;
  remove(): void;
}> {
  const dir = mkdtempSync(join(tmpdir(), 'rankshift-test-'));
  await createAuthority(dir);
  return {
    dir,
    async issue(name, options = {}) {
      await issueCertificate(dir, name, { ...options, force: true });
      const file = (end: string): string => join(dir, `${name}.${end}`);
      return readCredentials(join(dir, 'ca.pem'), file('pem'), file('key'));
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Both ends of one channel on loopback, for tests: `near` opened it, `far` accepted it. */
export async function testPair(
  near: Credentials,
  far: Credentials,
  liveness: LivenessOptions = {},
): Promise<{ near: Channel; far: Channel; close(): Promise<void> }> {
  const accepted = Promise.withResolvers<Channel>();
  const onChannel = (channel: Channel): void => accepted.resolve(channel);
  const server = await serveChannel({
    host: '127.0.0.1',
    port: 0,
    credentials: far,
    onChannel,
    log: silentLog,
    ...liveness,
  });
  const at = { node: far.name, address: '127.0.0.1', port: server.port, credentials: near };
  const opened = await openChannel({ ...at, ...liveness });
  return { near: opened, far: await accepted.promise, close: () => server.close() };
}
