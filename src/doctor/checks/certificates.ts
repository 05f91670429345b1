import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { controllerName } from '../../channel/credentials.ts';
import { type Check, type DoctorContext, type Finding, missing, ok, type Role, warning } from '../finding.ts';

const dayMs = 86_400_000;
const soonDays = 30;

/** Keys and certificates of each role, in KeyDir (docs/architecture.md, "One configuration file"). */
const secrets: Record<Role, string[]> = {
  controller: ['node.key', 'command.key'],
  agent: ['node.key', 'command.pub', 'launch.key'],
  login: [],
};

export const certificates: Check = {
  name: 'certificates',
  roles: ['controller', 'agent', 'login'],
  examine: async (context) => {
    if (!context.root && context.role !== 'login')
      return [warning('certificates', 'not tested without root', 'sudo rankshift doctor')];
    const { config, role } = context;
    const authority = readCertificate(join(config.keyDir, 'ca.pem'));
    if (authority === undefined) return [missing('cluster CA', `no ${config.keyDir}/ca.pem`, howToGet(context))];
    const findings = [life('cluster CA', authority, context)];
    if (role === 'login') return findings;
    return [...findings, ...ownCertificate(context, authority), ...secretFiles(context)];
  },
};

function howToGet({ config, role, node }: DoctorContext): string {
  if (role === 'controller') return 'rankshift init-cluster';
  const from = `KeyDir of ${config.controllerHost}`;
  return role === 'login'
    ? `Copy ca.pem from ${from} to ${config.keyDir}.`
    : `Copy the keys that rankshift init-cluster made for ${node} from ${from} to ${config.keyDir}.`;
}

function readCertificate(file: string): X509Certificate | undefined {
  return existsSync(file) ? new X509Certificate(readFileSync(file)) : undefined;
}

function life(check: string, certificate: X509Certificate, context: DoctorContext, now = Date.now()): Finding {
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  const until = `valid until ${certificate.validToDate.toISOString().slice(0, 10)}`;
  const renew = `rankshift init-cluster --renew on ${context.config.controllerHost}, then: ${howToGet(context)}`;
  if (now > to) return missing(check, `expired ${certificate.validTo}`, renew);
  if (now < from) return missing(check, `not valid before ${certificate.validFrom}`, "Correct this node's clock.");
  return to - now < soonDays * dayMs ? warning(check, until, renew) : ok(check, until);
}

function ownCertificate(context: DoctorContext, authority: X509Certificate): Finding[] {
  const { config, role, node } = context;
  const file = join(config.keyDir, 'node.pem');
  const certificate = readCertificate(file);
  const check = 'certificate';
  if (certificate === undefined) return [missing(check, `no ${file}`, howToGet(context))];
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    return [missing(check, `${file} was not signed by ca.pem beside it`, howToGet(context))];
  }
  const expected = role === 'controller' ? controllerName : node;
  const name = /^CN=(.*)$/m.exec(certificate.subject)?.[1];
  if (name !== expected) {
    return [missing(check, `${file} is that of ${name}, this is ${expected}`, howToGet(context))];
  }
  const key = join(config.keyDir, 'node.key');
  if (existsSync(key) && !certificate.checkPrivateKey(createPrivateKey(readFileSync(key)))) {
    return [missing(check, `${key} does not belong to ${file}`, howToGet(context))];
  }
  return [life(check, certificate, context)];
}

function secretFiles(context: DoctorContext): Finding[] {
  const { config, role } = context;
  const files = [...secrets[role].map((name) => join(config.keyDir, name)), config.redisPasswordFile];
  return files.map((file) => {
    const check = `key ${file.slice(file.lastIndexOf('/') + 1)}`;
    if (!existsSync(file)) return missing(check, `no ${file}`, howToGet(context));
    const { mode, uid } = statSync(file);
    const loose = (mode & 0o077) !== 0 || uid !== 0;
    const detail = `${file} is readable by others (mode ${(mode & 0o777).toString(8)}, user ${uid})`;
    return loose ? missing(check, detail, `chown root: ${file}; chmod 600 ${file}`) : ok(check, 'root only');
  });
}
