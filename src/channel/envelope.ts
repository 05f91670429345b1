import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { RankshiftError } from '../errors.ts';
import { canonicalJson } from './canonical-json.ts';

/** What the signature is for: no other text that the key may ever sign begins like this. */
const purpose = 'rankshift-command-1\n';

/** Longest life of a command; bounds what a replay guard must remember. */
export const longestLifeMs = 24 * 3_600_000;

const bodySchema = z.strictObject({
  /** Unique per command; the replay guard remembers it. */
  id: z.string().min(1).max(128),
  /** The only node that may carry it out. */
  node: z.string().min(1).max(63),
  /** The only start of that node's agent that may carry it out (nodes.ts, `instance`). */
  instance: z.string().max(64).optional(),
  command: z.string().min(1).max(64),
  container: z.string().max(64).optional(),
  /** Fencing number that the sender believes the container has. */
  epoch: z.int().min(0).optional(),
  migration: z.string().max(128).optional(),
  /** Where the answer goes. */
  replyTo: z.string().max(128).optional(),
  /** Validated by the schema of the command, not here. */
  payload: z.unknown(),
  /** Milliseconds since 1970, on the sender's clock. */
  expiresAt: z.int().min(0),
});

/** A signed command. The signature is lower-case hex, since base64 has several texts for the same bytes. */
export const envelopeSchema = bodySchema.extend({ signature: z.string().regex(/^[0-9a-f]{128}$/) });

export type EnvelopeBody = z.infer<typeof bodySchema>;
export type Envelope = z.infer<typeof envelopeSchema>;

/**
 * Signs a command with the cluster's command key (Ed25519, RFC 8032) over its canonical JSON.
 * @returns the envelope as JSON text
 */
export function signedText(privateKey: KeyObject, body: EnvelopeBody): string {
  // Through JSON once, so that what is signed (dates, undefined members) is what arrives.
  const text = canonicalJson(JSON.parse(JSON.stringify(body)));
  const signature = sign(null, Buffer.from(purpose + text), privateKey).toString('hex');
  return `{"signature":"${signature}",${text.slice(1)}`;
}

/** The same as an object, its shape checked. */
export function signEnvelope(privateKey: KeyObject, body: EnvelopeBody): Envelope {
  return envelopeSchema.parse(JSON.parse(signedText(privateKey, body)));
}

/**
 * Checks shape, signature, addressee and expiry of a command, in this order.
 * @param now milliseconds since 1970 @defaultValue Date.now()
 * @throws RankshiftError E_NOT_PERMITTED with the reason. A replay is found by ReplayGuard, not here.
 */
export function verifyEnvelope(
  publicKey: KeyObject,
  envelope: unknown,
  { node, now = Date.now() }: { node: string; now?: number },
): EnvelopeBody {
  const parsed = envelopeSchema.safeParse(envelope);
  if (!parsed.success) throw refusal(`its shape is wrong: ${z.prettifyError(parsed.error)}`);
  const { signature, ...body } = parsed.data;
  if (!verify(null, signedBytes(body), publicKey, Buffer.from(signature, 'hex'))) {
    throw refusal('it is not signed with the command key of this cluster');
  }
  if (body.node !== node) throw refusal(`it is for node ${body.node}, this is ${node}`);
  if (body.expiresAt <= now) throw refusal(`it expired ${now - body.expiresAt} ms ago (or the clocks differ)`);
  if (body.expiresAt > now + longestLifeMs) throw refusal('it would live for more than a day (or the clocks differ)');
  return body;
}

function signedBytes(body: EnvelopeBody): Buffer {
  return Buffer.from(purpose + canonicalJson(body));
}

function refusal(reason: string): RankshiftError {
  return new RankshiftError('E_NOT_PERMITTED', `command refused: ${reason}`, {
    action: 'Check that command.pub here belongs to the command.key of the controller, and that the clocks agree.',
  });
}

/** Reads `command.key`. @throws RankshiftError E_CONFIG. */
export function loadCommandKey(file: string): KeyObject {
  return load(file, createPrivateKey);
}

/** Reads `command.pub`. @throws RankshiftError E_CONFIG. */
export function loadCommandPublicKey(file: string): KeyObject {
  return load(file, createPublicKey);
}

function load(file: string, parse: (pem: string) => KeyObject): KeyObject {
  try {
    const key = parse(readFileSync(file, 'utf8'));
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`it is a key of type ${key.asymmetricKeyType}`);
    return key;
  } catch (cause) {
    throw new RankshiftError('E_CONFIG', `cannot use the command key ${file}: ${(cause as Error).message}`, {
      action: 'Copy it from the directory that rankshift init-cluster made; see docs/security.md.',
      cause,
    });
  }
}
