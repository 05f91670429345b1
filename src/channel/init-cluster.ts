import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultConfigText, parseConfig } from '../config.ts';
import { RankshiftError } from '../errors.ts';
import { createAuthority, issueCertificate, renewCertificate } from './authority.ts';
import { controllerName } from './credentials.ts';
import { writeKeyFile } from './key-file.ts';
import { createCommandKeys, createLaunchKey, createRedisPassword } from './secrets.ts';

/** What each kind of node needs of the secrets, and no more. */
const secretsOf = {
  controller: ['command.key', 'command.pub', 'redis.password'],
  node: ['command.pub', 'launch.key', 'redis.password'],
} as const;

export interface InitOptions {
  /** Compute nodes. */
  nodes: readonly string[];
  /** Host on which the controller and Redis run. */
  controller: string;
  /** IP addresses of hosts, by name. */
  addresses: ReadonlyMap<string, readonly string[]>;
  /** Make everything anew over what exists. */
  force: boolean;
}

/** One directory to copy to one host's /etc/rankshift. */
export interface Bundle {
  host: string;
  dir: string;
}

/**
 * Makes a cluster's CA, certificates and secrets in `dir`, and below `dir/copy` one directory per host that holds what
 * belongs into that host's /etc/rankshift.
 * @throws RankshiftError E_BAD_INPUT for bad names, or where something exists and `force` is not set.
 */
export async function initCluster(dir: string, options: InitOptions): Promise<Bundle[]> {
  const { nodes, controller, addresses, force } = options;
  checkNames(options);
  await createAuthority(dir, { force });
  createCommandKeys(dir, { force });
  createLaunchKey(dir, { force });
  createRedisPassword(dir, { force });
  const text = defaultConfigText({ ControllerHost: controller, RedisHost: controller });
  writeKeyFile(join(dir, 'rankshift.conf'), text, { force, mode: 0o644 });
  const names = controller === controllerName ? [] : [controller];
  await issueCertificate(dir, controllerName, { names, addresses: addresses.get(controller) ?? [], force });
  for (const node of nodes) await issueCertificate(dir, node, { addresses: addresses.get(node) ?? [], force });
  return [
    fillBundle(dir, controller, controllerName),
    { host: 'login', dir: fillLogin(dir) },
    ...nodes.map((node) => fillBundle(dir, node, node)),
  ];
}

/** Certificates and bundles of further compute nodes. @throws as initCluster. */
export async function addNodes(
  dir: string,
  { nodes, addresses, force }: Omit<InitOptions, 'controller'>,
): Promise<Bundle[]> {
  checkNames({ nodes, addresses });
  for (const node of nodes) await issueCertificate(dir, node, { addresses: addresses.get(node) ?? [], force });
  return nodes.map((node) => fillBundle(dir, node, node));
}

/**
 * Certificates anew, with new keys, for the same names and addresses. `controller` stands for the controller's.
 * @throws RankshiftError E_BAD_INPUT where one has none so far; then nothing was renewed.
 */
export async function renewNodes(dir: string, names: readonly string[]): Promise<Bundle[]> {
  const missing = names.filter((name) => !existsSync(join(dir, `${name}.pem`)));
  if (missing.length > 0) throw new RankshiftError('E_BAD_INPUT', `no certificate so far: ${missing.join(', ')}`);
  for (const name of names) await renewCertificate(dir, name);
  return names.map((name) => fillBundle(dir, name === controllerName ? controllerHost(dir) : name, name));
}

/** The host of the controller, whose certificate is not called after it. */
function controllerHost(dir: string): string {
  const file = join(dir, 'rankshift.conf');
  return parseConfig(readKey(file), file).controllerHost;
}

function checkNames({
  nodes,
  controller,
  addresses,
}: Pick<InitOptions, 'nodes' | 'addresses'> & { controller?: string }): void {
  if (nodes.length === 0) throw new RankshiftError('E_BAD_INPUT', 'there is no compute node');
  if (nodes.includes(controllerName)) {
    throw new RankshiftError('E_BAD_INPUT', `a compute node cannot be called ${controllerName}`, {
      action: 'Its certificate would make it the controller: leave it out, or give the host another name.',
    });
  }
  if (controller !== undefined && nodes.includes(controller)) {
    throw new RankshiftError('E_BAD_INPUT', `${controller} cannot be controller and compute node at once`);
  }
  const twice = nodes.filter((node, index) => nodes.indexOf(node) !== index);
  if (twice.length > 0) throw new RankshiftError('E_BAD_INPUT', `named twice: ${twice.join(', ')}`);
  const unknown = [...addresses.keys()].filter((name) => name !== controller && !nodes.includes(name));
  if (unknown.length > 0)
    throw new RankshiftError('E_BAD_INPUT', `an address for an unknown host: ${unknown.join(', ')}`);
}

function fillBundle(dir: string, host: string, certificate: string): Bundle {
  const bundle = openBundle(dir, host);
  const copy = (from: string, to = from): void => copyKey(join(dir, from), join(bundle, 'keys', to));
  copy(`${certificate}.pem`, 'node.pem');
  copy(`${certificate}.key`, 'node.key');
  for (const secret of secretsOf[certificate === controllerName ? 'controller' : 'node']) copy(secret);
  return { host, dir: bundle };
}

function fillLogin(dir: string): string {
  return openBundle(dir, 'login');
}

/** A bundle with what every host has: the configuration and the CA, both readable for all. */
function openBundle(dir: string, host: string): string {
  const bundle = join(dir, 'copy', host);
  mkdirSync(join(bundle, 'keys'), { recursive: true });
  // Copied with their modes: ordinary users must get through to ca.pem. What keeps them out here is the mode of `dir`.
  for (const part of [bundle, join(bundle, 'keys')]) chmodSync(part, 0o755);
  copyKey(join(dir, 'rankshift.conf'), join(bundle, 'rankshift.conf'), 0o644);
  copyKey(join(dir, 'ca.pem'), join(bundle, 'keys', 'ca.pem'), 0o644);
  return bundle;
}

function copyKey(from: string, to: string, mode = 0o600): void {
  writeKeyFile(to, readKey(from), { force: true, mode });
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new RankshiftError('E_BAD_INPUT', `cannot read ${file}: ${(cause as Error).message}`, {
      action: 'Name the directory that rankshift init-cluster made, with --dir.',
      cause,
    });
  }
}
