import type { Config } from '../config.ts';
import { RankshiftError } from '../errors.ts';

/** Says plainly why the controller could not be asked, and what to check. */
export function connectionError(cause: NodeJS.ErrnoException, config: ControllerAddress): RankshiftError {
  const { controllerHost, controllerPort, file } = config;
  const where = `${controllerHost}:${controllerPort}`;
  const fail = (message: string, action?: string): RankshiftError =>
    new RankshiftError('E_SERVICE', message, { retryable: true, cause, ...(action === undefined ? {} : { action }) });
  const code = cause.code ?? '';
  if (code === 'ECONNREFUSED') return fail(`no controller listens at ${where}`);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return fail(
      `the name ${controllerHost} is not known here`,
      `Check ControllerHost in ${file}, and /etc/hosts or DNS.`,
    );
  }
  if (['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'].includes(code)) {
    return fail(`${where} cannot be reached`, `Check the network, and ControllerHost and ControllerPort in ${file}.`);
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    const action = 'Check the clocks; renew it with: rankshift init-cluster renew controller';
    return fail(`the certificate of the controller at ${where} is not valid now`, action);
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const action = `Check ControllerHost and ControllerPort in ${file}.`;
    return fail(`it is not the controller of this cluster that answers at ${where}: ${cause.message}`, action);
  }
  if (/CERT|SELF_SIGNED|SIGNATURE|ISSUER/.test(code)) {
    const action = `Compare ${config.keyDir}/ca.pem with the controller's; see docs/security.md.`;
    return fail(`the certificate at ${where} was not issued by the CA of this cluster`, action);
  }
  if (/SSL|TLS|EPROTO/.test(code))
    return fail(`${where} does not speak TLS 1.3 as a controller does: ${cause.message}`);
  return fail(`the connection to the controller at ${where} failed: ${cause.message}`);
}

export type ControllerAddress = Pick<Config, 'controllerHost' | 'controllerPort' | 'keyDir' | 'file'>;
