/**
 * Opens a channel with the certificate of the node that this runs on, as root of a compute node can, and prints the
 * answer to a first frame: open-as-node.ts NODE ADDRESS JSON
 */
import { z } from 'zod';
import { loadCredentials } from '../../src/channel/credentials.ts';
import { openChannel } from '../../src/channel/open-channel.ts';
import { loadConfig } from '../../src/config.ts';
import { RankshiftError } from '../../src/errors.ts';

const [node = '', address = '', frame = ''] = process.argv.slice(2);
const config = loadConfig();
const channel = await openChannel({ node, address, port: config.agentPort, credentials: loadCredentials(config) });
try {
  await channel.send(JSON.parse(frame));
  console.log(JSON.stringify(await channel.next(z.unknown(), { timeoutMs: 5000 })));
} catch (error) {
  console.log(JSON.stringify(RankshiftError.from(error)));
}
process.exit(0);
