import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createAuthority, issueCertificate, renewCertificate } from './authority.ts';
import { loadCredentials, readCredentials } from './credentials.ts';
import { loadCommandKey, loadCommandPublicKey } from './envelope.ts';
import { createCommandKeys, createLaunchKey, createRedisPassword } from './secrets.ts';

const exists = { code: 'E_BAD_INPUT', message: /exists already/ };
let dir = '';
test.beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rankshift-test-'));
});
test.afterEach.always(() => rmSync(dir, { recursive: true, force: true }));

const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
const certificate = (name: string): X509Certificate => new X509Certificate(read(name));

test.serial('a certificate names its node and comes from the authority', async (t) => {
  await createAuthority(dir);
  await issueCertificate(dir, 'n1', { addresses: ['10.0.0.1'], names: ['n1.example'] });
  const ca = certificate('ca.pem');
  const own = certificate('n1.pem');
  t.true(ca.ca && !own.ca);
  t.true(own.checkIssued(ca) && own.verify(ca.publicKey));
  t.is(own.subject, 'CN=n1');
  t.is(own.subjectAltName, 'DNS:n1, DNS:n1.example, IP Address:10.0.0.1');
  t.deepEqual(own.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  t.true(Date.parse(own.validFrom) < Date.now() - 80_000_000, 'backdated against clock skew');
  t.true(Date.parse(own.validTo) <= Date.parse(ca.validTo));
  t.is(readCredentials(join(dir, 'ca.pem'), join(dir, 'n1.pem'), join(dir, 'n1.key')).name, 'n1');
});

test.serial('every secret is for root only, and no temporary file stays', async (t) => {
  await createAuthority(dir);
  await issueCertificate(dir, 'n1');
  createCommandKeys(dir);
  createLaunchKey(dir);
  createRedisPassword(dir);
  const modes = Object.fromEntries(readdirSync(dir).map((name) => [name, statSync(join(dir, name)).mode & 0o777]));
  t.deepEqual(modes, {
    'ca.key': 0o600,
    'ca.pem': 0o644,
    'command.key': 0o600,
    'command.pub': 0o600,
    'launch.key': 0o600,
    'n1.key': 0o600,
    'n1.pem': 0o600,
    'redis.password': 0o600,
  });
  t.regex(read('launch.key'), /^[0-9a-f]{64}\n$/);
  t.regex(read('redis.password'), /^[0-9a-f]{64}\n$/);
  t.is(loadCommandKey(join(dir, 'command.key')).type, 'private');
  t.is(loadCommandPublicKey(join(dir, 'command.pub')).type, 'public');
});

test.serial('nothing is overwritten without force', async (t) => {
  await createAuthority(dir);
  await issueCertificate(dir, 'n1');
  createCommandKeys(dir);
  const before = ['ca.key', 'ca.pem', 'n1.key', 'command.key'].map(read);
  await t.throwsAsync(createAuthority(dir), exists);
  await t.throwsAsync(issueCertificate(dir, 'n1'), exists);
  t.throws(() => createCommandKeys(dir), exists);
  t.deepEqual(['ca.key', 'ca.pem', 'n1.key', 'command.key'].map(read), before);
  createCommandKeys(dir, { force: true });
  t.not(read('command.key'), before[3]);
});

test.serial('renewal keeps names and addresses and changes the key', async (t) => {
  await createAuthority(dir);
  await issueCertificate(dir, 'n1', { addresses: ['10.0.0.1'], names: ['alias'] });
  const key = read('n1.key');
  const before = certificate('n1.pem');
  await renewCertificate(dir, 'n1');
  t.is(certificate('n1.pem').subjectAltName, before.subjectAltName);
  t.not(certificate('n1.pem').serialNumber, before.serialNumber);
  t.not(read('n1.key'), key);
  await t.throwsAsync(renewCertificate(dir, 'n2'), { code: 'E_BAD_INPUT' });
});

test.serial('bad names and addresses are refused', async (t) => {
  await createAuthority(dir);
  for (const name of ['../n1', '', 'a b', 'n1,CN=controller', 'ca', 'redis']) {
    await t.throwsAsync(issueCertificate(dir, name), { code: 'E_BAD_INPUT' }, name);
  }
  await t.throwsAsync(issueCertificate(dir, 'n1', { addresses: ['10.0.0.300'] }), { code: 'E_BAD_INPUT' });
});

test.serial('keys that do not belong together are named', async (t) => {
  t.throws(() => loadCredentials({ keyDir: dir }), { code: 'E_CONFIG', message: /ca\.pem/ });
  await createAuthority(dir);
  await issueCertificate(dir, 'n1');
  await issueCertificate(dir, 'n2');
  await issueCertificate(dir, 'old', { notBefore: new Date(0), notAfter: new Date(1000) });
  const path = (name: string): string => join(dir, name);
  t.throws(() => readCredentials(path('ca.pem'), path('n1.pem'), path('n2.key')), { message: /not the key of/ });
  t.throws(() => readCredentials(path('ca.pem'), path('old.pem'), path('old.key')), { message: /ended on 1970/ });
  await createAuthority(dir, { force: true });
  t.throws(() => readCredentials(path('ca.pem'), path('n1.pem'), path('n1.key')), { message: /not issued by/ });
});
