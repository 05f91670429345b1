import { generateKeyPairSync } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { canonicalJson } from './canonical-json.ts';
import { type EnvelopeBody, longestLifeMs, signEnvelope, verifyEnvelope } from './envelope.ts';
import { ReplayGuard } from './replay-guard.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const now = 1_800_000_000_000;
const body: EnvelopeBody = {
  id: 'a1',
  node: 'n1',
  command: 'switch',
  container: '42.1',
  epoch: 3,
  payload: { to: 'n2', bytes: [1, 2.5, null] },
  expiresAt: now + 10_000,
};
const refused = { code: 'E_NOT_PERMITTED' };

test('a signed command comes back as it was sent', (t) => {
  const arrived: unknown = JSON.parse(JSON.stringify(signEnvelope(privateKey, body)));
  t.deepEqual(verifyEnvelope(publicKey, arrived, { node: 'n1', now }), body);
});

test('any payload survives signing and transport', (t) => {
  const check = fc.property(fc.jsonValue(), (payload) => {
    const arrived: unknown = JSON.parse(JSON.stringify(signEnvelope(privateKey, { ...body, payload })));
    verifyEnvelope(publicKey, arrived, { node: 'n1', now });
  });
  t.notThrows(() => fc.assert(check));
});

test('any changed byte fails', (t) => {
  const text = Buffer.from(JSON.stringify(signEnvelope(privateKey, body)));
  const original: unknown = JSON.parse(text.toString());
  const check = fc.property(fc.nat(text.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const altered = Buffer.from(text);
    altered[at] = (altered[at] ?? 0) ^ change;
    const envelope = parseOrUndefined(altered.toString());
    if (isDeepStrictEqual(envelope, original)) return;
    t.throws(() => verifyEnvelope(publicKey, envelope, { node: 'n1', now }), refused);
  });
  fc.assert(check, { numRuns: 2000 });
  t.pass();
});

test('every single member that is changed, added or taken away fails', (t) => {
  const signed = signEnvelope(privateKey, body);
  for (const key of Object.keys(signed)) {
    const { [key as keyof typeof signed]: _, ...without } = signed;
    t.throws(() => verifyEnvelope(publicKey, without, { node: 'n1', now }), refused, key);
  }
  for (const change of [
    { epoch: 4 },
    { command: 'finish' },
    { payload: { to: 'n3' } },
    { extra: 1 },
    { migration: 'm' },
  ]) {
    t.throws(() => verifyEnvelope(publicKey, { ...signed, ...change }, { node: 'n1', now }), refused);
  }
});

test('wrong node, expiry, too long a life and another key are refused', (t) => {
  const signed = signEnvelope(privateKey, body);
  const other = generateKeyPairSync('ed25519').privateKey;
  const immortal = signEnvelope(privateKey, { ...body, expiresAt: now + longestLifeMs + 1 });
  t.throws(() => verifyEnvelope(publicKey, signed, { node: 'n2', now }), { ...refused, message: /for node n1/ });
  t.throws(() => verifyEnvelope(publicKey, signed, { node: 'n1', now: body.expiresAt }), { message: /expired/ });
  t.throws(() => verifyEnvelope(publicKey, immortal, { node: 'n1', now }), { message: /more than a day/ });
  t.throws(() => verifyEnvelope(publicKey, signEnvelope(other, body), { node: 'n1', now }), { message: /not signed/ });
});

test('canonical JSON does not depend on the order of keys and parses back', (t) => {
  t.is(canonicalJson({ b: 1, a: [{ d: undefined, c: 'é' }] }), '{"a":[{"c":"é"}],"b":1}');
  const check = fc.property(fc.jsonValue(), (value) => {
    const text = canonicalJson(value);
    return (
      canonicalJson(JSON.parse(text)) === text && isDeepStrictEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)))
    );
  });
  t.notThrows(() => fc.assert(check));
  for (const value of [1n, Number.NaN, undefined, [undefined], () => 1]) t.throws(() => canonicalJson(value));
});

test('a command is admitted once, and the guard stays bounded without forgetting what lives', (t) => {
  const guard = new ReplayGuard(2);
  guard.admit({ id: 'a', expiresAt: 10 }, 0);
  t.throws(() => guard.admit({ id: 'a', expiresAt: 10 }, 0), refused);
  guard.admit({ id: 'b', expiresAt: 20 }, 0);
  t.throws(() => guard.admit({ id: 'c', expiresAt: 20 }, 0), { ...refused, message: /remembered/ });
  guard.admit({ id: 'c', expiresAt: 20 }, 10);
  t.is(guard.size, 2);
  t.throws(() => guard.admit({ id: 'b', expiresAt: 20 }, 10), refused);
});

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
