import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseConfig } from '../config.ts';
import { loadCredentials } from './credentials.ts';
import { addNodes, initCluster, renewNodes } from './init-cluster.ts';

let dir = '';
test.beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rankshift-test-'));
});
test.afterEach.always(() => rmSync(dir, { recursive: true, force: true }));

const addresses = new Map([
  ['ctl', ['10.0.0.1']],
  ['n1', ['10.0.0.2']],
]);
const options = { nodes: ['n1', 'n2'], controller: 'ctl', addresses, force: false };
const keysOf = (host: string): string[] => readdirSync(join(dir, 'copy', host, 'keys')).sort();
const keyDir = (host: string): string => join(dir, 'copy', host, 'keys');

test.serial('each host gets what it needs and nothing more', async (t) => {
  const bundles = await initCluster(dir, options);
  t.deepEqual(
    bundles.map(({ host }) => host),
    ['ctl', 'login', 'n1', 'n2'],
  );
  t.deepEqual(keysOf('ctl'), ['ca.pem', 'command.key', 'command.pub', 'node.key', 'node.pem', 'redis.password']);
  t.deepEqual(keysOf('n1'), ['ca.pem', 'command.pub', 'launch.key', 'node.key', 'node.pem', 'redis.password']);
  t.deepEqual(keysOf('login'), ['ca.pem']);
  t.is(loadCredentials({ keyDir: keyDir('ctl') }).name, 'controller');
  t.is(loadCredentials({ keyDir: keyDir('n2') }).name, 'n2');
  const certificate = new X509Certificate(readFileSync(join(keyDir('ctl'), 'node.pem')));
  t.is(certificate.subjectAltName, 'DNS:controller, DNS:ctl, IP Address:10.0.0.1');
  for (const name of keysOf('n1')) {
    t.is(statSync(join(keyDir('n1'), name)).mode & 0o777, name === 'ca.pem' ? 0o644 : 0o600, name);
  }
  t.is(statSync(keyDir('n1')).mode & 0o777, 0o755, 'ordinary users must reach ca.pem');
  t.is(statSync(dir).mode & 0o777, 0o700);
  const file = join(dir, 'copy', 'n1', 'rankshift.conf');
  t.like(parseConfig(readFileSync(file, 'utf8'), file), { controllerHost: 'ctl', redisHost: 'ctl' });
});

test.serial('a second run changes nothing without force', async (t) => {
  await initCluster(dir, options);
  const before = readFileSync(join(dir, 'ca.key'), 'utf8');
  await t.throwsAsync(initCluster(dir, options), { code: 'E_BAD_INPUT', message: /exists already/ });
  t.is(readFileSync(join(dir, 'ca.key'), 'utf8'), before);
  await initCluster(dir, { ...options, force: true });
  t.is(loadCredentials({ keyDir: keyDir('n1') }).name, 'n1');
});

test.serial('nodes are added and renewed under the same CA', async (t) => {
  await initCluster(dir, options);
  await addNodes(dir, { nodes: ['n3'], addresses: new Map(), force: false });
  t.is(loadCredentials({ keyDir: keyDir('n3') }).name, 'n3');
  const before = readFileSync(join(keyDir('n1'), 'node.key'), 'utf8');
  await renewNodes(dir, ['n1', 'n2']);
  t.not(readFileSync(join(keyDir('n1'), 'node.key'), 'utf8'), before);
  t.is(loadCredentials({ keyDir: keyDir('n1') }).name, 'n1');
  const serial = (): string => new X509Certificate(readFileSync(join(keyDir('ctl'), 'node.pem'))).serialNumber;
  const old = serial();
  t.deepEqual(
    (await renewNodes(dir, ['controller'])).map(({ host }) => host),
    ['ctl'],
  );
  t.not(serial(), old, "the bundle of the controller's host has the new one");
  t.false(readdirSync(join(dir, 'copy')).includes('controller'));
  await t.throwsAsync(renewNodes(dir, ['n1', 'n9']), { code: 'E_BAD_INPUT', message: /n9/ });
});

test.serial('names that would confuse who is who are refused', async (t) => {
  const bad = { code: 'E_BAD_INPUT' };
  await t.throwsAsync(initCluster(dir, { ...options, nodes: ['controller'] }), bad);
  await t.throwsAsync(initCluster(dir, { ...options, nodes: ['ctl'] }), bad);
  await t.throwsAsync(initCluster(dir, { ...options, nodes: [] }), bad);
  await t.throwsAsync(initCluster(dir, { ...options, nodes: ['n1', 'n1'] }), bad);
  await t.throwsAsync(initCluster(dir, { ...options, nodes: ['n2'] }), { ...bad, message: /unknown host: n1/ });
  t.deepEqual(readdirSync(dir), [], 'and nothing was made');
});
