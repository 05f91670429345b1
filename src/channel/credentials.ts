import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';

/** CN of the controller's certificate; no node may have it. */
export const controllerName = 'controller';

/** What a process needs to show who it is, and to know others of the same cluster. PEM texts. */
export interface Credentials {
  /** CN of the certificate: the node's name, or `controller`. */
  name: string;
  ca: string;
  certificate: string;
  key: string;
  /** Milliseconds since 1970 at which the certificate or the CA ends, whichever is first. */
  expiresAt: number;
}

/**
 * Loads `ca.pem`, `node.pem` and `node.key` of KeyDir and checks that they belong together.
 * @throws RankshiftError E_CONFIG naming the file and what is wrong with it.
 */
export function loadCredentials(config: Pick<Config, 'keyDir'>): Credentials {
  const file = (name: string): string => join(config.keyDir, name);
  return readCredentials(file('ca.pem'), file('node.pem'), file('node.key'));
}

/** As loadCredentials, from three named files. */
export function readCredentials(caFile: string, certificateFile: string, keyFile: string): Credentials {
  const ca = readText(caFile);
  const certificate = readText(certificateFile);
  const key = readText(keyFile);
  const authority = parsed(caFile, () => new X509Certificate(ca));
  const own = parsed(certificateFile, () => new X509Certificate(certificate));
  const privateKey = parsed(keyFile, () => createPrivateKey(key));
  if (!own.verify(authority.publicKey)) throw unusable(certificateFile, `it was not issued by the CA in ${caFile}`);
  if (!own.checkPrivateKey(privateKey)) throw unusable(keyFile, `it is not the key of ${certificateFile}`);
  const expiresAt = Math.min(Date.parse(own.validTo), Date.parse(authority.validTo));
  if (expiresAt <= Date.now()) throw unusable(certificateFile, `it ended on ${new Date(expiresAt).toISOString()}`);
  const name = /^CN=(.+)$/m.exec(own.subject)?.[1];
  if (name === undefined) throw unusable(certificateFile, 'it names no node');
  return { name, ca, certificate, key, expiresAt };
}

function readText(file: string): string {
  return parsed(file, () => readFileSync(file, 'utf8'));
}

function parsed<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw unusable(file, (cause as Error).message, cause);
  }
}

function unusable(file: string, reason: string, cause?: unknown): RankshiftError {
  return new RankshiftError('E_CONFIG', `cannot use ${file}: ${reason}`, {
    action: 'Copy the keys of this node from the directory that rankshift init-cluster made; see docs/security.md.',
    cause,
  });
}
