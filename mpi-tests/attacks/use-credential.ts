/**
 * Sends requests to the controller with munge credentials that are absent, used before, or made for another request, and
 * prints the answers' status and error code.
 */
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { authorizationScheme, credentialPayload, nonceHeader } from '../../src/api/credential-payload.ts';
import { controllerName } from '../../src/channel/credentials.ts';
import { loadConfig } from '../../src/config.ts';
import { mungeEncode } from '../../src/slurm/munge.ts';

const config = loadConfig();

function ask(path: string, credential: string, nonce: string): Promise<{ status: number; code: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; code: string }>();
  const outgoing = request(
    {
      ...{ host: config.controllerHost, port: config.controllerPort, path, agent: false, servername: controllerName },
      ca: readFileSync(join(config.keyDir, 'ca.pem')),
      checkServerIdentity: () => undefined,
      headers: credential === '' ? {} : { authorization: `${authorizationScheme} ${credential}`, [nonceHeader]: nonce },
    },
    async (answer) => {
      const { error } = JSON.parse(await text(answer)) as { error?: { code: string } };
      resolve({ status: answer.statusCode ?? 0, code: error?.code ?? '' });
    },
  );
  outgoing.on('error', reject).end();
  return promise;
}

const path = '/v1/containers';
const nonce = 'once';
const credential = await mungeEncode(credentialPayload('GET', path, '', nonce));
const fresh = await mungeEncode(credentialPayload('GET', path, '', nonce));
console.log(
  JSON.stringify({
    absent: await ask(path, '', nonce),
    genuine: await ask(path, credential, nonce),
    usedBefore: await ask(path, credential, nonce),
    forAnother: await ask('/v1/nodes', fresh, nonce),
  }),
);
