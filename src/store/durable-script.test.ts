import { createServer, type Server, type Socket } from 'node:net';
import test from 'ava';
import { Redis } from 'ioredis';
import { durableScript } from './durable-script.ts';

/** Answers one command on the connection of that number (from 1): RESP text, or null to close the connection. */
type Answer = (command: string, connection: number) => string | null;

/** As little of a Redis as a client wants before its first command. */
async function fakeRedis(answer: Answer): Promise<{ server: Server; port: number }> {
  let connections = 0;
  const server = createServer((socket: Socket) => {
    const connection = ++connections;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      // Each command is an array: its name is the first string after a length line.
      for (const [, name = ''] of chunk.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const command = name.toUpperCase();
        const text = command === 'EVAL' || command === 'WAITAOF' ? answer(command, connection) : '+OK\r\n';
        if (command === 'INFO') socket.write('$9\r\nloading:0\r\n');
        else if (text === null) socket.destroy();
        else socket.write(text);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}

async function commitAgainst(answer: Answer): Promise<unknown> {
  const { server, port } = await fakeRedis(answer);
  const redis = new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: null, retryStrategy: () => 20 });
  redis.on('error', () => undefined);
  try {
    return await durableScript(redis, 'commitSwitch', 'rs:container:1.0', '7', 'n1', 1, 'n2');
  } finally {
    redis.disconnect();
    server.close();
  }
}

const committed = '$9\r\ncommitted\r\n';
const synced = '*2\r\n:1\r\n:0\r\n';

test('a decision that Redis has synced is given', async (t) => {
  t.is(await commitAgainst((command) => (command === 'EVAL' ? committed : synced)), 'committed');
});

test('where the connection breaks between the decision and its sync, the decision is not known', async (t) => {
  const asked: string[] = [];
  const answer: Answer = (command, connection) => {
    asked.push(`${command} ${connection}`);
    if (command === 'EVAL') return committed;
    // On another connection nothing was written: asked there, Redis would say that all is synced.
    return connection === 1 ? null : synced;
  };
  await t.throwsAsync(commitAgainst(answer), { code: 'E_REDIS' });
  t.deepEqual(asked, ['EVAL 1', 'WAITAOF 1']);
});

test('where the connection breaks before the decision, both are asked again together', async (t) => {
  const answer: Answer = (command, connection) => (connection === 1 ? null : command === 'EVAL' ? committed : synced);
  t.is(await commitAgainst(answer), 'committed');
});

test('a sync that does not come within its time is not a decision', async (t) => {
  await t.throwsAsync(
    commitAgainst((command) => (command === 'EVAL' ? committed : '*2\r\n:0\r\n:0\r\n')),
    {
      code: 'E_REDIS',
    },
  );
});

test('on a Redis before 7.2 the setting `appendfsync always` is the guarantee', async (t) => {
  const answer: Answer = (command) => (command === 'EVAL' ? committed : "-ERR unknown command 'WAITAOF'\r\n");
  t.is(await commitAgainst(answer), 'committed');
});
