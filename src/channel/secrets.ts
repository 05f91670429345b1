import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type KeyFileOptions, writeKeyFile } from './key-file.ts';

/** 256 bits: beyond guessing, for secrets that are compared and never typed. */
const secretBytes = 32;

type SecretOptions = Pick<KeyFileOptions, 'force'>;

/**
 * Makes the Ed25519 pair that signs commands: `command.key` (controller only) and `command.pub` (agents).
 * @throws RankshiftError E_BAD_INPUT where they exist and `force` is not set.
 */
export function createCommandKeys(dir: string, options: SecretOptions = {}): void {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writeKeyFile(join(dir, 'command.key'), privateKey, options);
  writeKeyFile(join(dir, 'command.pub'), publicKey, options);
}

/** Makes `launch.key` (hex): agents derive the launcher secret of each job from it. @throws as createCommandKeys. */
export function createLaunchKey(dir: string, options: SecretOptions = {}): void {
  writeKeyFile(join(dir, 'launch.key'), `${randomBytes(secretBytes).toString('hex')}\n`, options);
}

/** Makes `redis.password` (hex). @throws as createCommandKeys. */
export function createRedisPassword(dir: string, options: SecretOptions = {}): void {
  writeKeyFile(join(dir, 'redis.password'), `${randomBytes(secretBytes).toString('hex')}\n`, options);
}
