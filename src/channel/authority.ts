// The certificate library needs the reflection polyfill before its own first import.
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { RankshiftError } from '../errors.ts';
import { writeKeyFile } from './key-file.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 86_400_000;
const yearMs = 365.25 * dayMs;
/** Longer than the life of a cluster, so that nobody is woken by an expired authority. */
const authorityYears = 20;
const certificateYears = 10;

/** A node's name, as in rankshift.conf and slurm.conf. It becomes a file name and a certificate's CN. */
const nodeName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const reservedNames = ['ca', 'command', 'launch', 'redis'];

export interface AuthorityOptions {
  /** Replace files that exist. @defaultValue false */
  force?: boolean;
  /** Start of the validity. @defaultValue now, less a day against clock skew */
  notBefore?: Date;
  notAfter?: Date;
}

export interface CertificateOptions extends AuthorityOptions {
  /** IP addresses under which the node is reached, besides its name. */
  addresses?: readonly string[];
  /** More DNS names besides `name`. */
  names?: readonly string[];
}

/**
 * Makes the cluster's certificate authority: `ca.pem` (0644) and `ca.key` (0600), EC P-256, self-signed.
 * It may sign certificates of nodes only, no further authorities.
 * @throws RankshiftError E_BAD_INPUT where the files exist and `force` is not set.
 */
export async function createAuthority(dir: string, options: AuthorityOptions = {}): Promise<void> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Rankshift cluster CA',
    ...validity(authorityYears, options),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const force = options.force ?? false;
  writeKeyFile(join(dir, 'ca.key'), await privateKeyPem(keys.privateKey), { force });
  writeKeyFile(join(dir, 'ca.pem'), pemText(certificate), { force, mode: 0o644 });
}

/**
 * Issues `<name>.pem` and `<name>.key` (both 0600): CN = name, for both ends of a TLS connection (RFC 5280, 4.2.1.12).
 * The key is made here and nowhere else; the file is copied to the node over the admin's own secure way.
 * @throws RankshiftError E_BAD_INPUT for a bad name or address, where files exist, or where the directory has no CA.
 */
export async function issueCertificate(dir: string, name: string, options: CertificateOptions = {}): Promise<void> {
  checkName(name);
  const authority = await loadAuthority(dir);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const period = validity(certificateYears, options);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${name}`,
    issuer: authority.certificate.subject,
    notBefore: period.notBefore,
    notAfter: new Date(Math.min(period.notAfter.getTime(), authority.certificate.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(alternativeNames(name, options)),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  });
  const force = options.force ?? false;
  writeKeyFile(join(dir, `${name}.key`), await privateKeyPem(keys.privateKey), { force });
  writeKeyFile(join(dir, `${name}.pem`), pemText(certificate), { force });
}

/**
 * Issues a node's certificate again, with a new key, for the names and addresses of the present one.
 * @throws RankshiftError E_BAD_INPUT where the node has no certificate in this directory.
 */
export async function renewCertificate(dir: string, name: string, options: AuthorityOptions = {}): Promise<void> {
  checkName(name);
  const present = new X509Certificate(readPem(join(dir, `${name}.pem`)));
  const listed = present.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  const ofType = (type: string): string[] => listed.filter((item) => item.type === type).map((item) => item.value);
  const names = ofType('dns').filter((value) => value !== name);
  await issueCertificate(dir, name, { ...options, names, addresses: ofType('ip'), force: true });
}

async function loadAuthority(dir: string): Promise<{ certificate: X509Certificate; privateKey: webcrypto.CryptoKey }> {
  const certificate = new X509Certificate(readPem(join(dir, 'ca.pem')));
  const [key = new ArrayBuffer(0)] = PemConverter.decode(readPem(join(dir, 'ca.key')));
  const privateKey = await webcrypto.subtle.importKey('pkcs8', key, algorithm, false, ['sign']);
  return { certificate, privateKey };
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new RankshiftError('E_BAD_INPUT', `cannot read ${file}: ${(cause as Error).message}`, {
      action: 'Name the directory that rankshift init-cluster made, with --dir.',
      cause,
    });
  }
}

function checkName(name: string): void {
  if (nodeName.test(name) && !reservedNames.includes(name)) return;
  throw new RankshiftError('E_BAD_INPUT', `${name} cannot be the name of a node`, {
    action: `Use letters, digits, '-', '_' and '.'; not ${reservedNames.join(', ')}.`,
  });
}

function alternativeNames(name: string, { names = [], addresses = [] }: CertificateOptions) {
  const bad = addresses.find((address) => isIP(address) === 0);
  if (bad !== undefined) throw new RankshiftError('E_BAD_INPUT', `${bad} is not an IP address`);
  return [
    ...[...new Set([name, ...names])].map((value) => ({ type: 'dns' as const, value })),
    ...[...new Set(addresses)].map((value) => ({ type: 'ip' as const, value })),
  ];
}

function validity(years: number, { notBefore, notAfter }: AuthorityOptions): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: notBefore ?? new Date(Date.now() - dayMs),
    notAfter: notAfter ?? new Date(Date.now() + years * yearMs),
  };
}

/** 127 random bits, positive and without leading zero (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function pemText(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
