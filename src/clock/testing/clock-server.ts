/** A process of a test that answers every byte with its CLOCK_MONOTONIC, as text of a fixed length. */
import { createServer } from 'node:net';

export const answerBytes = 20;

const server = createServer({ noDelay: true }, (client) => {
  client.on('error', () => undefined);
  client.on('data', () => client.write(String(process.hrtime.bigint()).padStart(answerBytes, '0')));
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.({ port: typeof address === 'object' ? address?.port : undefined });
});
process.on('disconnect', () => process.exit());
